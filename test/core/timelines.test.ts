// Replays test/timelines/*.json against reduce(): each file is a story of events and of what must be believed after each.
// A bug report becomes a new file.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { keyOf, type NodeAddress, type NodeKey } from '../../src/core/cluster/address.js'
import { leastInFlight } from '../../src/core/cluster/balance.js'
import { type Answers, failureOf } from '../../src/core/cluster/failure.js'
import type { Instant } from '../../src/core/cluster/instant.js'
import { type Lsn, parseLsn } from '../../src/core/cluster/lsn.js'
import type { ProbeResult } from '../../src/core/cluster/node.js'
import { reduce } from '../../src/core/cluster/reduce.js'
import { select } from '../../src/core/cluster/selection.js'
import type { Receiver, Sighting } from '../../src/core/cluster/sighting.js'
import { emptyTopology, type Topology, type TopologyEvent } from '../../src/core/cluster/topology.js'
import { detailOf } from '../support/details.js'
import { usualSource } from '../support/sources.js'

interface Sees {
  /** The timeline of a node that is not in recovery; a replica has `replay` instead. */
  readonly primary?: number
  readonly wal?: string
  readonly flush?: string
  readonly replay?: string
  /** What a replica is known to have received or checkpointed. */
  readonly follows?: number
  readonly replicas?: number
  /** The timeline that a replica receives, which a plain role does not see, and from whom: an address, or a name. */
  readonly receives?: number
  readonly from?: string
  /** Its WAL receiver's process; null: it has none. */
  readonly pid?: number | null
  /** How far it has received. */
  readonly received?: string
  /** To how many a replica sends; as many as `replicas`, unless told. */
  readonly feeds?: number
  readonly checkpoint?: string
  readonly system?: string
  readonly server?: string
}

interface Step {
  readonly at: number
  /** When the probe was sent, where that matters. */
  readonly sent?: number
  readonly discovered?: readonly string[]
  readonly source?: string
  readonly origin?: 'configured' | 'discovered' | 'shown'
  readonly blind?: string
  readonly probe?: string
  /** The primary was asked beside its probes; a replica's connection has shown `replay`. */
  readonly sample?: string
  readonly shown?: string
  readonly sees?: Sees
  readonly fails?: string
  /** What the sessions of the pool heard meanwhile. */
  readonly answers?: Answers
  readonly accuse?: string
  readonly generation?: number
  readonly code?: string
  readonly then?: Expectation
}

interface Expectation {
  readonly primary?: string | null
  readonly epoch?: number
  readonly contested?: readonly string[]
  readonly states?: Readonly<Record<string, string>>
  readonly origins?: Readonly<Record<string, string>>
  readonly suspects?: readonly string[]
  readonly generations?: Readonly<Record<string, number>>
  /** Replicas that may serve a read with this bound, in milliseconds, and own writes since. */
  readonly serve?: { readonly lag: number; readonly since?: number; readonly nodes: readonly string[] }
  readonly mixed?: boolean
  /** Standbys alone, and no primary ever. */
  readonly alone?: boolean
  /** Replicas whose guards would count. */
  readonly direct?: Readonly<Record<string, boolean>>
  /** Late news: the very same picture. */
  readonly unchanged?: boolean
}

interface Story {
  readonly story: string
  readonly hosts?: number
  readonly silentMillis?: number
  readonly steps: readonly Step[]
}

const directory = new URL('../../../test/timelines/', import.meta.url)

const instant = (millis: number): Instant => ({ mono: millis, wall: millis })
const address = (name: string, origin: NodeAddress['origin']): NodeAddress => ({
  host: name,
  port: 5432,
  servername: null,
  origin,
})
const key = (name: string): NodeKey => keyOf({ host: name, port: 5432 })
const name = (nodeKey: NodeKey): string => nodeKey.replace(':5432', '')

function sighting(of: string, sees: Sees): Sighting {
  const inRecovery = sees.primary === undefined
  const sender = { address: null, name: 'replica', state: 'streaming' }
  return {
    inRecovery,
    timeline: sees.primary ?? null,
    insert: parseLsn(sees.wal),
    flush: parseLsn(sees.flush ?? sees.wal),
    replay: parseLsn(sees.replay),
    receiver: inRecovery ? receiverOf(sees) : null,
    feeds: inRecovery ? (sees.feeds ?? sees.replicas ?? 0) : (sees.feeds ?? null),
    detail: detailOf({
      systemIdentifier: sees.system ?? '7',
      startedAt: sees.server ?? `start of ${of}`,
      controlTimeline: sees.follows ?? sees.primary ?? 1,
      receivedTimeline: sees.receives ?? null,
      readsStats: sees.receives !== undefined,
      sender: inRecovery && sees.pid !== null ? { pid: sees.pid ?? 1, host: sees.from ?? null, port: 5432 } : null,
      checkpoint: sees.checkpoint ?? null,
      senders: Array.from({ length: sees.replicas ?? 0 }, () => sender),
    }),
  }
}

function receiverOf({ pid, receives, received }: Sees): Receiver | null {
  if (pid === null) return null
  return { pid: pid ?? 1, timeline: receives ?? null, streaming: receives !== undefined, received: parseLsn(received) }
}

function resultOf(step: Step): ProbeResult {
  if (step.sees !== undefined) return { kind: 'answer', sighting: sighting(step.probe ?? '', step.sees) }
  const error =
    step.fails === 'silent' ? new Error('timeout expired') : Object.assign(new Error(step.fails), { code: step.fails })
  const failure = failureOf(error, 'connect', usualSource(error))
  return { kind: 'failure', failure, ...(step.answers && { answers: step.answers }) }
}

function eventOf(step: Step): TopologyEvent {
  const at = instant(step.at)
  if (step.discovered !== undefined) {
    const addresses = step.discovered.map((host) => address(host, step.origin ?? 'configured'))
    return { kind: 'discovered', source: step.source ?? 'configured', addresses, at }
  }
  if (step.blind !== undefined) {
    const failure = failureOf(Object.assign(new Error('no answer'), { code: 'ESERVFAIL' }), 'connect')
    return { kind: 'discovery-failed', source: step.blind, failure, at }
  }
  if (step.probe !== undefined) {
    return {
      kind: 'probed',
      key: key(step.probe),
      startedAt: instant(step.sent ?? step.at),
      at,
      result: resultOf(step),
    }
  }
  const { sample, shown, sees = {} } = step
  const startedAt = instant(step.sent ?? step.at)
  if (sample !== undefined) {
    const positions = { insert: parseLsn(sees.wal), flush: parseLsn(sees.flush ?? sees.wal) }
    return { kind: 'sampled', key: key(sample), startedAt, at, timeline: sees.primary ?? null, positions }
  }
  if (shown !== undefined) {
    const position = { lsn: parseLsn(sees.replay) as Lsn, askedAt: startedAt }
    return {
      kind: 'shown',
      key: key(shown),
      generation: step.generation ?? 0,
      position,
      receiver: receiverOf(sees),
      known: null,
      at,
    }
  }
  assert.ok(step.accuse, `step at ${step.at} has no event`)
  const error = Object.assign(new Error('accused'), { code: step.code ?? 'ECONNRESET' })
  const failure = failureOf(error, 'idle', usualSource(error))
  return { kind: 'accused', key: key(step.accuse), generation: step.generation ?? 0, failure, at }
}

function servers(topology: Topology, at: number, lag: number, since: number | undefined): string[] {
  const need = { maxLagMillis: lag, since: since ?? null, asynchronous: false }
  const target = { role: 'replica', need, maxLagBytes: Infinity, maxStaleMillis: 30_000, otherwise: 'refuse' } as const
  const avoid = new Set<NodeKey>()
  for (;;) {
    const choice = select(topology, target, leastInFlight, { now: instant(at), random: 0, inFlight: () => 0, avoid })
    if (choice.node === null) return [...avoid].map(name).sort()
    avoid.add(choice.node.key)
  }
}

function check(topology: Topology, before: Topology, step: Step, expected: Expectation, where: string): void {
  if (expected.unchanged) assert.equal(topology, before, `${where}: same picture`)
  if (expected.primary !== undefined) {
    assert.equal(topology.primary && name(topology.primary), expected.primary, `${where}: primary`)
  }
  if (expected.epoch !== undefined) assert.equal(topology.epoch, expected.epoch, `${where}: epoch`)
  if (expected.contested !== undefined) {
    assert.deepEqual([...(topology.contested?.claimants ?? [])].map(name).sort(), expected.contested, where)
  }
  for (const [node, state] of Object.entries(expected.states ?? {})) {
    assert.equal(topology.nodes.get(key(node))?.state.kind ?? 'absent', state, `${where}: state of ${node}`)
  }
  for (const [node, origin] of Object.entries(expected.origins ?? {})) {
    assert.equal(topology.nodes.get(key(node))?.address.origin, origin, `${where}: origin of ${node}`)
  }
  for (const [node, generation] of Object.entries(expected.generations ?? {})) {
    assert.equal(topology.nodes.get(key(node))?.generation, generation, `${where}: generation of ${node}`)
  }
  if (expected.suspects !== undefined) {
    const suspects = [...topology.nodes.values()].filter(({ suspect }) => suspect !== null)
    assert.deepEqual(suspects.map((node) => name(node.key)).sort(), expected.suspects, `${where}: suspects`)
  }
  for (const [node, direct] of Object.entries(expected.direct ?? {})) {
    const state = topology.nodes.get(key(node))?.state
    assert.equal(
      state?.kind === 'replica' && state.direct,
      direct,
      `${where}: whether ${node} shows its position itself`
    )
  }
  if (expected.mixed !== undefined) assert.equal(topology.mixed !== null, expected.mixed, `${where}: mixed clusters`)
  if (expected.alone !== undefined) assert.equal(topology.alone, expected.alone, `${where}: standbys alone`)
  if (expected.serve !== undefined) {
    const { lag, since, nodes } = expected.serve
    assert.deepEqual(servers(topology, step.at, lag, since), [...nodes].sort(), `${where}: nodes that may serve`)
  }
}

describe('timelines', () => {
  for (const file of readdirSync(directory).filter((entry) => entry.endsWith('.json'))) {
    const story = JSON.parse(readFileSync(new URL(file, directory), 'utf8')) as Story
    it(`${file.replace('.json', '')}: ${story.story}`, () => {
      const rules = { hosts: story.hosts ?? 3, silentMillis: story.silentMillis ?? 3000, strictAsyncCommit: false }
      let topology = emptyTopology(rules)
      for (const [i, step] of story.steps.entries()) {
        const before = topology
        topology = reduce(topology, eventOf(step))
        if (step.then !== undefined) check(topology, before, step, step.then, `step ${i + 1} at ${step.at} ms`)
      }
    })
  }
})
