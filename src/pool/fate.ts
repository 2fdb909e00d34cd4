// What became of a statement that somebody sent on a client of their own, and that failed: `outcome` is in the error before
// anybody hears of it. Holds nothing up, and repeats nothing.

import type { Client } from 'pg'
import { failureOf, outcomeInSession, type Situation } from '../core/failure.js'
import { closingOf, onlyShapes } from '../core/session.js'
import { noteOutcome } from '../errors.js'
import { sourceOf } from '../pg/tap.js'
import type { Internals } from './turn.js'
import type { Wire } from './wire.js'

/** pg's own object of a statement, or what submits itself. */
interface Statement {
  readonly text?: unknown
  readonly cursor?: { readonly text?: unknown }
  /** A row of it could not be read: that is what its sender will hear. */
  readonly _canceledDueToError?: unknown
}

/** COMMIT or PREPARE TRANSACTION, perhaps among others. */
const COMMITS = /\b(?:commit|end|prepare)\b/i

/** What is under way has failed. What waits in line behind it fails with the same error, and so is not worse off. */
export function noteFate(error: unknown, client: Client, wire: Wire, isWhole: (text: string) => boolean): void {
  const statement = (client as unknown as Internals)._activeQuery as Statement | null | undefined
  // Given back with a statement under way, its sender still waits for that.
  if (!(wire.held || wire.released) || !statement) return
  const situation = situationOf(textOf(statement), client, isWhole)
  const unread = statement._canceledDueToError
  // Whatever a type parser throws is not the server's word.
  const source = unread ? 'unproven' : sourceOf(error, client, 0)
  const failure = failureOf(unread || error, wire.completed ? 'completed' : 'handed', source)
  noteOutcome(failure.error, outcomeInSession(failure, situation))
}

/** The answer is complete, and a row of it could not be read. */
export function noteUnread(client: Client, wire: Wire, isWhole: (text: string) => boolean): void {
  const { _activeQuery } = client as unknown as Internals
  const unread = (_activeQuery as Statement | null | undefined)?._canceledDueToError
  if (unread) noteFate(unread, client, wire, isWhole)
}

/** pg may refuse it for its form, before it is sent. */
export function isOdd(first: unknown, second: unknown): boolean {
  if (typeof first === 'string') return Boolean(second) && typeof second === 'object' && !Array.isArray(second)
  const { text, name, values } = (first ?? {}) as { text?: unknown; name?: unknown; values?: unknown }
  return typeof text !== 'string' || Boolean(name) || (Boolean(values) && !Array.isArray(values))
}

/** What pg cannot put into bytes it does not send, but for the word to forget it. */
export function watchBinding(client: Client): void {
  const { connection } = client as unknown as { connection?: { bind(...args: unknown[]): unknown } }
  if (connection === undefined) return
  const bind = connection.bind.bind(connection)
  connection.bind = (...args) => {
    try {
      return bind(...args)
    } catch (error) {
      noteOutcome(error, 'not-sent')
      throw error
    }
  }
}

function textOf({ text, cursor }: Statement): string | null {
  if (typeof text === 'string') return text
  return typeof cursor?.text === 'string' ? cursor.text : null
}

function situationOf(sql: string | null, client: Client, isWhole: (text: string) => boolean): Situation {
  const { _queryable, _ending, pipeline, _txStatus } = client as unknown as Internals
  const whole = sql !== null && isWhole(sql)
  // BEGIN, SET: what they do goes with the session.
  const shapes = sql !== null && onlyShapes(sql) && closingOf(sql) === null
  return {
    inBlock: shapes || _txStatus === 'T' || _txStatus === 'E',
    // Pipelined, what commits may have been sent behind it.
    commits: pipeline === true ? 'perhaps' : commitsOf(sql, whole),
    whole,
    alive: _queryable && !_ending,
  }
}

function commitsOf(sql: string | null, whole: boolean): Situation['commits'] {
  if (sql === null) return 'perhaps'
  if (whole || !COMMITS.test(sql)) return 'no'
  const closing = closingOf(sql)
  if (closing === null) return 'perhaps'
  return closing.commits ? 'only' : 'no'
}
