// Our own errors and their codes. Errors of the server and of pg are never wrapped: they pass through, with `outcome` added.

import type { Outcome } from './core/failure.js'
import type { NodeKey } from './core/node.js'
import type { Refusal } from './core/selection.js'
import { printable } from './text.js'

export type PgherdErrorCode =
  | 'PGHERD_CONFIG'
  | 'PGHERD_NO_PRIMARY'
  | 'PGHERD_CONTESTED_PRIMARY'
  | 'PGHERD_MIXED_CLUSTERS'
  | 'PGHERD_NO_REPLICA'
  | 'PGHERD_QUEUE_FULL'
  | 'PGHERD_WEAK_AUTH'
  | 'PGHERD_AUTH'
  | 'PGHERD_PROTOCOL'
  | 'PGHERD_ROLLED_BACK'
  | 'PGHERD_ON_REPLICA'
  | 'PGHERD_TIMEOUT'
  | 'PGHERD_TOKEN'
  | 'PGHERD_BUSY'
  // The following four are met on the way to another attempt; a caller sees one only where no attempt is left.
  | 'PGHERD_DROPPED'
  | 'PGHERD_STALE'
  | 'PGHERD_MOVED'
  | 'PGHERD_NOT_PRIMARY'

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

/** An error of pgherd itself. The statement was never sent, so `outcome` is 'not-sent'; but for PGHERD_ROLLED_BACK. */
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

/** What pg's pool says when it is used after its end: libraries know the text. */
export function endedError(): Error {
  const error = new Error('Cannot use a pool after calling end on the pool')
  noteOutcome(error, 'not-sent')
  return error
}

/** drain() has waited in vain. The node is still left alone. */
export function busyError(key: NodeKey, clients: number, millis: number): PgherdError {
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

/** noteOutcome(), and as pg does: a stack that ends in the parser of a socket's data leads nobody to the caller. */
export function withOutcome(error: unknown, outcome: Outcome): unknown {
  if (noteOutcome(error, outcome) && error instanceof Error) Error.captureStackTrace(error)
  return error
}

/** Adds what is known of the statement's fate to an error that is passed through. False: it has one, or is frozen. */
export function noteOutcome(error: unknown, outcome: Outcome): boolean {
  if (typeof error !== 'object' || error === null || 'outcome' in error || !Object.isExtensible(error)) return false
  Object.defineProperty(error, 'outcome', { value: outcome, enumerable: true, configurable: true, writable: true })
  return true
}
