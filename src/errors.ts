// Our own errors and their codes. Errors of the server and of pg are never wrapped: they pass through, with `outcome` added.

import type { NodeKey } from './core/cluster/address.js'
import type { Outcome } from './core/cluster/failure.js'
import type { Refusal } from './core/cluster/selection.js'
import { isA } from './core/thrown.js'
import { printable } from './core/words.js'

export type PgherdErrorCode =
  | 'PGHERD_CONFIG'
  | 'PGHERD_NO_PRIMARY'
  | 'PGHERD_CONTESTED_PRIMARY'
  | 'PGHERD_MIXED_CLUSTERS'
  | 'PGHERD_NO_REPLICA'
  | 'PGHERD_QUEUE_FULL'
  | 'PGHERD_WEAK_AUTH'
  | 'PGHERD_AUTH'
  | 'PGHERD_VERSION'
  | 'PGHERD_PROTOCOL'
  | 'PGHERD_ROLLED_BACK'
  | 'PGHERD_ON_REPLICA'
  | 'PGHERD_TIMEOUT'
  | 'PGHERD_TOKEN'
  | 'PGHERD_BUSY'
  // The following five are met on the way to another attempt; a caller sees one only where no attempt is left.
  | 'PGHERD_DROPPED'
  | 'PGHERD_STALE'
  | 'PGHERD_MOVED'
  | 'PGHERD_NOT_PRIMARY'
  | 'PGHERD_NOT_REPLICA'

/** One line per node: what is believed of it, and why it could not serve. */
export interface NodeReport {
  readonly state: string
  readonly refused: Refusal | null
  /** The newest failure, in the words of the server or the socket. */
  readonly detail: string | null
}

export interface PgherdErrorFields {
  readonly nodes?: ReadonlyMap<NodeKey, NodeReport>
  readonly cause?: unknown
  readonly outcome?: Outcome
}

/** An error of pgherd itself. The statement was never sent, so `outcome` is 'not-sent'; but for PGHERD_ROLLED_BACK and PGHERD_PROTOCOL. */
export class PgherdError extends Error {
  readonly code: PgherdErrorCode
  readonly outcome: Outcome
  /** Every known node, and why it was not used. Empty where nodes played no part. */
  readonly nodes: ReadonlyMap<NodeKey, NodeReport>

  constructor(code: PgherdErrorCode, message: string, fields: PgherdErrorFields = {}) {
    super(message + listed(fields.nodes), fields.cause === undefined ? undefined : { cause: fields.cause })
    this.name = 'PgherdError'
    this.code = code
    this.outcome = fields.outcome ?? 'not-sent'
    this.nodes = fields.nodes ?? new Map()
  }
}

/** An argument of a call cannot be what it is. A TypeError, as pg throws for its own; it shows no value that may be a secret. */
export function argumentError(message: string): TypeError {
  return unsent(Object.assign(new TypeError(message), { code: 'PGHERD_CONFIG' as const }))
}

/** What pg's pool says when it is used after its end: libraries know the text. */
export function endedError(): Error {
  const error = new Error('Cannot use a pool after calling end on the pool')
  noteOutcome(error, 'not-sent')
  return error
}

/** drain() has timed out. The node still gets no new statements. */
export function busyError(key: string, clients: number, millis: number): PgherdError {
  return new PgherdError(
    'PGHERD_BUSY',
    `${clients} connections to ${key} are still in use after ${millis} ms. It gets no new statements: wait for those ` +
      'that run, give checked-out clients back, or call resume() to use it again.'
  )
}

function listed(nodes: ReadonlyMap<NodeKey, NodeReport> | undefined): string {
  if (nodes === undefined || nodes.size === 0) return ''
  return [...nodes]
    .map(([key, { state, refused, detail }]) => {
      const why = [refused === state ? null : refused, detail === null ? null : printable(detail)]
        .filter((part) => part !== null)
        .join(', ')
      return `\n  ${printable(key)}: ${printable(state)}${why === '' ? '' : ` (${why})`}`
    })
    .join('')
}

/** noteOutcome(), with a new stack, as in pg: one that ends in the parser of a socket's data does not lead to the caller. */
export function withOutcome(error: unknown, outcome: Outcome): unknown {
  const isNoted = noteOutcome(error, outcome)
  if (typeof error === 'object' && error !== null) deliver(error)
  try {
    if (isNoted && isA(error, Error)) Error.captureStackTrace(error)
  } catch {
    // Its stack cannot be written: it stays as it was.
  }
  return error
}

/** Errors whose `outcome` was written here, or by PgherdError: any other `outcome` is the application's own. */
const noted = new WeakSet<object>()
/** Of those, the ones that a caller was given: if one comes again, it is of another statement. */
const delivered = new WeakSet<object>()
/** Likewise, however often they have come: what a caller was told is never taken back. */
const held = new WeakSet<object>()

function deliver(error: object): void {
  delivered.add(error)
  held.add(error)
}

/**
 * Adds the statement's outcome to an error that is passed through. An outcome that is there stays: the code that wrote it first
 * knows more. An error object that is thrown again, of another statement, gets what is true of both. False: there was one, or
 * the error cannot take it (it is frozen, or no object).
 */
export function noteOutcome(error: unknown, outcome: Outcome): boolean {
  if (typeof error !== 'object' || error === null) return false
  try {
    if ('outcome' in error) {
      if (delivered.delete(error) && isOurs(error)) write(error, common(error.outcome as Outcome, outcome))
      return false
    }
    if (!Object.isExtensible(error)) return false
    write(error, outcome)
    return true
  } catch {
    // A proxy refuses it.
    return false
  }
}

/** What was refused before any of it was sent. Its stack stays. */
export function unsent<T>(error: T): T {
  noteOutcome(error, 'not-sent')
  return error
}

/** Of the whole that failed, whatever the error says of one part of it. What the application itself has written stays. */
export function noteWhole(error: unknown, outcome: Outcome): void {
  if (typeof error !== 'object' || error === null) return
  try {
    const told = 'outcome' in error
    if (told ? isOurs(error) : Object.isExtensible(error)) {
      write(error, told && held.has(error) ? common(error.outcome as Outcome, outcome) : outcome)
    }
  } catch {
    // It cannot be read or written: it stays as it was.
  }
  deliver(error)
}

function isOurs(error: object): boolean {
  return noted.has(error) || isA(error, PgherdError)
}

function write(error: object, outcome: Outcome): void {
  Object.defineProperty(error, 'outcome', { value: outcome, enumerable: true, configurable: true, writable: true })
  noted.add(error)
}

/** Nothing of the one stays, and nothing of the other: so it is of both. In any other case something may have happened. */
function common(a: Outcome, b: Outcome): Outcome {
  if (a === b) return a
  const mayStay = (outcome: Outcome) => outcome === 'unknown' || outcome === 'committed'
  return mayStay(a) || mayStay(b) ? 'unknown' : 'rolled-back'
}

/** Removes the outcome of our own error for a statement in flight: the code that knows what was sent notes it. */
export function openOutcome(error: PgherdError): void {
  Reflect.deleteProperty(error, 'outcome')
}

/**
 * The application throws an error again that was noted of an earlier statement: what became of that is nothing about this one. An
 * error that a caller has keeps it, and noteOutcome() says what is true of both.
 */
export function clearOutcome(error: unknown): void {
  if (typeof error !== 'object' || error === null || held.has(error)) return
  if (noted.delete(error)) Reflect.deleteProperty(error, 'outcome')
}
