// What a checked-out client of the primary may send elsewhere: a plain read outside a transaction borrows a replica for that one
// statement, BEGIN READ ONLY borrows one until the transaction ends. The client stays a real client of the primary: its order,
// identity and session are kept, and whatever its session holds keeps it on the primary. Chooses no node.

import type { Client, PoolClient } from 'pg'
import type { Scope } from '../core/session/causal-scope.js'
import type { Verdict } from '../core/sql/classify.js'
import {
  closingOf,
  type Effect,
  escapesReadOnly,
  harmsElsewhere,
  needsPrimary,
  type Opening,
  openingOf,
} from '../core/sql/effects.js'
import { noteOutcome } from '../errors.js'
import type { Internals } from '../pg/internals.js'
import { isSubmittable } from '../pg/submittable.js'
import { isFree, outcomeOn, runOn, type Send, statusOf, type Turn, withoutCallback } from '../pg/turn.js'
import { isPromoted, wireOf } from '../pg/wire.js'
import { type Callback, type QueryArgs, queryArgs, textOf, type Wishes } from '../router/statement.js'
import { onAbort } from '../runtime/abort.js'
import { inContext } from '../runtime/context.js'
import { giveBack, isolationOf, isPinned, type Loan, loanOf, pinned, promoted, remember } from './loan.js'

/** A statement that waits for its turn. */
interface Entry extends Turn {
  readonly args: QueryArgs
  /** It may borrow; null: to be asked in its turn, when what is before it is over. */
  readonly borrows: boolean | null
}

/** What lends: the pool. */
export interface Lender {
  /** There are replicas to borrow, and clients may. */
  readonly lends: boolean
  /** The session whose code runs now. */
  scope(): Scope | undefined
  read(text: string): Verdict
  effect(text: string): Effect
  /** A replica would serve a read now. */
  ready(args: QueryArgs, wishes: Wishes): boolean
  /** Runs a read on a replica; `here` runs it on the borrower's own connection, where no replica will do any more. */
  borrow(
    args: QueryArgs,
    wishes: Wishes,
    here: () => Promise<unknown>,
    notice: (message: unknown) => void
  ): Promise<unknown>
  /** Has the server of this client of the primary cancel what it does; resolves when that was said. */
  cancel(client: Client): Promise<void>
  /** No replica can give what this session's transactions are by default. */
  serializable(): void
  /** A client of a replica that is fit for a transaction, or null. */
  lend(args: QueryArgs, wishes: Wishes): Promise<PoolClient | null>
}

const borrowers = new WeakMap<Client, Borrower>()

export function borrowerOf(client: Client): Borrower | undefined {
  return borrowers.get(client)
}

/** Remembered of the time before the second server was known, to be read when it matters. */
const MOST_UNREAD = 50

export class Borrower {
  readonly #client: Client
  readonly #send: Send
  readonly #status: () => string | null
  readonly #lender: Lender
  readonly #line: ((() => Promise<void>) | 'released')[] = []
  readonly #waiters: (() => void)[] = []
  #working = false
  #loan: Loan | null = null
  /** Ends the wait for a borrowed read. */
  #interrupt: ((error: unknown) => void) | null = null
  #wishes: Wishes = {}
  #tainted = false
  /** A hook has set something up here, as on every connection: DISCARD ALL would undo that here alone. */
  #hooked = false
  #unread: string[] = []

  constructor(client: Client, send: Send, status: () => string | null, lender: Lender) {
    this.#client = client
    this.#send = send
    this.#status = status
    this.#lender = lender
    borrowers.set(client, this)
  }

  /** As getTransactionStatus() has it: that of the transaction which the holder of the client is in. */
  get status(): string | null {
    return this.#loan === null ? this.#status() : (statusOf(this.#loan.client) ?? 'I')
  }

  /** That of the client's own session, whatever runs on a replica for it. */
  get ownStatus(): string | null {
    return this.#status()
  }

  /** A statement of a hook: the connections of replicas have had it too. */
  noteHook(first: unknown): void {
    const { text } = queryArgs(first, undefined, undefined)
    if (text === null || this.#lender.effect(text) !== 'none') this.#hooked = true
  }

  /** pg.Client's query(), of somebody who holds the client. */
  query(first: unknown, second: unknown, third: unknown): unknown {
    if (first === null || first === undefined) return this.#send(first, second, third)
    const scope = this.#lender.scope() ?? wireOf(this.#client)?.holder ?? undefined
    const args = { ...queryArgs(first, second, third), scope }
    // What pg refuses with a throw.
    if (args.callback !== undefined && typeof args.callback !== 'function') return this.#send(first, second, third)
    // Behind others it is asked in its turn.
    const borrows = this.#working ? null : this.#mayBorrow(args)
    if (borrows !== false || args.signal !== undefined || this.#discards(args)) {
      return this.#enqueue(args, borrows, second, third)
    }
    this.#note(args)
    return this.#send(first, second, third)
  }

  /** Calls when nothing waits in line any more: whoever uses the connection behind the holder's back waits for that. */
  whenFree(tell: () => void): void {
    if (this.#working) this.#waiters.push(tell)
    else tell()
  }

  /** Somebody takes the client, perhaps through a view of the pool. */
  held(wishes: Wishes): void {
    this.#wishes = wishes
  }

  /** The client goes back to its pool. What was sent is still answered; an open transaction on a replica is not left open. */
  released(): void {
    if (this.#working || this.#loan !== null) {
      this.#line.push('released')
      void this.#work()
    }
  }

  /** The client's own connection failed. */
  failed(error: unknown): void {
    this.#interrupt?.(error)
  }

  /** The client's own connection has ended. */
  ended(): void {
    const { _ending } = this.#client as unknown as Internals
    this.#interrupt?.(new Error(_ending ? 'Connection terminated' : 'Connection terminated unexpectedly'))
    const loan = this.#loan
    this.#loan = null
    loan?.end(true)
  }

  #enqueue(args: QueryArgs, borrows: boolean | null, second: unknown, third: unknown): unknown {
    if (isSubmittable(args.query)) {
      this.#push({ args, borrows, second, third, settle: null })
      return args.query
    }
    const callback = args.callback ?? (args.query as { readonly callback?: Callback }).callback
    if (typeof callback !== 'function') {
      return new Promise((resolve, reject) => {
        const settle: Entry['settle'] = (error, value) => (error ? reject(error) : resolve(value))
        this.#push({ args, borrows, second, third, settle })
      })
    }
    // Outside of any promise, so that what it throws is not ours to swallow.
    const settle: Entry['settle'] = (error, value) =>
      process.nextTick(callback, error ?? null, error ? undefined : value)
    this.#push({ args, borrows, second, third, settle })
    return undefined
  }

  #push(entry: Entry): void {
    this.#line.push(inContext(() => this.#run(entry).catch(failing(entry))))
    void this.#work()
  }

  /** One statement after the other, as on one connection. */
  async #work(): Promise<void> {
    if (this.#working) return
    this.#working = true
    for (let turn = this.#line.shift(); turn !== undefined; turn = this.#line.shift()) {
      if (turn === 'released') this.#abandon()
      else await turn()
    }
    this.#working = false
    for (const tell of this.#waiters.splice(0)) tell()
  }

  async #run(entry: Entry): Promise<void> {
    const loan = this.#loan
    if (loan !== null) return this.#runOnLoan(entry, loan)
    if (entry.settle === null || !(entry.borrows ?? this.#mayBorrow(entry.args))) return this.#runHere(entry)
    if (this.#opening(entry.args) !== null) return this.#openLoan(entry)
    await this.#borrow(entry.args, entry.settle)
  }

  /** As a statement on the client's own connection would, it fails when that connection does. */
  async #borrow(args: QueryArgs, settle: NonNullable<Entry['settle']>): Promise<void> {
    const notice = (message: unknown) => this.#client.emit('notice', message as never)
    const stop = new AbortController()
    const interrupted = new Promise<never>((_, reject) => {
      this.#interrupt = (error) => {
        stop.abort(new Error('the client that borrowed has ended'))
        noteOutcome(error, 'unknown')
        reject(error)
      }
    })
    const signal = args.signal === undefined ? stop.signal : AbortSignal.any([args.signal, stop.signal])
    const typed = { ...this.#own(this.#typed(args)), signal }
    const borrowed = this.#lender.borrow(typed, this.#wishes, () => this.#here(args), notice)
    borrowed.catch(() => {}) // its rejection may come when nobody waits for it any more
    await Promise.race([borrowed, interrupted]).then(
      (result) => settle(null, result),
      (error) => settle(error || reasonOf(signal))
    )
    this.#interrupt = null
  }

  /** Taint, an order to keep, a transaction: each keeps a statement here. */
  #mayBorrow(args: QueryArgs): boolean {
    if (this.#loan !== null) return true
    if (!this.#lender.lends || !this.#isIdle() || this.#isTainted()) return false
    if (!this.#isRead(args) && this.#opening(args) === null) return false
    return this.#lender.ready(this.#own(args), this.#wishes)
  }

  #isIdle(): boolean {
    const client = this.#client as unknown as Internals
    if (!client.readyForQuery || client._queryQueue.length > 0) return false
    return client._queryable && !client._ending && client.pipeline !== true && this.#status() === 'I'
  }

  #isTainted(): boolean {
    for (const text of this.#unread.splice(0)) this.#noteText(text)
    return this.#tainted
  }

  /** A plain read: one statement, not a prepared one, and nobody said that the primary shall run it. */
  #isRead({ text, query, route }: QueryArgs): boolean {
    if (text === null || route === 'primary' || (query as { readonly name?: unknown }).name) return false
    const { intent, single, hint } = this.#lender.read(text)
    return intent === 'read' && single && (route !== undefined || hint !== 'primary')
  }

  #opening({ text, route }: QueryArgs): Opening | null {
    if (text === null || route === 'primary' || !/^[\s;]*(?:\/\*|--|begin\b|start\b)/i.test(text)) return null
    const opening = escapesReadOnly(text) ? null : openingOf(text)
    return opening?.readOnly === true ? opening : null
  }

  /** A statement of pool.query() on this connection. While there is one server nobody looks: nothing can be borrowed. */
  notePool(args: QueryArgs): void {
    if (this.#lender.lends) this.#note(args)
  }

  /** A statement that is sent here leaves something in the session, or may do so. */
  #note(args: QueryArgs): void {
    const text = textOf(args)
    if (text === null) this.#tainted = true
    else this.#noteText(text)
  }

  #noteText(text: string): void {
    if (this.#tainted) return
    // With one server nothing can be borrowed, and nothing is read; should there be a second, this must be known.
    if (this.#lender.lends) this.#tainted = this.#lender.effect(text) === 'taints'
    else if (this.#unread.length < MOST_UNREAD) this.#unread.push(text)
    else this.#tainted = true
  }

  /** DISCARD ALL, whose success has to be seen. */
  #discards({ text }: QueryArgs): boolean {
    return text !== null && this.#tainted && /^[^a-z]*discard\b/i.test(text) && this.#lender.effect(text) === 'discards'
  }

  /** What was written on this client its reads see, in whatever session they are. */
  #own(args: QueryArgs): QueryArgs {
    return { ...args, wroteAt: wireOf(this.#client)?.wroteAt }
  }

  /** Values of a borrowed read are parsed as this client's would be. */
  #typed(args: QueryArgs): QueryArgs {
    const types = (this.#client as unknown as Internals)._types
    const config = typeof args.query === 'string' ? { text: args.query } : (withoutCallback(args.query) as object)
    return { ...args, query: { ...config, types: (config as { readonly types?: unknown }).types ?? types } }
  }

  #here(args: QueryArgs): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#send(withoutCallback(args.query), args.values, (error: unknown, result: unknown) =>
        error ? reject(error) : resolve(result)
      )
    })
  }

  async #runHere(entry: Entry): Promise<void> {
    const { args, settle } = entry
    const { signal } = args
    if (signal?.aborted && settle !== null) return settle(reasonOf(signal))
    const discards = this.#discards(args)
    this.#note(args)
    const told: Entry['settle'] =
      settle &&
      ((error, value) => {
        if (discards && !error) this.#tainted = this.#hooked
        settle(error, value)
      })
    if (signal === undefined || told === null) return runOn(this.#client, this.#send, { ...entry, settle: told })
    await this.#cancellable(signal, { ...entry, settle: told })
  }

  /** Told at once when the signal is aborted; the line goes on when the server has heard of it, and is ready again. */
  async #cancellable(signal: AbortSignal, entry: Entry): Promise<void> {
    let cancelled: Promise<void> | undefined
    const aborted = () => {
      entry.settle?.(reasonOf(signal))
      cancelled = this.#lender.cancel(this.#client)
    }
    const deaf = onAbort(signal, aborted)
    const settle: Entry['settle'] = (error, value) => {
      if (cancelled === undefined) entry.settle?.(error, value)
    }
    await runOn(this.#client, this.#send, { ...entry, settle })
    deaf()
    await cancelled
  }

  async #openLoan(entry: Entry): Promise<void> {
    const opening = this.#opening(entry.args)
    const client =
      opening === null ? null : await this.#lender.lend(this.#own(entry.args), this.#wishes).catch(() => null)
    if (opening === null || client === null) return this.#runHere(entry)
    const notice = (message: unknown) => this.#client.emit('notice', message as never)
    const loan = loanOf(client, entry.args, notice)
    const isolation = opening.isolation ?? (await isolationOf(client))
    loan.keepsSnapshot = isolation !== 'read committed'
    const unfit = isolation === null || isolation === 'serializable'
    const result = unfit ? null : await outcomeOn(client, entry.args)
    if (result === null || hasLeft(loan) || (result.error !== null && statusOf(client) !== 'T')) {
      // Nothing has begun: the primary can do it as well.
      if (isolation === 'serializable') this.#lender.serializable()
      loan.end(isolation !== 'serializable')
      return this.#runHere(entry)
    }
    this.#loan = loan
    entry.settle?.(result.error, result.value)
  }

  async #runOnLoan(entry: Entry, loan: Loan): Promise<void> {
    const { args, settle } = entry
    const text = textOf(args)
    if (loan.broken !== null) return this.#refuseBroken(entry, loan)
    const verdict = text === null ? null : this.#lender.read(text)
    const closing = text === null ? null : closingOf(text)
    if (closing?.chains) return this.#chain(entry, loan, closing.commits)
    const effect = text === null ? 'taints' : this.#lender.effect(text)
    if (statusOf(loan.client) === 'T' && (text === null || verdict === null || needsPrimary(text, verdict, effect))) {
      if (!isPinned(loan)) {
        await this.#move(loan)
        return this.#runHere(entry)
      }
      // The rest is refused by the replica in the same words, since the transaction only reads.
      if (text === null || harmsElsewhere(text, effect)) throw pinned()
    }
    const { client } = loan
    if (settle === null) {
      loan.hasRead = loan.fixed = true
      await runOn(client, client.query.bind(client) as unknown as Send, entry)
      return this.#endIfOver(loan)
    }
    const isOpen = closing === null && statusOf(client) === 'T'
    const { error, value } = await outcomeOn(client, this.#typed(args))
    if (isOpen && hasLeft(loan) && !(loan.hasRead && loan.keepsSnapshot)) return this.#leave(entry, loan)
    if (error === null) remember(loan, args, verdict, effect)
    this.#endIfOver(loan)
    settle(error, value)
  }

  /** The transaction goes on at the primary. Whatever fails there is the failure of the statement that needs it. */
  async #move(loan: Loan): Promise<void> {
    this.#loan = null
    try {
      for (const args of loan.shape) await this.#here(args)
      // What may only stand before the first query must not be possible now, either.
      if (loan.hasRead) await this.#here({ query: 'select 1' } as QueryArgs)
    } finally {
      await giveBack(loan)
    }
  }

  /** What the statement has shown may be of a fork, and is told to nobody. A snapshot of before the promotion stays good. */
  async #leave(entry: Entry, loan: Loan): Promise<void> {
    if (isPinned(loan)) throw promoted()
    await this.#move(loan)
    await this.#runHere(entry)
  }

  /**
   * AND CHAIN begins the next transaction in the same breath. It would have to look for a replica anew; so it is the primary's.
   * Behind an error the server forgets READ ONLY for the next one (PostgreSQL 12 to 18), and there must be an error for that.
   */
  async #chain(entry: Entry, loan: Loan, commits: boolean): Promise<void> {
    const [opening] = loan.shape
    const failed = statusOf(loan.client) === 'E'
    this.#loan = null
    const ended = failed ? null : await outcomeOn(loan.client, { query: commits ? 'commit' : 'rollback' } as QueryArgs)
    if (ended === null) await giveBack(loan)
    else loan.end(ended.error !== null)
    if (opening !== undefined) await this.#here(opening)
    if (ended !== null) return entry.settle?.(ended.error, ended.value)
    await this.#here({ query: 'select 1 operator(pg_catalog./) 0' } as QueryArgs).catch(() => {})
    return this.#runHere(entry)
  }

  #endIfOver(loan: Loan): void {
    if (loan.broken !== null || statusOf(loan.client) !== 'I') return
    this.#loan = null
    loan.end()
  }

  /** As with a connection of one's own that broke, until the transaction is ended. */
  #refuseBroken(entry: Entry, loan: Loan): void {
    const { text } = entry.args
    if (text !== null && closingOf(text) !== null) {
      this.#loan = null
      loan.end(true)
    }
    noteOutcome(loan.broken, 'not-sent')
    failing(entry)(loan.broken)
  }

  /** Somebody gave the client back inside a transaction on a replica. */
  #abandon(): void {
    const loan = this.#loan
    this.#loan = null
    loan?.end(true)
  }
}

/** An entry takes what is falsy for no error, and `abort(null)` is one. */
function reasonOf({ reason }: AbortSignal): unknown {
  return reason || new DOMException('This operation was aborted', 'AbortError')
}

/** The replica that a transaction was begun on has said that it is none any more. */
function hasLeft({ client }: Loan): boolean {
  const wire = wireOf(client)
  return wire !== undefined && isPromoted(wire.node, wire)
}

/** Tells an error in the entry's own way. */
function failing({ settle, args }: Entry): (error: unknown) => void {
  if (settle !== null) return settle
  return (error) => (args.query as { handleError?: (error: unknown) => void }).handleError?.(error)
}

/** Somebody gave the client back, and nothing that was sent will end its transaction. */
export function isLeftInTransaction(client: Client): boolean {
  const borrower = borrowerOf(client)
  const status = borrower === undefined ? (client as Partial<PoolClient>).getTransactionStatus?.() : borrower.ownStatus
  return isFree(client) && (status === 'T' || status === 'E')
}
