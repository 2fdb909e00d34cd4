// A transaction of transaction({ readOnly: true }) that runs on a replica: where a statement of it asks for the primary, it goes on
// there, as long as that does not show. Chooses no node.

import type { PoolClient } from 'pg'
import { after, asksElsewhere, begun, isPinned, type Loan, withStream } from '../core/session/client-session.js'
import type { Isolation } from '../core/sql/effects.js'
import type { Notice } from '../pg/internals.js'
import { answered } from '../pg/own-query.js'
import { outcomeOn, type Sent } from '../pg/turn.js'
import type { Statement } from '../router/statement.js'
import { levelOn } from './loan.js'
import { pinned } from './refusals.js'

/** How it was begun. */
export interface Opening {
  readonly text: string
  /** Null: the session's default. */
  readonly isolation: Isolation | null
  /** The bound of lag that the replica was chosen by, in milliseconds. */
  readonly lagMillis: number
}

export class Inside {
  readonly #client: PoolClient
  readonly #takePrimary: () => Promise<PoolClient>
  readonly #notice: Notice
  #state: Loan<Sent>
  /** The client of the primary that it goes on with; null: it has not moved. */
  #moved: PoolClient | null = null

  constructor(client: PoolClient, opening: Opening, takePrimary: () => Promise<PoolClient>, notice: Notice) {
    const { text, isolation, lagMillis } = opening
    this.#client = client
    this.#takePrimary = takePrimary
    this.#notice = notice
    this.#state = begun<Sent>({ query: text, values: undefined }, text, isolation ?? 'read committed', lagMillis)
  }

  /** The client that a statement is to be sent on; null: the one that it was begun with. */
  async clientFor(statement: Statement, status: string | null): Promise<PoolClient | null> {
    if (this.#moved !== null || status !== 'T' || !asksElsewhere(statement, this.#state)) return this.#moved
    // However it was said, and where it was not: the session's default.
    const isolation = (await levelOn(this.#client, 'transaction_isolation')) ?? 'repeatable read'
    if (isPinned({ ...this.#state, isolation })) throw pinned()
    return this.#move()
  }

  get moved(): PoolClient | null {
    return this.#moved
  }

  /** A statement succeeded where it was begun. `kept`: the same, to be sent again elsewhere. */
  note(statement: Statement, kept: Sent): void {
    this.#state = statement.isSubmittable ? withStream(this.#state) : after(this.#state, statement, kept)
  }

  async #move(): Promise<PoolClient> {
    const client = await this.#takePrimary()
    client.on('error', nothing)
    client.on('notice', this.#notice)
    this.#moved = client
    for (const sent of this.#state.shape) {
      const { error } = await outcomeOn(client, sent)
      if (error !== null) throw error
    }
    // What may only stand before the first query must not be possible now, either.
    if (this.#state.hasRead) await outcomeOn(client, { query: 'select 1', values: undefined })
    // Past the line that this statement stands in.
    await answered(this.#client, 'rollback')
    return client
  }

  /** The client that it was begun with has been given back. */
  end(error: Error | boolean | undefined): void {
    const client = this.#moved
    this.#moved = null
    if (client === null) return
    client.removeListener('error', nothing)
    client.removeListener('notice', this.#notice)
    client.release(error)
  }
}

const nothing = () => {}
