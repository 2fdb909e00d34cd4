// What users see of belief: plain frozen values, without the machinery. Topology -> TopologySnapshot, Choice -> Explanation.

import { lagOf } from '../core/horizon.js'
import { formatLsn } from '../core/lsn.js'
import type { Instant, Node, NodeKey } from '../core/node.js'
import type { Choice, Refusal } from '../core/selection.js'
import type { Topology } from '../core/topology.js'

export interface NodeSnapshot {
  /** `host:port` */
  readonly key: string
  readonly host: string
  readonly port: number
  /** `claimant`: not in recovery, and not believed to be the primary. `alias`: the same server as another node. */
  readonly state: 'unknown' | 'primary' | 'replica' | 'claimant' | 'down' | 'foreign' | 'alias'
  /** `shown`: found beside several configured hosts; listed, never used. */
  readonly origin: 'configured' | 'discovered' | 'shown'
  /** Accused and not yet cleared: new statements wait for its answer. */
  readonly suspect: boolean
  /** drain() was called for it. */
  readonly draining: boolean
  readonly timeline: number | null
  /** A replica's replay position, as `pg_lsn` prints it. */
  readonly position: string | null
  /** Everything acknowledged longer ago than this is there, in milliseconds; null: nothing is proven. */
  readonly lagMillis: number | null
  /** +1 whenever all connections to the node were replaced. */
  readonly generation: number
  /** The newest failure, in the words of the server or the socket. */
  readonly failure: string | null
}

export interface TopologySnapshot {
  /** +1 with every new primary, 0 before the first. */
  readonly epoch: number
  /** `host:port` of the primary; null while none is known. */
  readonly primary: string | null
  /** The nodes that claim to be the primary while nothing decides between them. */
  readonly contested: readonly string[]
  readonly systemIdentifier: string | null
  readonly nodes: readonly NodeSnapshot[]
}

export function snapshotOf(topology: Topology, now: Instant): TopologySnapshot {
  return Object.freeze({
    epoch: topology.epoch,
    primary: topology.primary,
    contested: Object.freeze([...(topology.contested?.claimants ?? [])]),
    systemIdentifier: topology.systemIdentifier || null,
    nodes: Object.freeze([...topology.nodes.values()].map((node) => nodeSnapshot(topology, node, now))),
  })
}

function nodeSnapshot(topology: Topology, node: Node, now: Instant): NodeSnapshot {
  const { state, address } = node
  const position = state.kind === 'replica' ? state.position : null
  const proven = state.kind === 'replica' && state.follows && position !== null
  const lag = proven ? lagOf(topology.wal, position.lsn, now) : Infinity
  const failure = state.kind === 'unknown' || state.kind === 'down' ? state.failure : (node.suspect?.failure ?? null)
  return Object.freeze({
    key: node.key,
    host: address.host,
    port: address.port,
    state: state.kind,
    origin: address.origin,
    suspect: node.suspect !== null,
    draining: node.draining,
    timeline: timelineOf(node),
    position: position === null ? null : formatLsn(position.lsn),
    lagMillis: lag === Infinity ? null : lag,
    generation: node.generation,
    failure: failure?.message ?? null,
  })
}

function timelineOf({ seen }: Node): number | null {
  if (seen === null) return null
  if (!seen.inRecovery) return seen.timeline
  const known = Math.max(seen.detail?.controlTimeline ?? 0, seen.detail?.receivedTimeline ?? 0)
  return known === 0 ? null : known
}

/** The decision for one statement as it would fall now, without running it. */
export interface Explanation {
  readonly intent: 'read' | 'write' | 'session'
  /** The token or name of the statement that decided its intent. */
  readonly word: string
  readonly reason: string
  /** `host:port` of the node that would serve it; null: it would wait, or be refused. */
  readonly node: string | null
  /** That node is not proven yet: it would prove itself together with the rows, or the primary would be asked. */
  readonly guarded: boolean
  /** Every node that would not, and why. */
  readonly refused: Readonly<Record<string, string>>
}

/** Each refusal in words that say what would lift it. */
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
  avoided: 'it has just failed this statement',
}

/** received_tli is NULL for a role without pg_read_all_stats: such a role waits for the replica's next restartpoint. */
const GRANT = '; grant pg_read_all_stats to the role, or wait for the next restartpoint of that replica'

export function refusalsOf(topology: Topology, choice: Choice): Readonly<Record<NodeKey, string>> {
  const others = [...choice.refused].filter(([key]) => key !== choice.node?.key)
  const told = others.map(([key, refusal]): [NodeKey, string] => {
    const detail = topology.nodes.get(key)?.seen?.detail
    const blind = refusal === 'not-following' && detail?.receivedTimeline === null
    return [key, REFUSALS[refusal] + (blind ? GRANT : '')]
  })
  return Object.freeze(Object.fromEntries(told))
}
