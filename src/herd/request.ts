// What a caller asks of the herd, and one attempt at it.

import type { Failure, Phase, Repeatable, Source } from '../core/cluster/failure.js'
import type { Chosen, Target } from '../core/cluster/selection.js'

/** What a caller wants done: where, and whether it may be done again after a failure. */
export interface Request {
  readonly target: Target
  /** Asked only when an attempt has failed. */
  readonly repeat: () => Repeatable
  /** The caller did not insist on a replica, so the primary does what a replica cannot do. */
  readonly repairs: boolean
  /** A replica refused the statement, so it goes to the primary; later, if that served it. */
  readonly learn?: (refusal: Failure, what: 'refused' | 'served') => void
  /** The same, decided anew. Asked while the request waits for a node, as what it was decided from may have changed. */
  readonly again?: (() => Request) | undefined
  /** True: whatever becomes known of the servers, `again` would give it to the primary. So one waiter can be asked for many. */
  readonly stays?: (() => boolean) | undefined
  /** The answer may never come (a cursor): once it is handed over its client is all that the end of the pool waits for. */
  readonly endless?: true | undefined
  /** The caller gives up: a waiter for a node is told so at once. */
  readonly signal?: AbortSignal | undefined
  /** A read that may be sent to a second replica, if the first does not answer in time. */
  readonly hedge?: boolean | undefined
}

/** One attempt: the node that was chosen, and how far the statement got there. The face moves `phase` on. */
export interface Attempt extends Chosen {
  phase: Phase
  /** The origin of the error that the attempt ends with. The face saw it, and sets this before it rejects. */
  source: Source
  /** A replica refused the statement as if it wrote, so it may well write here. */
  readonly doubtful: boolean
  /** The caller no longer waits for a connection there. */
  abandoned: boolean
  /** Of an endless request: called when it is handed over. */
  letGo: (() => void) | null
  /** Another server does as well: a login that takes long is not waited for. */
  movable: boolean
  /** It runs beside another attempt at the same read: only where a connection is idle, or can be opened at once. */
  readonly isHedge: boolean
  /** Another attempt may answer the same read before this one; null: none will. */
  race: Race | null
}

/** Ends an attempt whose read another has answered. `over` is called when its server does not work on it any more. */
export type GiveUp = (over: () => void) => void

/** Two attempts at one read, of which the first that answers counts. */
export interface Race {
  /** The read was handed to a connection, which gives it up so. A read that is sent again is handed over again. */
  handed(attempt: Attempt, giveUp: GiveUp): void
  /** True for the attempt that asks first: its answer is the caller's. */
  wins(attempt: Attempt): boolean
}

/** Its answer is the one that the caller gets. */
export function hasWon(attempt: Attempt): boolean {
  return attempt.race?.wins(attempt) ?? true
}

export const PRIMARY: Target = { role: 'primary' }

/** Only a replica will do. */
export function insists(target: Target): boolean {
  return target.role === 'replica' && target.otherwise === 'refuse'
}
