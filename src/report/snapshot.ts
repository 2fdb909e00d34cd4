// Plain frozen values for users: Topology -> TopologySnapshot, Choice -> Explanation.

import { keyOf, type NodeKey } from '../core/cluster/address.js'
import { policies } from '../core/cluster/balance.js'
import { lagOf } from '../core/cluster/horizon.js'
import type { Instant } from '../core/cluster/instant.js'
import { bytesBetween, formatLsn, type Lsn } from '../core/cluster/lsn.js'
import type { Node } from '../core/cluster/node.js'
import { type Choice, type Refusal, select, type Target, unfitPrimary } from '../core/cluster/selection.js'
import type { Sighting } from '../core/cluster/sighting.js'
import type { Topology } from '../core/cluster/topology.js'
import { grantFor, hiddenFrom, receives } from './hidden.js'
import { printedAs } from './inspect.js'
import { explanationText, topologyText } from './print.js'
import type { Bounds, Explanation, NodeSnapshot, TopologySnapshot } from './types.js'

export function snapshotOf(topology: Topology, now: Instant, bounds: Bounds): TopologySnapshot {
  const refused = refusedOf(topology, now, bounds)
  const blind = [...topology.blind].map(([source, { message }]) => [source, message])
  const snapshot = {
    epoch: topology.epoch,
    primary: topology.primary,
    contested: Object.freeze([...(topology.contested?.claimants ?? [])]),
    systemIdentifier: topology.systemIdentifier || null,
    nodes: Object.freeze([...topology.nodes.values()].map((node) => nodeSnapshot(topology, node, now, refused))),
    blind: Object.freeze(Object.fromEntries(blind)),
  } satisfies TopologySnapshot
  return Object.freeze(printedAs(snapshot, 'Topology', topologyText))
}

type Refused = Readonly<Record<string, string>>

function nodeSnapshot(topology: Topology, node: Node, now: Instant, refused: Refused): NodeSnapshot {
  const { state, address, seen } = node
  const failure = state.kind === 'unknown' || state.kind === 'down' ? state.failure : (node.suspect?.failure ?? null)
  return Object.freeze({
    key: node.key,
    host: address.host,
    port: address.port,
    state: state.kind,
    origin: address.origin,
    foundBy: finderOf(topology, node),
    name: address.servername,
    weight: address.weight ?? 1,
    zone: address.zone ?? null,
    sameAs: state.kind === 'alias' ? state.of : null,
    suspect: node.suspect !== null,
    draining: node.draining,
    timeline: timelineOf(node),
    systemIdentifier: seen?.detail?.systemIdentifier ?? null,
    version: seen?.detail?.version ?? null,
    ...placeOf(topology, node, now),
    refused: refused[node.key] ?? null,
    generation: node.generation,
    failure: failure?.message ?? null,
    failureCode: failure?.code ?? null,
    pooled: seen?.detail?.isPooled === true,
    hidden: Object.freeze(hiddenFrom(node)),
  })
}

function finderOf({ sources }: Topology, { key, address }: Node): NodeSnapshot['foundBy'] {
  if (address.origin === 'configured') return address.servername === null ? 'configured' : 'dns'
  const isMember = address.origin === 'discovered' && sources.get('patroni')?.some((each) => keyOf(each) === key)
  return isMember ? 'patroni' : 'replication'
}

function placeOf(
  { wal, primary }: Topology,
  { key, state, seen }: Node,
  now: Instant
): Pick<NodeSnapshot, 'position' | 'lagMillis' | 'lagBytes'> {
  const newest = wal.samples.at(-1)
  if (state.kind !== 'replica' || state.position === null) {
    const reached = key === primary ? (newest?.flush ?? seen?.flush) : state.kind === 'claimant' ? seen?.flush : null
    return { position: textOf(reached ?? null), lagMillis: null, lagBytes: null }
  }
  const { lsn } = state.position
  const position = textOf(lsn)
  // Its position may be one of a dead fork, and says nothing then.
  if (!state.follows) return { position, lagMillis: null, lagBytes: null }
  const lag = lagOf(wal, lsn, now)
  const lagBytes = newest === undefined ? null : Math.max(0, bytesBetween(lsn, newest.flush))
  return { position, lagMillis: lag === Infinity ? null : lag, lagBytes }
}

function textOf(lsn: Lsn | null): string | null {
  return lsn === null ? null : formatLsn(lsn)
}

const NONE_AVOIDED: ReadonlySet<NodeKey> = new Set()

/** The refusals of replicas for a read without writes of its own, and of the primary for a write. */
function refusedOf(topology: Topology, now: Instant, bounds: Bounds): Refused {
  const { maxLagMillis, maxLagBytes, maxStaleMillis, alone } = bounds
  const need = { maxLagMillis, since: null, asynchronous: false }
  const target: Target = { role: 'replica', need, maxLagBytes, maxStaleMillis, otherwise: 'primary', alone }
  const moment = { now, random: 0, inFlight: () => 0, avoid: NONE_AVOIDED }
  // Those of another zone could serve, too.
  const anywhere = { ...topology, rules: { ...topology.rules, zone: null } }
  const choice = select(anywhere, target, policies.leastInFlight, moment)
  const refused = new Map(choice.refused)
  const primary = topology.primary === null ? undefined : topology.nodes.get(topology.primary)
  if (primary !== undefined) {
    if (primary.draining) refused.set(primary.key, 'draining')
    else if (primary.suspect !== null) refused.set(primary.key, 'suspect')
    else refused.delete(primary.key)
  }
  return wordsOf(topology, refused)
}

function timelineOf({ seen }: Node): number | null {
  if (seen === null) return null
  if (!seen.inRecovery) return seen.timeline
  const known = Math.max(seen.detail?.controlTimeline ?? 0, seen.detail?.receivedTimeline ?? 0)
  return known === 0 ? null : known
}

/** Each refusal in words that say what would end it. */
const REFUSALS: Readonly<Record<Refusal, string>> = {
  'not-probed': 'it has not answered a probe yet',
  'not-used': "it was found beside several configured hosts: name it, or set discovery: 'replication'",
  down: 'it is down',
  suspect: 'it is suspected to have failed: its next answer decides',
  foreign: 'it belongs to another cluster (its system identifier differs)',
  alias: 'it is another address of a server that is listed already',
  'in-recovery': 'it is a replica',
  'claims-primary': 'it is not in recovery, but is not the accepted primary',
  'is-primary': 'it is the primary',
  'not-following': 'it is not proved to follow the present timeline',
  'no-position': 'its replay position is not known since its connection was made',
  unproven: 'no position of the primary is known that is young enough for the bound and taken since your last write',
  'too-far-behind': 'it has not replayed what this read must see',
  balanced: 'several servers answer at its address (a balancer?): name the servers themselves',
  draining: 'drain() was called for it: resume() ends that',
  recovering: 'it failed lately: reads keep away from it for 1 s, after each further failure twice as long, up to 30 s',
  spare: 'its weight is 0: it serves reads only where neither another replica nor the primary can',
  'other-zone': 'it is in another zone, and a replica in the zone of this process can serve',
  avoided: 'it has just failed this statement',
}

/** Where a statement goes by a choice, and what is to be said of that. */
export function placeIn(
  topology: Topology,
  choice: Choice
): Pick<Explanation, 'node' | 'guarded' | 'pooled' | 'refused'> {
  const { node } = choice
  return {
    node: node?.key ?? null,
    guarded: node !== null && choice.reason === 'guarded',
    pooled: node?.seen?.detail?.isPooled === true,
    refused: refusalsOf(topology, choice),
  }
}

function refusalsOf(topology: Topology, choice: Choice): Readonly<Record<NodeKey, string>> {
  const refused = new Map(choice.refused)
  // Where only the primary can serve, selection did not look at the other nodes.
  if (choice.node !== null && choice.reason === 'primary') {
    for (const node of topology.nodes.values()) refused.set(node.key, unfitPrimary(node))
  }
  if (choice.node !== null) refused.delete(choice.node.key)
  return Object.freeze(wordsOf(topology, refused))
}

function wordsOf(topology: Topology, refused: ReadonlyMap<NodeKey, Refusal>): Record<NodeKey, string> {
  const told = [...refused].map(([key, refusal]): [NodeKey, string] => {
    const node = topology.nodes.get(key)
    if (node?.state.kind === 'alias') return [key, `it is another address of ${node.state.of}, which is listed already`]
    if (refusal === 'not-following' && topology.incumbent === null)
      return [key, 'no primary is known that it could follow']
    const more = refusal === 'not-following' ? unproven(node?.seen ?? null) : ''
    return [key, REFUSALS[refusal] + more]
  })
  return Object.fromEntries(told)
}

/** Says what is missing for the proof that a replica follows: what it receives is the proof, if the role may see that. */
function unproven(seen: Sighting | null): string {
  if (seen === null) return ''
  const isSeen = seen.detail?.readsStats === true
  if (!receives(seen) || (isSeen && seen.detail?.receivedTimeline === null)) return RECEIVES_NOTHING
  const grant = grantFor(seen.detail)
  return grant === null ? '' : `: ${grant} shows it, or its next restartpoint`
}

/** As a standby that lives on a WAL archive alone. */
const RECEIVES_NOTHING =
  ': it receives nothing now, and from a WAL archive alone only its next restartpoint shows it (CHECKPOINT on the primary, then ' +
  'on the standby, is the fast way)'

export function explanationOf(explanation: Explanation): Explanation {
  return Object.freeze(printedAs(explanation, 'Explanation', explanationText))
}
