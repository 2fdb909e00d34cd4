// What is kept of one replica's history. Values only.

import type { NodeKey } from './address.js'
import type { Instant } from './instant.js'
import type { Lsn } from './lsn.js'
import type { Position, Receiver } from './sighting.js'

/** A replay position, and when the answer that has it arrived. */
export interface Arrived extends Position {
  readonly arrivedAt: Instant
}

/** One connection from which the replica receives: while its WAL receiver is the same process, its upstream is the same server. */
export interface Link {
  readonly pid: number
  /** When an answer that shows it first arrived. */
  readonly since: Instant
  /** What had been received by then, and whether more has come since: its upstream has accepted it, then. */
  readonly received: Lsn | null
  readonly flows: boolean
  /** Nodes that are not its upstream: each fed no server, or was not running, when asked after `since`. */
  readonly cleared: ReadonlySet<NodeKey>
  /** What was received lately may be of a node that has gone out of sight since. If the link ends now, that stays open. */
  readonly disputed: boolean
}

/** It may have replayed a fork. */
export interface Doubt {
  readonly at: Instant
  /** What the primary said before is accounted for. */
  readonly until: Instant
  /** The highest position that it had shown by then; null: none. */
  readonly floor: Lsn | null
  /** Whose fork it may be; null: that is not known. */
  readonly of: NodeKey | null
}

export interface Lineage {
  /** The epoch that `proven` is of. */
  readonly epoch: number
  /** The incarnation that `climb` is of: the start time of its server. */
  readonly startedAt: string
  /** Ever higher positions of one incarnation, oldest first. */
  readonly climb: readonly Arrived[]
  /** The newest, and what it came with. */
  readonly last: Arrived | null
  readonly receiver: Receiver | null
  readonly link: Link | null
  readonly doubt: Doubt | null
  /** The newest position that is proven to be one of the primary's history. */
  readonly proven: Position | null
  /**
   * Positions that count as soon as every node that may be the upstream has been seen in recovery after them, and where it is
   * not known which one is, the primary has been there: two at most.
   */
  readonly pending: readonly Arrived[]
  /** What it shows counts at once: none of its possible upstreams can have left recovery. */
  readonly direct: boolean
}

export const NO_LINEAGE: Lineage = {
  epoch: 0,
  startedAt: '',
  climb: [],
  last: null,
  receiver: null,
  link: null,
  doubt: null,
  proven: null,
  pending: [],
  direct: false,
}
