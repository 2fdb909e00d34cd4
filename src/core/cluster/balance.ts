// Chooses one of several nodes that may all serve. Refuses no node: selection.ts does.

import type { NodeKey } from './address.js'
import type { Circumstances } from './freshness.js'
import type { Instant } from './instant.js'
import type { Node } from './node.js'

/** What a decision may know of the world at the moment it is taken. */
export interface Moment {
  readonly now: Instant
  /** 0 ≤ random < 1 */
  readonly random: number
  /** Statements that this process has running on a node. */
  inFlight(key: NodeKey): number
  /** Nodes that already failed this statement. */
  readonly avoid: ReadonlySet<NodeKey>
  /** What is known of positions and replicas; absent: only what the topology says. */
  readonly evidence?: Evidence | undefined
}

/** What is known beyond the topology: how positions can be had. */
export interface Evidence extends Omit<Circumstances, 'now'> {
  behindMillis(key: NodeKey): number
}

/** Picks from a non-empty list; must return a member of it. */
export type BalancePolicy = (candidates: readonly Node[], moment: Moment) => Node

/**
 * The node with the fewest statements in flight for its weight. Between equals chance decides, by weight: a process that sends one
 * statement at a time keeps the shares, too. It looks at every node: of two that chance has drawn, both may be slow ones, and what
 * this process has in flight is known exactly (bench/balance.ts). Nothing is allocated.
 */
export function leastInFlight(candidates: readonly Node[], moment: Moment): Node {
  let least = Infinity
  let weights = 0
  for (const node of candidates) {
    const load = loadOf(node, moment)
    if (load < least) weights = 0
    if (load > least) continue
    least = load
    weights += weightOf(node)
  }
  let best = candidates[0] as Node
  let rest = moment.random * weights
  for (const node of candidates) {
    if (loadOf(node, moment) !== least) continue
    best = node
    rest -= weightOf(node)
    if (rest < 0) break
  }
  return best
}

function loadOf(node: Node, moment: Moment): number {
  return moment.inFlight(node.key) / weightOf(node)
}

/** A candidate of weight 0 is one since there is no other: all of these are equal. */
function weightOf({ address }: Node): number {
  return address.weight || 1
}

export const policies = { leastInFlight } as const satisfies Record<string, BalancePolicy>
export type PolicyName = keyof typeof policies
