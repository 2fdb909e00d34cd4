// A transaction that runs on a replica for a client of the primary: what is known of it, so that it can move to the primary, or
// be given back. Sends nothing of its holder's.

import type { Client, PoolClient } from 'pg'
import { failureOf } from '../core/cluster/failure.js'
import type { Verdict } from '../core/sql/classify.js'
import { type Effect, traitsOf } from '../core/sql/effects.js'
import { PgherdError } from '../errors.js'
import { answered } from '../pg/own-query.js'
import { sourceOf } from '../pg/tap.js'
import { free, outcomeOn } from '../pg/turn.js'
import type { QueryArgs } from '../router/statement.js'

/** A transaction on a replica, from its BEGIN on. */
export interface Loan {
  readonly client: PoolClient
  /** The statements so far that shape the transaction: what another server must be told to get where this one is. */
  readonly shape: QueryArgs[]
  /** It has read, so it may have a snapshot. */
  hasRead: boolean
  /** All its reads are of one snapshot: REPEATABLE READ. */
  keepsSnapshot: boolean
  /** It has what cannot be told to another server: cursors. */
  fixed: boolean
  /** Its connection broke. */
  broken: unknown
  /** Gives the client back. */
  end(error?: Error | boolean): void
}

export function loanOf(client: PoolClient, args: QueryArgs, notice: (message: unknown) => void): Loan {
  const failed = (error: unknown) => {
    loan.broken ??= error
  }
  const loan: Loan = {
    client,
    shape: [args],
    hasRead: false,
    keepsSnapshot: false,
    fixed: false,
    broken: null,
    end: (error) => {
      client.removeListener('error', failed)
      client.removeListener('notice', notice)
      client.release(error)
    },
  }
  client.on('error', failed)
  client.on('notice', notice)
  return loan
}

/** It cannot go on at the primary without showing that. */
export function isPinned({ fixed, hasRead, keepsSnapshot }: Loan): boolean {
  return fixed || (hasRead && keepsSnapshot)
}

/** Not sent anywhere: a replica would take its own lock, or change its own session, and nobody would notice. */
export function pinned(): PgherdError {
  return new PgherdError(
    'PGHERD_ON_REPLICA',
    'the statement needs the primary, but its READ ONLY transaction runs on a replica, and has a snapshot or a cursor ' +
      'that the primary cannot take over. Run the statement first, begin without READ ONLY, or set routeClients: false.'
  )
}

/** Its cursors live there alone, and anything else that is read there may be of a fork. */
export function promoted(): PgherdError {
  return new PgherdError(
    'PGHERD_ON_REPLICA',
    'the replica that the READ ONLY transaction runs on was promoted, so what it shows may be of a history that the primary ' +
      'does not have, and the transaction has a cursor that the primary cannot take over. Roll it back, and begin anew.'
  )
}

/** A statement succeeded in it. */
export function remember(loan: Loan, { text }: QueryArgs, verdict: Verdict | null, effect: Effect): void {
  if (effect !== 'transaction' || verdict?.intent === 'read') {
    loan.hasRead = true
    return
  }
  const { cursor, keepsSnapshot } = traitsOf(text ?? '')
  if (cursor) loan.fixed = true
  if (keepsSnapshot) loan.keepsSnapshot = true
  loan.shape.push({ text, query: text } as QueryArgs)
}

export async function giveBack(loan: Loan): Promise<void> {
  if (loan.broken !== null) return loan.end(true)
  const { error } = await outcomeOn(loan.client, { query: 'rollback' } as QueryArgs)
  loan.end(error !== null)
}

const isolations = new WeakMap<Client, string>()

/** What BEGIN means in this session by default; asked once for a connection. Null: it could not be asked. */
export async function isolationOf(client: PoolClient): Promise<string | null> {
  const known = isolations.get(client)
  if (known !== undefined) return known
  try {
    const [row] = await answered(client, ISOLATION)
    const isolation = row?.level ?? null
    if (isolation !== null) isolations.set(client, isolation)
    return isolation
  } catch (error) {
    await free(client)
    // A standby refuses even this under SERIALIZABLE; any other failure says nothing about the default.
    return failureOf(error, 'handed', sourceOf(error, client, 0)).kind === 'isolation' ? 'serializable' : null
  }
}

const ISOLATION = "select pg_catalog.current_setting('default_transaction_isolation') as level"
