// The READ ONLY transaction of a client of the primary, on a connection that a replica has lent: how it is begun there, what runs in it,
// and how it goes on at the primary. Chooses no node.

import {
  after,
  begun,
  chained,
  isPinned,
  keepsSnapshot,
  openingIn,
  planOnLoan,
  withStream,
} from '../core/session/client-session.js'
import { closingOf } from '../core/sql/effects.js'
import { noteOutcome } from '../errors.js'
import type { Attempt } from '../herd/herd.js'
import type { Notice } from '../pg/internals.js'
import { withFreeName } from '../pg/prepared.js'
import { parseBy, withOwn } from '../pg/submittable.js'
import { outcomeOn, runOn, type Send, type Sent } from '../pg/turn.js'
import type { Routed } from '../router/routing.js'
import { cancellable, type Entry, fail, replayed } from './entry.js'
import { isolationOf, Lent } from './loan.js'
import type { Parts } from './parts.js'
import { pinned, promoted } from './refusals.js'

/** The client that borrows. */
export interface Home {
  readonly notice: Notice
  /** Its parsers. */
  readonly types: unknown
  here(sent: Sent): Promise<unknown>
  runHere(entry: Entry): Promise<void>
  /** Its own session begins to rest, or rests no longer. */
  rests(does: boolean): void
}

const QUERY: Sent = { query: 'select 1', values: undefined }
const FAILING: Sent = { query: 'select 1 operator(pg_catalog./) 0', values: undefined }

export class OnLoan {
  readonly #home: Home
  readonly #parts: Parts
  #loan: Lent | null = null

  constructor(home: Home, parts: Parts) {
    this.#home = home
    this.#parts = parts
  }

  /** The transaction; null: there is none. */
  get lent(): Lent | null {
    return this.#loan
  }

  async open(entry: Entry, routed: Routed): Promise<void> {
    const { args } = entry
    const opening = openingIn(args)
    const lend = (place: Attempt) => {
      const pool = place.node.state.kind === 'replica' ? this.#parts.poolOf(place) : null
      return pool?.hasRoom ? pool.lend(place, args) : Promise.resolve(null)
    }
    const { router } = this.#parts
    const client =
      opening === null
        ? null
        : await router
            .borrow(
              args,
              routed,
              args.signal,
              lend,
              (lent) => lent,
              (late) => late?.release()
            )
            .catch(() => null)
    // Its caller has heard of that.
    if (args.signal?.aborted) return client?.release()
    if (opening === null || client === null) return this.#home.runHere(entry)
    const isolation = opening.isolation ?? (await isolationOf(client))
    const lagMillis = args.maxLagMillis ?? router.maxLagMillis
    const loan = new Lent(
      client,
      begun(replayed(args), args.text ?? '', isolation ?? 'read committed', lagMillis),
      this.#home.notice
    )
    const isUnfit = isolation === null || isolation === 'serializable'
    const result = isUnfit ? null : await outcomeOn(client, args)
    if (result === null || loan.hasLeft || (result.error !== null && loan.status !== 'T')) {
      // Nothing has begun: the primary can do it as well.
      if (isolation === 'serializable') router.routing.setAside('isolation')
      loan.end(isolation !== 'serializable')
      return this.#home.runHere(entry)
    }
    this.#loan = loan
    this.#home.rests(true)
    entry.settle?.(result.error, result.value)
  }

  async run(entry: Entry, loan: Lent): Promise<void> {
    const { args, settle } = entry
    if (loan.broken !== null) return this.#refuseBroken(entry, loan)
    const next = planOnLoan(args, loan.state, loan.status)
    if (next === 'refuse') throw pinned()
    if (next === 'chain') return this.#chain(entry, loan)
    if (next === 'move') {
      await this.#move(loan)
      return this.#home.runHere(entry)
    }
    const { client } = loan
    if (settle === null) {
      loan.state = withStream(loan.state)
      parseBy(args.query, this.#home.types)
      await runOn(client, client.query.bind(client) as unknown as Send, entry)
      return this.#endIfOver(loan)
    }
    const wasOpen = (args.text === null || closingOf(args.text) === null) && loan.status === 'T'
    const types = (args.query as { readonly types?: unknown }).types ?? this.#home.types
    const sent = { query: withFreeName(client, withOwn(args.query, { types })), values: args.values }
    const run = async () => {
      const { error, value } = await outcomeOn(client, sent)
      const { hasRead } = loan.state
      if (wasOpen && loan.hasLeft && !(hasRead && keepsSnapshot(loan.state))) {
        return this.#leave(entry, loan)
      }
      if (error === null) loan.state = after(loan.state, args, replayed(args))
      this.#endIfOver(loan)
      settle(error, value)
    }
    if (args.signal === undefined) return run()
    await cancellable(args.signal, run, () => this.#parts.cancel(client))
  }

  /** The transaction goes on at the primary. Whatever fails there is the failure of the statement that needs it. */
  async #move(loan: Lent): Promise<void> {
    this.#over(loan)
    try {
      for (const sent of loan.state.shape) await this.#home.here(sent)
      // What may only stand before the first query must not be possible now, either.
      if (loan.state.hasRead) await this.#home.here(QUERY)
    } finally {
      await loan.giveBack()
    }
  }

  /** What the statement has shown may be of a fork, and is not told. A snapshot of before the promotion stays good. */
  async #leave(entry: Entry, loan: Lent): Promise<void> {
    if (isPinned(loan.state)) throw promoted()
    await this.#move(loan)
    await this.#home.runHere(entry)
  }

  /**
   * AND CHAIN begins the next transaction in the same breath. It would have to look for a replica anew; so it is the primary's.
   * Behind an error the server forgets READ ONLY for the next one (PostgreSQL 12 to 18), and there must be an error for that.
   */
  async #chain(entry: Entry, loan: Lent): Promise<void> {
    const failed = loan.status === 'E'
    const commits = closingOf(entry.args.sql ?? '')?.commits === true
    this.#over(loan)
    const end = { query: commits ? 'commit' : 'rollback', values: undefined }
    const ended = failed ? null : await outcomeOn(loan.client, end)
    if (ended === null) await loan.giveBack()
    else loan.end(ended.error !== null)
    await this.#home.here({ query: chained(loan.state), values: undefined })
    if (ended !== null) return entry.settle?.(ended.error, ended.value)
    await this.#home.here(FAILING).catch(() => {})
    return this.#home.runHere(entry)
  }

  #endIfOver(loan: Lent): void {
    if (loan.broken !== null || loan.status !== 'I') return
    this.#over(loan)
    loan.end()
  }

  /** As with a connection of one's own that broke, until the transaction is ended. */
  #refuseBroken(entry: Entry, loan: Lent): void {
    const { text } = entry.args
    if (text !== null && closingOf(text) !== null) {
      this.#over(loan)
      loan.end(true)
    }
    noteOutcome(loan.broken, 'not-sent')
    fail(entry, loan.broken)
  }

  /** The client was given back, or closed, inside of it. */
  abandon(): void {
    const loan = this.#loan
    if (loan === null) return
    this.#over(loan)
    // What is read no further is judged as any connection that is given back: its reader may still close it.
    loan.end(!loan.isStuck)
  }

  #over(loan: Lent): void {
    if (this.#loan === loan) this.#loan = null
    this.#home.rests(false)
  }
}
