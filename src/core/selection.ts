// Chooses a node for a target from one picture: refuse by rule, then balance among equals. Does not wait, connect or
// know the time. Who was refused, and why, is data: it becomes the error that the caller reads.

import type { BalancePolicy, Moment } from './balance.js'
import { bytesBehind, type Need, requiredPosition } from './horizon.js'
import type { Lsn } from './lsn.js'
import type { Node, NodeKey } from './node.js'
import type { Topology } from './topology.js'

export type Target =
  | { readonly role: 'primary' }
  | {
      readonly role: 'replica'
      readonly need: Need
      readonly maxLagBytes: number
      /** The lag bound while no primary can be reached, where it is wider than `need.maxLagMillis`. */
      readonly maxStaleMillis: number
      /** Nothing qualifies: go to the primary, or refuse. */
      readonly otherwise: 'primary' | 'refuse'
    }

export type Refusal =
  | 'not-probed'
  | 'not-used' // found beside several configured hosts: shown only
  | 'down'
  | 'suspect'
  | 'foreign'
  | 'alias'
  | 'in-recovery' // a primary was asked for
  | 'claims-primary' // not in recovery, and not believed
  | 'is-primary' // a replica was asked for
  | 'not-following' // not proved to follow the primary's timeline
  | 'no-position' // no position since its connection was made
  | 'unproven' // no sample of the primary is young enough to prove anything
  | 'too-far-behind'
  | 'avoided' // it has just failed this statement

/** Why the chosen node is right. */
export type Reason = 'primary' | 'only-node' | 'proven' | 'unbounded' | 'no-replica-qualifies'

export interface Chosen {
  readonly node: Node
  readonly reason: Reason
  /** The position that makes the read right: a connection younger than the node's own position must prove it itself. */
  readonly required: Lsn | null
  /** Replicas that were passed over, where the primary serves in their stead. */
  readonly refused: ReadonlyMap<NodeKey, Refusal>
}

export type Choice = Chosen | { readonly node: null; readonly refused: ReadonlyMap<NodeKey, Refusal> }

const NONE: ReadonlyMap<NodeKey, Refusal> = new Map()

export function select(topology: Topology, target: Target, policy: BalancePolicy, moment: Moment): Choice {
  if (target.role === 'primary') return selectPrimary(topology, moment.avoid)
  const replica = selectReplica(topology, target, policy, moment)
  if (replica.node !== null || target.otherwise === 'refuse') return replica
  return selectPrimary(topology, moment.avoid, replica.refused)
}

/** Needs no clock and no chance. `passed`: the replicas in whose stead the primary is asked. */
export function selectPrimary(
  topology: Topology,
  avoid: ReadonlySet<NodeKey>,
  passed: ReadonlyMap<NodeKey, Refusal> = NONE
): Choice {
  const primary = topology.primary === null ? undefined : topology.nodes.get(topology.primary)
  const reason = passed === NONE ? 'primary' : 'no-replica-qualifies'
  if (primary !== undefined && primary.suspect === null) {
    return { node: primary, reason, required: null, refused: passed }
  }
  const only = topology.plural ? undefined : onlyNode(topology, avoid)
  if (only !== undefined) return { node: only, reason: 'only-node', required: null, refused: passed }
  const refused = new Map<NodeKey, Refusal>()
  for (const node of topology.nodes.values()) refused.set(node.key, passed.get(node.key) ?? unfitPrimary(node))
  return { node: null, refused }
}

/**
 * One server was ever known: whatever it is, it is what the user asked for, and its errors are the answer, as with pg.
 * A name with several addresses that never showed two servers is tried address by address. A node that was only found is
 * no such address: nothing is sent to it before it has proved what it is.
 */
export function onlyNode(topology: Topology, avoid: ReadonlySet<NodeKey>): Node | undefined {
  let fallback: Node | undefined
  for (const node of topology.nodes.values()) {
    if (avoid.has(node.key) || node.state.kind === 'alias' || node.address.origin !== 'configured') continue
    if (node.seen !== null) return node
    fallback ??= node
  }
  return fallback
}

function unfitPrimary(node: Node): Refusal {
  switch (node.state.kind) {
    case 'unknown':
      return node.address.origin === 'shown' ? 'not-used' : 'not-probed'
    case 'down':
    case 'foreign':
    case 'alias':
      return node.state.kind
    case 'replica':
      return 'in-recovery'
    case 'claimant':
      return 'claims-primary'
    case 'primary':
      return 'suspect'
    default:
      return node.state satisfies never
  }
}

type ReplicaTarget = Extract<Target, { role: 'replica' }>

function selectReplica(topology: Topology, target: ReplicaTarget, policy: BalancePolicy, moment: Moment): Choice {
  // A suspect primary may be well: until it is convicted the bound stands, and a read that nothing proves waits.
  const orphaned = topology.primary === null
  const maxLagMillis = orphaned ? Math.max(target.need.maxLagMillis, target.maxStaleMillis) : target.need.maxLagMillis
  const required = requiredPosition(topology.wal, { ...target.need, maxLagMillis }, moment.now)
  const candidates: Node[] = []
  const refused = new Map<NodeKey, Refusal>()
  for (const node of topology.nodes.values()) {
    const refusal = unfitReplica(topology, node, required, target, moment)
    if (refusal === null) candidates.push(node)
    else refused.set(node.key, refusal)
  }
  if (candidates.length === 0) return { node: null, refused }
  const node = candidates.length === 1 ? (candidates[0] as Node) : policy(candidates, moment)
  if (!candidates.includes(node)) throw new TypeError('option balance must return one of the candidates it was given')
  if (required === 'unproven' || required === null) return { node, reason: 'unbounded', required: null, refused }
  return { node, reason: 'proven', required, refused }
}

function unfitReplica(
  topology: Topology,
  node: Node,
  required: Lsn | 'unproven' | null,
  target: ReplicaTarget,
  moment: Moment
): Refusal | null {
  const { state } = node
  if (state.kind === 'primary') return 'is-primary'
  if (state.kind !== 'replica') return unfitPrimary(node)
  if (node.suspect !== null) return 'suspect'
  if (moment.avoid.has(node.key)) return 'avoided'
  if (required === null && target.maxLagBytes === Infinity) return null
  if (required === 'unproven') return 'unproven'
  if (state.position === null) return 'no-position'
  if (!state.follows) return 'not-following'
  if (required !== null && state.position.lsn < required) return 'too-far-behind'
  return bytesBehind(topology.wal, state.position.lsn) > target.maxLagBytes ? 'too-far-behind' : null
}
