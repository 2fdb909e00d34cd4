// Chooses a node for a target from one topology: refuses by rule, then balances among the rest. Does not wait, connect or
// read a clock. The refused nodes and the reasons are data: they become the error that the caller reads.

import type { NodeKey } from './address.js'
import { standbysOf } from './alone.js'
import type { BalancePolicy, Evidence, Moment } from './balance.js'
import { isOpen, shareOf } from './breaker.js'
import { type Candidate, choose, type Freshness, type Need } from './freshness.js'
import { holdsMillis, type Required } from './horizon.js'
import { isBalanced } from './identity.js'
import type { Instant } from './instant.js'
import type { Node } from './node.js'
import type { Topology } from './topology.js'
import { ofZone } from './zone.js'

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
      /** Only standbys are known, and no primary ever was: serve as pg would, or refuse. Absent: refuse. */
      readonly alone?: 'serve' | 'refuse' | undefined
      /** Where the reads before this one went, so that it does not go backwards. */
      readonly stick?: StickyReplica | null | undefined
    }

/** The replica that a session reads from. Any other must also have all that was acknowledged before the last read ended. */
export interface StickyReplica {
  readonly key: NodeKey
  readonly generation: number
  readonly losses: number
  /** On the monotonic clock, in milliseconds. */
  readonly since: number
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
  | 'draining' // the application wants it left alone
  | 'balanced' // several servers answer there, so nothing is proven of a connection
  | 'recovering' // it failed lately, and reads keep away from it for a while
  | 'spare' // its weight is 0
  | 'other-zone' // a replica of the zone of this process can serve
  | 'avoided' // it has just failed this statement

/** Why the chosen node is right. */
export type Reason =
  | 'primary'
  | 'only-node'
  | 'proven'
  | 'guarded'
  | 'unbounded'
  | 'unproven' // there are standbys only, and no primary was ever seen that could prove anything
  | 'no-replica-qualifies'

export interface Chosen {
  readonly node: Node
  readonly reason: Reason
  /** The position that makes the read right: a connection younger than the node's own position must prove it itself. */
  readonly required: Required | null
  /** Replicas that were passed over, where the primary serves in their stead. */
  readonly refused: ReadonlyMap<NodeKey, Refusal>
}

export type Choice =
  | Chosen
  | {
      readonly node: null
      readonly refused: ReadonlyMap<NodeKey, Refusal>
      /** The position that decides is on its way: worth waiting for, once. */
      readonly awaits?: boolean
    }

/** Replicas that are proven for a target, for as long as that holds: any of them may serve, without another look at the rest. */
export interface Standing {
  readonly nodes: readonly Node[]
  readonly reason: Reason
  readonly required: Required | null
  readonly refused: ReadonlyMap<NodeKey, Refusal>
  readonly at: Instant
  /** From `at` on, on this topology. */
  readonly holdsMillis: number
}

const NONE: ReadonlyMap<NodeKey, Refusal> = new Map()

export function select(topology: Topology, target: Target, policy: BalancePolicy, moment: Moment): Choice {
  if (target.role === 'primary') return selectPrimary(topology, moment.avoid)
  const replica = selectReplica(topology, target, policy, moment)
  if (replica.node !== null || replica.awaits || target.otherwise === 'refuse') return replica
  return selectPrimary(topology, moment.avoid, replica.refused)
}

/** Needs no clock and no chance. `passed`: the replicas that were refused before the primary is asked. */
export function selectPrimary(
  topology: Topology,
  avoid: ReadonlySet<NodeKey>,
  passed: ReadonlyMap<NodeKey, Refusal> = NONE
): Choice {
  const primary = topology.primary === null ? undefined : topology.nodes.get(topology.primary)
  const reason = passed === NONE ? 'primary' : 'no-replica-qualifies'
  if (primary !== undefined && primary.suspect === null && !primary.draining) {
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
    if (node.draining) continue
    if (node.seen !== null) return node
    fallback ??= node
  }
  return fallback
}

/** Returns why a write would not go to this node. */
export function unfitPrimary(node: Node): Refusal {
  if (node.draining) return 'draining'
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
  // A suspect primary may be healthy: until it is down the bound stands, and a read that nothing proves waits.
  const orphaned = topology.primary === null
  const maxLagMillis = orphaned ? Math.max(target.need.maxLagMillis, target.maxStaleMillis) : target.need.maxLagMillis
  const need = { ...target.need, maxLagMillis, orphaned }
  const { stick } = target
  const refused = new Map<NodeKey, Refusal>()
  const alone = topology.alone && target.alone === 'serve' && !need.carried
  const bounded = !alone && (maxLagMillis !== Infinity || asksMore(target.maxLagBytes, need, stick))
  const spare: Node[] = []
  let fit: Node[] = []
  for (const node of topology.nodes.values()) {
    const refusal = unfitReplica(node, moment, bounded)
    if (refusal !== null) refused.set(node.key, refusal)
    else if (node.address.weight === 0 || isOpen(node.breaker, moment.now)) spare.push(node)
    else fit.push(node)
  }
  if (alone) return standing(topology, standbysOf(fit, spare, stick?.key ?? null), target, refused, policy, moment)
  // A spare replica is better than none.
  if (fit.length === 0 && (orphaned || target.otherwise === 'refuse')) fit = spare
  else for (const { key, address } of spare) refused.set(key, address.weight === 0 ? 'spare' : 'recovering')
  if (stick) {
    const same = fit.filter((node) => isSame(node, stick))
    const fresh = freshnessOf(topology, same, need, target, moment)
    if (same.length > 0 && fresh.go !== 'primary') return chosen(topology, same, fresh, refused, policy, moment)
    const since = Math.max(need.since ?? stick.since, stick.since)
    return chosen(
      topology,
      fit,
      freshnessOf(topology, fit, { ...need, since }, target, moment),
      refused,
      policy,
      moment
    )
  }
  return chosen(topology, fit, freshnessOf(topology, fit, need, target, moment), refused, policy, moment)
}

/**
 * All that select() would choose from with this policy, `chosen` being one of them; null: it depends on more than the topology and the
 * age of its samples.
 */
export function standingOf(
  topology: Topology,
  target: Target,
  { reason, required, refused }: Chosen,
  now: Instant
): Standing | null {
  if (target.role === 'primary' || target.stick || topology.alone || target.maxLagBytes !== Infinity) return null
  if ((reason !== 'proven' && reason !== 'unbounded') || topology.primary === null || target.need.carried) return null
  const nodes: Node[] = []
  for (const node of topology.nodes.values()) {
    if (node.breaker !== null) return null
    if (node.state.kind === 'replica' && !refused.has(node.key)) nodes.push(node)
  }
  const { maxLagMillis } = target.need
  const holds = maxLagMillis === Infinity ? Infinity : holdsMillis(topology.wal, maxLagMillis, now)
  return { nodes, reason, required, refused, at: now, holdsMillis: holds }
}

function asksMore(maxLagBytes: number, need: Need, stick: ReplicaTarget['stick']): boolean {
  if (maxLagBytes !== Infinity || need.since !== null || (need.doubt != null && need.orphaned !== true)) return true
  return Boolean(need.captured ?? need.carried ?? stick)
}

/** No primary was ever seen, so nothing is proven about these replicas: any may serve. */
function standing(
  topology: Topology,
  candidates: readonly Node[],
  { need }: ReplicaTarget,
  refused: Map<NodeKey, Refusal>,
  policy: BalancePolicy,
  moment: Moment
): Choice {
  if (candidates.length === 0) return { node: null, refused }
  const node = preferred(topology, candidates, refused, policy, moment)
  return { node, reason: need.maxLagMillis === Infinity ? 'unbounded' : 'unproven', required: null, refused }
}

/** Any of them may serve: those of the zone of this process first. */
function preferred(
  { rules }: Topology,
  candidates: readonly Node[],
  refused: Map<NodeKey, Refusal>,
  policy: BalancePolicy,
  moment: Moment
): Node {
  const near = ofZone(candidates, rules.zone ?? null)
  if (near !== candidates) {
    for (const node of candidates) if (!near.includes(node)) refused.set(node.key, 'other-zone')
  }
  return near.length === 1 ? (near[0] as Node) : policy(near, moment)
}

/** Returns true if this is the replica that the session read from, and it is not known to have gone back since. */
export function isSame(node: Node, stick: StickyReplica): boolean {
  return node.key === stick.key && node.generation === stick.generation && node.losses === stick.losses
}

const NOTHING_KNOWN: Evidence = {
  isComing: () => false,
  tripMillis: 0,
  mayAwait: false,
  mayGuard: false,
  behindMillis: () => 0,
}

function freshnessOf(topology: Topology, fit: readonly Node[], need: Need, target: Target, moment: Moment): Freshness {
  const evidence = moment.evidence ?? NOTHING_KNOWN
  const candidates = fit.map(({ key, state }): Candidate => {
    const replayed = state.kind === 'replica' ? (state.position?.lsn ?? null) : null
    // Where a guard proves nothing, none is tried.
    const blind = state.kind === 'replica' && state.direct === false
    return { key, replayed, behindMillis: blind ? Infinity : evidence.behindMillis(key) }
  })
  const { isComing, tripMillis, mayAwait, mayGuard } = evidence
  const bytes = target.role === 'replica' ? target.maxLagBytes : Infinity
  const circumstances = { now: moment.now, isComing, tripMillis, mayAwait, mayGuard }
  return choose(need, bytes, topology.wal, topology.epoch, candidates, circumstances)
}

function chosen(
  topology: Topology,
  fit: readonly Node[],
  fresh: Freshness,
  refused: Map<NodeKey, Refusal>,
  policy: BalancePolicy,
  moment: Moment
): Choice {
  switch (fresh.go) {
    case 'wait':
      for (const { key } of fit) refused.set(key, 'unproven')
      return { node: null, refused, awaits: true }
    case 'primary':
      for (const { key } of fit) refused.set(key, fresh.why)
      return { node: null, refused }
    case 'guarded': {
      const candidates = among(fit, fresh.keys, refused)
      const node = preferred(topology, candidates, refused, policy, moment)
      return { node, reason: 'guarded', required: fresh.required, refused }
    }
    case 'proven': {
      const candidates = eased(among(fit, fresh.keys, refused), moment)
      if (candidates.length === 0) return { node: null, refused }
      const node = preferred(topology, candidates, refused, policy, moment)
      return { node, reason: fresh.required === null ? 'unbounded' : 'proven', required: fresh.required, refused }
    }
    default:
      return fresh satisfies never
  }
}

/** Of the fit replicas those of these keys; the others are refused. */
function among(fit: readonly Node[], keys: readonly NodeKey[], refused: Map<NodeKey, Refusal>): readonly Node[] {
  if (keys.length === fit.length) return fit
  const chosen = new Set(keys)
  for (const { key } of fit) if (!chosen.has(key)) refused.set(key, 'too-far-behind')
  return fit.filter(({ key }) => chosen.has(key))
}

/** A replica that has come back gets its share of reads little by little, where others can have the rest. */
function eased(candidates: readonly Node[], { now, random }: Moment): readonly Node[] {
  if (candidates.every(({ breaker }) => breaker === null)) return candidates
  // Chance decides between equals after this: other digits of the same number.
  const dice = (random * 1000) % 1
  const eager = candidates.filter(({ breaker }) => dice < shareOf(breaker, now))
  return eager.length > 0 ? eager : candidates
}

/** What forbids a replica whatever is known of the primary's position. */
function unfitReplica(node: Node, moment: Moment, bounded: boolean): Refusal | null {
  const { state } = node
  if (state.kind === 'primary') return 'is-primary'
  if (state.kind !== 'replica') return unfitPrimary(node)
  if (node.draining) return 'draining'
  if (node.suspect !== null) return 'suspect'
  if (moment.avoid.has(node.key)) return 'avoided'
  if (!bounded) return null
  if (isBalanced(node.identity, moment.now)) return 'balanced'
  if (state.position === null) return 'no-position'
  return state.follows ? null : 'not-following'
}
