// What became of a statement that somebody sent on a client of their own, and that failed: `outcome` is in the error before
// anybody hears of it. Holds nothing up, and repeats nothing.

import type { Client } from 'pg'
import { failureOf, outcomeInSession, type Situation } from '../core/failure.js'
import { closingOf } from '../core/session.js'
import { noteOutcome } from '../errors.js'
import { type Internals, isReadTimeout } from './turn.js'
import type { Wire } from './wire.js'

/** pg's own object of a statement, or what submits itself. */
export interface Statement {
  readonly text?: unknown
  readonly cursor?: { readonly text?: unknown }
  handleError(error: unknown, connection: unknown): unknown
}

/** COMMIT or PREPARE TRANSACTION, perhaps among others. */
const COMMITS = /\b(?:commit|end|prepare)\b/i

/** Called for each statement before it is sent. `isWhole`: as in WireEvents. */
export function judged(statement: Statement, client: Client, wire: Wire, isWhole: (text: string) => boolean): void {
  const told = statement.handleError
  statement.handleError = function (this: Statement, error, connection) {
    noteFate(error, this, client, wire, isWhole)
    return told.call(this, error, connection)
  }
}

export function noteFate(
  error: unknown,
  { text, cursor }: Pick<Statement, 'text' | 'cursor'>,
  client: Client,
  wire: Wire,
  isWhole: (text: string) => boolean
): void {
  if (wire.submitting) {
    // What pg could not even put into bytes: the server is told to forget it.
    noteOutcome(error, 'not-sent')
    return
  }
  const sql = typeof text === 'string' ? text : typeof cursor?.text === 'string' ? cursor.text : null
  const failure = failureOf(error, wire.completed ? 'completed' : 'handed')
  noteOutcome(error, outcomeInSession(failure, situationOf(sql, client, isWhole, isReadTimeout(error))))
}

function situationOf(
  sql: string | null,
  client: Client,
  isWhole: (text: string) => boolean,
  goesOn: boolean
): Situation {
  const { _queryable, _ending, pipeline } = client as unknown as Internals
  const status = (client as unknown as { readonly _txStatus?: unknown })._txStatus
  const whole = sql !== null && isWhole(sql)
  return {
    inBlock: status === 'T' || status === 'E',
    // Pipelined, what commits may have been sent behind it.
    commits: pipeline === true ? 'perhaps' : commitsOf(sql, whole),
    whole,
    alive: goesOn || (_queryable && !_ending),
  }
}

function commitsOf(sql: string | null, whole: boolean): Situation['commits'] {
  if (sql === null) return 'perhaps'
  if (whole || !COMMITS.test(sql)) return 'no'
  const closing = closingOf(sql)
  if (closing === null) return 'perhaps'
  return closing.commits ? 'only' : 'no'
}
