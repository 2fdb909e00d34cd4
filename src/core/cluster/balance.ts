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

/** The node with the fewest statements in flight; chance decides between equals. */
export function leastInFlight(candidates: readonly Node[], moment: Moment): Node {
  const start = Math.floor(moment.random * candidates.length)
  let best = candidates[start] as Node
  let fewest = moment.inFlight(best.key)
  for (let i = 1; i < candidates.length && fewest > 0; i++) {
    const node = candidates[(start + i) % candidates.length] as Node
    const count = moment.inFlight(node.key)
    if (count < fewest) {
      best = node
      fewest = count
    }
  }
  return best
}

export const policies = { leastInFlight } as const satisfies Record<string, BalancePolicy>
export type PolicyName = keyof typeof policies
