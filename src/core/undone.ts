// What a server takes back when it refuses a statement: decided by the form of the statement and by the functions that it
// calls, for retries and outcomes alike. Tables only; classify.ts reads the text. What functions of the user's own do comes
// from the catalogue (definitions.ts). Measured on PostgreSQL 12 to 18.

/**
 * whole: the server undoes all of it, so it may run again. A number that a sequence has given is not given again: that is no effect.
 * session: the same, but it concerns its own session, so another connection is no place to run it again.
 * repeatable: it works in several transactions, and to do the rest later, or all of it again, is what it is made for.
 * hidden: what it runs is not in its text, nor in what is known of the catalogue.
 * parts: outside of a transaction block it commits parts of itself, or leaves something behind when it fails.
 * outside: it acts outside of its transaction, which a rollback does not reach: another server, a file, a signal, a lock.
 */
export type Undone = 'whole' | 'session' | 'repeatable' | 'hidden' | 'parts' | 'outside'

const GRAVITY = {
  whole: 0,
  session: 1,
  repeatable: 2,
  hidden: 3,
  parts: 4,
  outside: 5,
} as const satisfies Record<Undone, number>

/** What is true of two things that one text does. */
export function weaker(a: Undone, b: Undone): Undone {
  return GRAVITY[a] < GRAVITY[b] ? b : a
}

/** Refused, nothing of it stays; `inBlock`: a transaction block was open, which takes along what stands in it. */
export function isUndone(undone: Undone, inBlock: boolean): boolean {
  return undone === 'whole' || undone === 'session' || (inBlock && undone !== 'outside')
}

/** Refused, it may run again on another connection. */
export function isRepeatable(undone: Undone): boolean {
  return undone === 'whole' || undone === 'repeatable'
}

/** It may have committed something when it has ended, whatever becomes of the transaction around it. */
export function actsOutside(undone: Undone): boolean {
  return undone === 'outside' || undone === 'parts'
}
