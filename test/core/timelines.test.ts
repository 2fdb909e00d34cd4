// Replays test/timelines/*.json against reduce(): each file is a story of events and of what must be believed after each.
// A bug report becomes a new file.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { leastInFlight } from '../../src/core/balance.js'
import { failureOf } from '../../src/core/failure.js'
import { parseLsn } from '../../src/core/lsn.js'
import {
  type Instant,
  keyOf,
  type NodeAddress,
  type NodeKey,
  type ProbeResult,
  type Sighting,
} from '../../src/core/node.js'
import { select } from '../../src/core/selection.js'
import { emptyTopology, reduce, type Topology, type TopologyEvent } from '../../src/core/topology.js'
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
  readonly sees?: Sees
  readonly fails?: string
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
    detail: detailOf({
      systemIdentifier: sees.system ?? '7',
      startedAt: sees.server ?? `start of ${of}`,
      controlTimeline: sees.follows ?? sees.primary ?? 1,
      senders: Array.from({ length: sees.replicas ?? 0 }, () => sender),
    }),
  }
}

function resultOf(step: Step): ProbeResult {
  if (step.sees !== undefined) return { kind: 'answer', sighting: sighting(step.probe ?? '', step.sees) }
  const error =
    step.fails === 'silent' ? new Error('timeout expired') : Object.assign(new Error(step.fails), { code: step.fails })
  return { kind: 'failure', failure: failureOf(error, 'connect', usualSource(error)) }
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
  if (expected.mixed !== undefined) assert.equal(topology.mixed !== null, expected.mixed, `${where}: mixed clusters`)
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
