// The READ ONLY transaction of a client of the primary, on a connection that a replica has lent: how it is begun there, what runs in it,
// and how it goes on at the primary. Chooses no node.

import type { Client, PoolClient } from 'pg'
import {
  after,
  begun,
  chained,
  isNested,
  isPinned,
  keepsSnapshot,
  type Loan,
  openingIn,
  planOnLoan,
  withStream,
} from '../core/session/client-session.js'
import type { ServerSession } from '../core/session/server-session.js'
import { closingOf, type Isolation, tagOfOpening } from '../core/sql/effects.js'
import { noteOutcome } from '../errors.js'
import type { Attempt } from '../herd/herd.js'
import type { Notice } from '../pg/internals.js'
import { isWrapped, resultOf } from '../pg/made-up.js'
import { pairOn } from '../pg/pipeline.js'
import { withFreeName } from '../pg/prepared.js'
import { parseBy } from '../pg/submittable.js'
import { outcomeOn, parsedAs, runOn, type Send, type Sent } from '../pg/turn.js'
import type { Routed } from '../router/routing.js'
import { type Statement, textIn } from '../router/statement.js'
import { isPairable } from './dispatch.js'
import { cancellable, type Entry, fail, replayed } from './entry.js'
import { isolationOf, knownIsolationOf, Lent } from './loan.js'
import type { Parts } from './parts.js'
import { pinned, promoted } from './refusals.js'

/** The client that borrows. */
export interface Home {
  readonly client: Client
  readonly session: ServerSession
  readonly notice: Notice
  /** Its parsers. */
  readonly types: unknown
  here(sent: Sent): Promise<unknown>
  runHere(entry: Entry): Promise<void>
  /** Its own session begins to rest, or rests no longer. */
  rests(does: boolean): void
}

const QUERY: Sent = { query: 'select 1', values: undefined }
const SAVEPOINT: Sent = { query: 'savepoint pgherd', values: undefined }
const FAILING: Sent = { query: 'select 1 operator(pg_catalog./) 0', values: undefined }

export class OnLoan {
  readonly #home: Home
  readonly #parts: Parts
  #loan: Lent | null = null
  /** A BEGIN that was answered, and is sent with the first statement. */
  #pending: Statement | null = null

  constructor(home: Home, parts: Parts) {
    this.#home = home
    this.#parts = parts
  }

  /** The transaction; null: there is none. */
  get lent(): Lent | null {
    return this.#loan
  }

  /** A BEGIN was answered, and is yet to be sent. */
  get isPending(): boolean {
    return this.#pending !== null
  }

  /**
   * pg's answer to a BEGIN that is sent with the first statement, where that goes; null: it is to be sent now. What would notice the
   * difference gets it now: an isolation level that a replica refuses, a hook, a tracer, a pooler.
   */
  defers(args: Statement): { readonly value: unknown } | null {
    const { client, session } = this.#home
    const { Client: Base, hasHooks } = this.#parts
    const opening = openingIn(args)
    if (opening === null || opening.isolation === 'serializable' || args.signal !== undefined) return null
    if (hasHooks || session.isPooled || session.remains.isHooked || isWrapped(client, Base)) return null
    const result = resultOf(client, Base, tagOfOpening(args.text ?? ''))
    if (result !== null) {
      this.#pending = args.kept
      this.#home.rests(true)
    }
    return result
  }

  /** The first statement behind a BEGIN that was not sent. */
  async first(entry: Entry): Promise<void> {
    const pending = this.#pending as Statement
    const { args, settle } = entry
    const closing = args.text === null ? null : closingOf(args.text)
    this.#pending = null
    if (closing !== null && !closing.chains && settle !== null) {
      this.#home.rests(false)
      // Nothing was done, so there is nothing to end.
      const { client } = this.#home
      return settle(null, resultOf(client, this.#parts.Client, closing.commits ? 'COMMIT' : 'ROLLBACK')?.value)
    }
    const opening = openingIn(pending)
    const level = opening?.isolation ?? 'read committed'
    const isLent = planOnLoan(args, this.#stateOf(pending, level), 'T') === 'lent'
    // What has been written since its BEGIN is to be seen, too.
    const routed = isLent ? this.#parts.router.borrows(pending) : null
    const loan = routed === null ? null : await this.#borrow(pending, routed)
    if (loan === null) return this.#beginHere(pending, entry)
    // What may write, and what submits itself, waits until the transaction is known to be READ ONLY.
    const isSafe = isPairable(args) && (args.reads || args.effect === 'transaction')
    const pair = isSafe ? pairOn(loan.client) : null
    const begin = outcomeOn(loan.client, pending)
    const answer = pair === null ? null : outcomeOn(loan.client, this.#sent(entry, loan))
    pair?.sent()
    const { error } = await begin
    if (error !== null || loan.hasLeft) {
      loan.end(true)
      return this.#beginHere(pending, entry)
    }
    this.#loan = loan
    return this.run(entry, loan, answer)
  }

  async #beginHere({ query, values }: Statement, entry: Entry): Promise<void> {
    this.#home.rests(false)
    await this.#home.here({ query, values })
    return this.#home.runHere(entry)
  }

  #stateOf(args: Statement, isolation: Isolation): Loan<Sent> {
    return begun(replayed(args), args.text ?? '', isolation, args.maxLagMillis ?? this.#parts.router.maxLagMillis)
  }

  /** A connection of a replica for the transaction, not begun; null: the client's own has to do. */
  async #borrow(args: Statement, routed: Routed): Promise<Lent | null> {
    const opening = openingIn(args)
    const lend = (place: Attempt) => {
      const pool = place.node.state.kind === 'replica' ? this.#parts.poolOf(place) : null
      return pool?.hasRoom ? pool.lend(place, args) : Promise.resolve(null)
    }
    const { router } = this.#parts
    const same = (lent: PoolClient | null) => lent
    const client =
      opening === null
        ? null
        : await router.borrow(args, routed, args.signal, lend, same, (late) => late?.release()).catch(() => null)
    if (client === null || args.signal?.aborted) {
      client?.release()
      return null
    }
    const isolation = opening?.isolation ?? knownIsolationOf(client) ?? (await isolationOf(client))
    const loan = new Lent(client, this.#stateOf(args, isolation ?? 'read committed'), this.#home.notice)
    if (isolation !== null && isolation !== 'serializable') return loan
    // A standby begins no such transaction.
    if (isolation === 'serializable') router.routing.setAside('isolation')
    loan.end(isolation === null)
    return null
  }

  async open(entry: Entry, routed: Routed): Promise<void> {
    const { args } = entry
    const loan = await this.#borrow(args, routed)
    // Its caller has heard of that.
    if (args.signal?.aborted) return loan?.end()
    if (loan === null) return this.#home.runHere(entry)
    const result = await outcomeOn(loan.client, args)
    if (loan.hasLeft || (result.error !== null && loan.status !== 'T')) {
      // Nothing has begun: the primary can do it as well.
      loan.end(true)
      return this.#home.runHere(entry)
    }
    this.#loan = loan
    this.#home.rests(true)
    entry.settle?.(result.error, result.value)
  }

  /** The statement as it goes to the borrowed connection. */
  #sent({ args }: Entry, { client }: Lent): Sent {
    const query = parsedAs(args.query, this.#home.types)
    return { query: args.isNamed ? withFreeName(client, query) : query, values: args.values }
  }

  /** `early`: the answer of the statement, which was sent already; null: it is to be sent. */
  async run(entry: Entry, loan: Lent, early: ReturnType<typeof outcomeOn> | null = null): Promise<void> {
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
    const run = async () => {
      const { error, value } = await (early ?? outcomeOn(client, this.#sent(entry, loan)))
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
   * Behind an error outside of any savepoint the server forgets READ ONLY for the next one (PostgreSQL 12 to 18). So there must be an
   * error, and a savepoint where there was one.
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
    if (isNested(loan.state.shape.map(({ query }) => textIn(query)))) await this.#home.here(SAVEPOINT)
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
    if (this.#pending !== null) this.#home.rests(false)
    this.#pending = null
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
