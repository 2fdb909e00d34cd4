// One transaction from begin to its end: commit what the function did, roll back what it threw, and give the client back in
// any case. Chooses no node and repeats nothing but BEGIN.

import type { PoolClient } from 'pg'
import { propertyOf } from '../core/thrown.js'
import { argumentError, noteWhole, PgherdError } from '../errors.js'
import { sessionOf } from '../pg/watch.js'
import { warnOfMisspelt } from '../runtime/misspelt.js'

export interface TransactionOptions {
  /** It only reads, so a replica may have it. Default false. */
  readonly readOnly?: boolean | undefined
  /** Default: the session's. */
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable' | undefined
  /** Of a transaction that only reads: its own lag bound, in milliseconds. */
  readonly maxLagMillis?: number | undefined
}

const OPTIONS: ReadonlySet<string> = new Set(['readOnly', 'isolation', 'maxLagMillis'])
const LEVELS: ReadonlySet<unknown> = new Set(['read committed', 'repeatable read', 'serializable'])

/** The BEGIN of these options; throws where one cannot be what it is. */
export function beginOf(given: TransactionOptions): string {
  warnOfMisspelt(given, OPTIONS, 'transaction()')
  const { readOnly = false, isolation } = given
  if (typeof readOnly !== 'boolean')
    throw argumentError(`option readOnly must be true or false, not ${String(readOnly)}`)
  if (isolation !== undefined && !LEVELS.has(isolation)) {
    const allowed = [...LEVELS].map((level) => `'${level}'`).join(', ')
    throw argumentError(`option isolation must be one of ${allowed}, not ${String(isolation)}`)
  }
  return `begin${isolation === undefined ? '' : ` isolation level ${isolation}`}${readOnly ? ' read only' : ''}`
}

/** Begins on a client just checked out; a client whose connection had died is removed. */
export async function begun(client: PoolClient, begin: string): Promise<PoolClient> {
  try {
    await client.query(begin)
    return client
  } catch (error) {
    client.release(error as Error)
    throw error
  }
}

/** What `work` gives, committed. `client` has begun, and is released whatever happens. */
export async function committed<T>(client: PoolClient, work: (client: PoolClient) => Promise<T> | T): Promise<T> {
  const before = landedOn(client)
  let result: T
  try {
    result = await work(client)
  } catch (error) {
    const own = client.getTransactionStatus() === 'I'
    // All that was sent before is answered when this is, so it is known by then whether something was committed in between.
    const failure = await undone(client)
    const outcome = stays(before, landedOn(client), own) || happened(error, client) ? 'unknown' : 'rolled-back'
    noteWhole(error, outcome)
    client.release(failure)
    throw error
  }
  // The function may have ended the transaction by itself: that COMMIT was none of ours.
  const own = client.getTransactionStatus() === 'I'
  const parts = stays(before, landedOn(client), own)
  let answer: string
  try {
    answer = (await client.query('commit')).command
  } catch (error) {
    // Where it was not answered, its outcome says so: whether it was committed is the caller's to find out.
    if (parts) noteWhole(error, 'unknown')
    client.release(error as Error)
    throw error
  }
  client.release()
  // How the server says that there was nothing left to commit.
  if (answer === 'ROLLBACK') {
    throw new PgherdError('PGHERD_ROLLED_BACK', SWALLOWED, { outcome: parts ? 'unknown' : 'rolled-back' })
  }
  return result
}

/** How often something was committed on this client; null: the native one does not tell. */
function landedOn(client: PoolClient): number | null {
  const session = sessionOf(client)
  return session === undefined || session.readyAt === null ? null : session.landed
}

/** It is the error of a statement on another connection, which may have been executed there. */
function happened(error: unknown, client: PoolClient): boolean {
  const outcome = propertyOf(error, 'outcome')
  return (outcome === 'unknown' || outcome === 'committed') && sessionOf(client)?.told !== error
}

/** `own`: the function has ended the transaction by itself. */
function stays(before: number | null, after: number | null, own: boolean): boolean {
  return before === null || after === null ? own : before !== after
}

const SWALLOWED =
  'a statement of the transaction failed, and its error was caught inside: nothing of the transaction can be committed. ' +
  'Let the error out, or use a savepoint around what may fail.'

/** Rolls back; what to release the client with: a connection that cannot even do that is not kept. */
async function undone(client: PoolClient): Promise<Error | undefined> {
  try {
    await client.query('rollback')
    return undefined
  } catch (error) {
    return error as Error
  }
}
