// What became of a statement that a caller sent on a client that it holds, and that failed: the error has its `outcome` before
// the caller gets it. Holds nothing up, and repeats nothing.

import type { Client } from 'pg'
import { type Failure, failureOf, type Outcome } from '../core/cluster/failure.js'
import { type End, fateOf } from '../core/session/commit.js'
import { outcomeInSession, outcomeOfEnding, type Situation } from '../core/session/outcome.js'
import type { ServerSession } from '../core/session/server-session.js'
import { type Step, stepsOf } from '../core/sql/steps.js'
import { errorOf } from '../core/thrown.js'
import type { Undone } from '../core/undone.js'
import { clearOutcome, noteOutcome } from '../errors.js'
import type { Internals } from './internals.js'
import { sqlOf, type Texted } from './submittable.js'
import { sourceOf } from './tap.js'

/** pg's own object of a statement, or what submits itself. */
interface Statement extends Texted {
  /** A row of it could not be read: that is what its sender will hear. */
  readonly _canceledDueToError?: unknown
  handleError?(error: unknown, connection: unknown): void
}

interface Connection {
  readonly stream: { destroy(): void }
}

/** What is under way has failed. What waits in line behind it fails with the same error, and the outcome is true of all. */
export function noteFate(
  error: unknown,
  client: Client,
  session: ServerSession,
  undone: (text: string) => Undone
): void {
  const { _activeQuery, _queryable, _ending } = client as unknown as Internals
  const statement = _activeQuery as Statement | null | undefined
  // Given back with a statement under way, its sender still waits for that.
  if (!session.isCallers || !statement) return
  const { exchange } = session
  const late = exchange.extended && exchange.completed > 0
  const failure = failureOf(error, late ? 'completed' : 'handed', sourceOf(error, client, 0))
  const text = sqlOf(statement)
  const fate = fateOf(stepsUnderWay(client, text), exchange, endOf(failure))
  const situation: Situation = {
    fate,
    undone: text === null ? 'hidden' : undone(text),
    inBlock: exchange.status !== 'I',
    alive: _queryable && !_ending,
  }
  const outcome = outcomeInSession(failure, situation)
  // In a block that goes on everything is open yet.
  if (outcome === 'committed' || (outcome === 'unknown' && endOf(failure) !== 'refused')) session.mayHaveLanded()
  const unread = statement._canceledDueToError
  if (unread) clearOutcome(unread)
  // Those in line behind it, which were not sent, are told by the same error.
  const isAlone = endOf(failure) === 'refused' || !(client as unknown as Internals)._queryQueue.length
  tell(unread || error, outcome === 'committed' && !isAlone ? 'unknown' : outcome, session)
}

/** The connection ended behind an error that its statement has been told: the others in line are told of the end. */
export function noteRest(error: unknown, client: Client, session: ServerSession): void {
  const { _activeQuery, _queryQueue, _sentQueryQueue } = client as unknown as Internals
  if (_activeQuery || !session.isCallers) return
  if (_sentQueryQueue?.length) {
    session.mayHaveLanded()
    tell(error, 'unknown', session)
  } else if (_queryQueue.length > 0) tell(error, 'not-sent', session)
}

/** The answer is complete, and a row of it could not be read. */
export function noteUnread(client: Client, session: ServerSession): void {
  const { _activeQuery } = client as unknown as Internals
  const unread = (_activeQuery as Statement | null | undefined)?._canceledDueToError
  if (!unread || !session.isCallers || session.ending === null) return
  clearOutcome(unread)
  tell(unread, outcomeOfEnding(session.ending), session)
}

/** To the holder of the client, by the error of a statement on it. */
export function tell(error: unknown, outcome: Outcome, session: ServerSession): void {
  session.tells(error)
  noteOutcome(error, outcome)
}

function endOf({ sent, kind }: Failure): End {
  if (sent !== 'rejected' && sent !== 'unparsed') return 'cut'
  return kind === 'lost' ? 'ended' : 'refused'
}

/** Pipelined, other statements have been sent behind this one, and all of them fail with one error. */
function stepsUnderWay(client: Client, text: string | null): readonly Step[] | null {
  const steps = text === null ? null : stepsOf(text)
  const sent = (client as unknown as Internals)._sentQueryQueue
  if (steps === null || !sent?.length) return steps
  const all = [...steps]
  for (const each of sent as readonly Statement[]) {
    const behind = sqlOf(each)
    const more = behind === null ? null : stepsOf(behind)
    if (more === null) return null
    all.push('sync', ...more)
  }
  return all
}

/**
 * What waited in line submits itself, and threw: pg would leave its sender waiting. How much of it was sent is not known, so the
 * connection ends. False: something else threw, and nothing is under way.
 */
export function unsubmitted(client: Client, error: unknown): boolean {
  const internals = client as unknown as { _activeQuery?: Statement | null; connection?: Connection }
  const statement = internals._activeQuery
  if (!statement) return false
  internals._activeQuery = null
  noteOutcome(error, 'unknown')
  statement.handleError?.(errorOf(error, 'submit()'), internals.connection)
  internals.connection?.stream.destroy()
  return true
}

/** pg may refuse it for its form, before it is sent. */
export function isOdd(first: unknown, second: unknown): boolean {
  if (typeof first === 'string') return Boolean(second) && typeof second === 'object' && !Array.isArray(second)
  const { text, name, values } = (first ?? {}) as { text?: unknown; name?: unknown; values?: unknown }
  return typeof text !== 'string' || Boolean(name) || (Boolean(values) && !Array.isArray(values))
}

/** What pg cannot put into bytes it does not send, but for the word to forget it. The session learns of portals that are opened. */
export function watchBinding(client: Client, { remains }: ServerSession): void {
  const { connection } = client as unknown as {
    connection?: {
      bind(...args: unknown[]): unknown
      execute?(...args: unknown[]): unknown
      sync?(...args: unknown[]): unknown
    }
  }
  if (connection === undefined) return
  const bind = connection.bind.bind(connection)
  connection.bind = (...args) => {
    try {
      remains.binds()
      return bind(...args)
    } catch (error) {
      noteOutcome(error, 'not-sent')
      throw error
    }
  }
  const sync = connection.sync?.bind(connection)
  if (sync !== undefined) {
    connection.sync = (...args) => {
      remains.syncs()
      return sync(...args)
    }
  }
  const execute = connection.execute?.bind(connection)
  if (execute === undefined) return
  connection.execute = (...args) => {
    remains.executes()
    return execute(...args)
  }
}
