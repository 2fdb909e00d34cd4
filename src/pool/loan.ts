// A connection of a replica on loan: the READ ONLY transaction of a client of the primary runs there. Sends nothing of its holder's.

import type { Client, PoolClient } from 'pg'
import { failureOf } from '../core/cluster/failure.js'
import type { Loan } from '../core/session/client-session.js'
import { isPromoted } from '../core/session/server-session.js'
import type { Isolation } from '../core/sql/effects.js'
import type { Notice } from '../pg/internals.js'
import { answered } from '../pg/own-query.js'
import { sourceOf } from '../pg/tap.js'
import { free, outcomeOn, type Sent, statusOf } from '../pg/turn.js'
import { sessionOf } from '../pg/watch.js'

export class Lent {
  readonly client: PoolClient
  /** What the transaction must not forget. */
  state: Loan<Sent>
  /** The error that its connection broke with; null: it has not. */
  #broken: unknown = null
  #isOver = false
  readonly #notice: Notice
  readonly #failed = (error: unknown) => {
    this.#broken ??= error
  }

  constructor(client: PoolClient, state: Loan<Sent>, notice: Notice) {
    this.client = client
    this.state = state
    this.#notice = notice
    client.on('error', this.#failed)
    client.on('notice', notice)
  }

  get broken(): unknown {
    return this.#broken
  }

  get status(): string {
    return statusOf(this.client) ?? 'I'
  }

  /** The replica that the transaction was begun on has said that it is none any more. */
  get hasLeft(): boolean {
    const session = sessionOf(this.client)
    return session !== undefined && isPromoted(session.hold?.node ?? null, session)
  }

  /** A reader or a writer that has gone keeps it from going on. */
  get isStuck(): boolean {
    return sessionOf(this.client)?.remains.waits != null
  }

  /** Gives the connection back, as it is. */
  end(error?: Error | boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    this.client.removeListener('error', this.#failed)
    this.client.removeListener('notice', this.#notice)
    this.client.release(error)
  }

  /** The same, out of its transaction. */
  async giveBack(): Promise<void> {
    if (this.#broken !== null) return this.end(true)
    const { error } = await outcomeOn(this.client, { query: 'rollback', values: undefined })
    this.end(error !== null)
  }
}

const isolations = new WeakMap<Client, Isolation>()

/** What BEGIN means in this session by default, if it was asked; undefined: it was not. */
export function knownIsolationOf(client: Client): Isolation | undefined {
  return isolations.get(client)
}

/** The same; asked once for a connection. Null: it could not be asked. */
export async function isolationOf(client: PoolClient): Promise<Isolation | null> {
  const known = isolations.get(client)
  if (known !== undefined) return known
  try {
    const isolation = await levelOn(client, 'default_transaction_isolation')
    if (isolation !== null) isolations.set(client, isolation)
    return isolation
  } catch (error) {
    await free(client)
    // A standby refuses even this under SERIALIZABLE; any other failure says nothing about the default.
    return failureOf(error, 'handed', sourceOf(error, client, 0)).kind === 'isolation' ? 'serializable' : null
  }
}

/** An isolation level, as a setting of the session has it. */
export async function levelOn(
  client: Client,
  setting: 'transaction_isolation' | 'default_transaction_isolation'
): Promise<Isolation | null> {
  const [row] = await answered(client, `select pg_catalog.current_setting('${setting}') as level`)
  return row?.level === 'read uncommitted' ? 'read committed' : ((row?.level ?? null) as Isolation | null)
}
