// When a read that a replica leaves unanswered may be sent to a second replica as well, and how many may. Reads no clock, and chooses no
// node.

import type { Node } from './node.js'
import type { Chosen } from './selection.js'
import type { Topology } from './topology.js'

/** Between two nodes only: what is known of the others does not count. */
export interface Hedging {
  /** On the monotonic clock, in milliseconds. */
  readonly now: number
  readonly hedgeMillis: number
  /** When a node was suspect last, on the same clock; -Infinity: none was. */
  readonly suspectedAt: number
}

/**
 * The servers are well, as far as is known, and more than one replica is there. A cluster in trouble gets no work twice: a replica that is
 * slow since another has failed would be slower for it.
 */
export function mayHedge(
  { primary, nodes }: Topology,
  first: Chosen,
  { now, hedgeMillis, suspectedAt }: Hedging
): boolean {
  if (primary === null || !isHedgeable(first) || now - suspectedAt < hedgeMillis) return false
  let replicas = 0
  for (const { state, suspect, draining } of nodes.values()) {
    if (suspect !== null) return false
    if (state.kind === 'down' && now - state.since.mono < hedgeMillis) return false
    if (state.kind === 'replica' && !draining) replicas++
  }
  return replicas > 1
}

/** A replica that is proven for the read, or a read without a bound. A guess gets no second one beside it. */
export function isHedgeable({
  node,
  reason,
}: {
  readonly node: Pick<Node, 'state'>
  readonly reason: Chosen['reason']
}): boolean {
  return node.state.kind === 'replica' && (reason === 'proven' || reason === 'unbounded')
}

/** So many reads earn one hedge: at most 5 % of reads are sent twice. */
const READS_PER_HEDGE = 20
/** Quiet times save up for no more than this. */
const MOST_HEDGES = 10

/** How many reads may be sent twice, given how many were not. */
export class HedgeBudget {
  #reads = 0

  /** Another read that may be hedged was sent. */
  earn(): void {
    if (this.#reads < MOST_HEDGES * READS_PER_HEDGE) this.#reads++
  }

  /** False: too many were sent twice already. */
  take(): boolean {
    if (this.#reads < READS_PER_HEDGE) return false
    this.#reads -= READS_PER_HEDGE
    return true
  }

  /** The second was not sent. */
  giveBack(): void {
    this.#reads = Math.min(this.#reads + READS_PER_HEDGE, MOST_HEDGES * READS_PER_HEDGE)
  }
}
