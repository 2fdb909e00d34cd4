// A client that a caller holds. It is a real client of one server, and keeps its order, its session and its transactions; a plain read
// outside of a transaction borrows a replica for that one statement, BEGIN READ ONLY borrows one until the transaction ends. Carries
// out what core/session/client-session.ts plans. Chooses no node.

import type { Client, PoolClient } from 'pg'
import { plan } from '../core/session/client-session.js'
import type { ServerSession } from '../core/session/server-session.js'
import { onlyShapes } from '../core/sql/effects.js'
import { judged } from '../pg/calls.js'
import type { Notice } from '../pg/internals.js'
import { isEnding } from '../pg/socket.js'
import { isSubmittable, withoutCallback } from '../pg/submittable.js'
import { isFree, isReady, runOn, type Send, statusOf, typesOf } from '../pg/turn.js'
import type { Routed } from '../router/routing.js'
import { NO_OPTIONS, queryArgs, type RouteOptions, Statement, textIn } from '../router/statement.js'
import { BorrowedRead } from './borrowed-read.js'
import {
  answered,
  cancellable,
  type Entry,
  fail,
  hasSignal,
  isTurnOf,
  mayDiscard,
  replayed,
  type Settle,
  toldAtOnce,
} from './entry.js'
import { Inside, type Opening } from './inside.js'
import { KeepAlive } from './keep-alive.js'
import { Line } from './line.js'
import { type Home, OnLoan } from './on-loan.js'
import type { Parts } from './parts.js'

/** Judges the answer of a statement on a client of a replica; null: it is as good as it came. */
export type Verdict = () => Error | null

/** A session's state and the end of a transaction are told in any case, and what submits itself hands out its rows by itself. */
export function isJudged(first: unknown): boolean {
  if (isSubmittable(first)) return false
  const text = textIn(first)
  return text === null || !onlyShapes(text)
}

const DONE = Promise.resolve()

const borrowers = new WeakMap<Client, Borrower>()

export function borrowerOf(client: Client): Borrower | undefined {
  return borrowers.get(client)
}

export class Borrower {
  readonly #client: Client
  readonly #session: ServerSession
  readonly #send: Send
  readonly #status: () => string | null
  readonly #parts: Parts
  readonly #line = new Line()
  readonly #rest: KeepAlive
  readonly #notice: Notice = (message) => this.#client.emit('notice', message as never)
  readonly #home: Home
  readonly #onLoan: OnLoan
  #read: BorrowedRead | null = null
  #options: RouteOptions = NO_OPTIONS
  /** The client of a replica is in a transaction that pgherd has begun. */
  #inside: Inside | null = null

  constructor(client: Client, session: ServerSession, send: Send, status: () => string | null, parts: Parts) {
    this.#client = client
    this.#session = session
    this.#send = send
    this.#status = status
    this.#parts = parts
    this.#rest = new KeepAlive(client, session, parts.clock)
    this.#home = this.#homeOf()
    this.#onLoan = new OnLoan(this.#home, parts)
    borrowers.set(client, this)
  }

  /** As getTransactionStatus() has it: that of the transaction which the holder of the client is in. */
  get status(): string | null {
    if (this.#inside?.moved) return statusOf(this.#inside.moved)
    if (this.#onLoan.isPending) return 'T'
    return this.#onLoan.lent === null ? this.#status() : this.#onLoan.lent.status
  }

  /** That of the client's own session, whatever runs on a replica for it. */
  get ownStatus(): string | null {
    return this.#status()
  }

  /** pg.Client's query(), of the holder of the client. `verdict`: of a client of a replica, before an answer is told. */
  query(first: unknown, second: unknown, third: unknown, verdict: Verdict | null = null): unknown {
    if (first === null || first === undefined) return this.#send(first, second, third)
    const { router } = this.#parts
    const { lends } = router
    // Nothing to borrow, nothing to wait for, nothing to abort: as in pg.
    if (!lends && !this.#line.isBusy && !this.#isAway && !hasSignal(first)) {
      this.#leaves(first, textIn(first))
      return verdict === null ? this.#send(first, second, third) : this.#judged(first, second, third, verdict)
    }
    const scope = router.causality.scope ?? this.#session.hold?.scope ?? undefined
    const args = queryArgs(first, second, third)
    // What pg refuses with a throw.
    if (args.callback !== undefined && typeof args.callback !== 'function') return this.#send(first, second, third)
    const statement = new Statement(router.routing.texts, this.#options, args, scope, this.#session.wroteAt)
    // Behind others it is asked in its turn.
    const isBehind = this.#line.isBusy || this.#isAway
    const routed = isBehind || verdict !== null ? undefined : this.#routed(statement)
    if (routed && !statement.reads && !this.#line.isBusy) {
      const answer = this.#onLoan.defers(statement)
      if (answer !== null) return answered(args, answer.value)
    }
    const isLate = (routed !== null && verdict === null) || this.#inside !== null
    if (isLate || this.#line.isBusy || statement.signal !== undefined || this.#discards(statement)) {
      return this.#enqueue({ args: statement, routed, second, third, settle: null }, verdict)
    }
    this.#leaves(first, statement.sql)
    return verdict === null ? this.#send(first, second, third) : this.#judged(first, second, third, verdict)
  }

  /** Its transaction is elsewhere, or may yet be. */
  get #isAway(): boolean {
    return this.#onLoan.lent !== null || this.#onLoan.isPending || this.#inside !== null
  }

  #judged(first: unknown, second: unknown, third: unknown, verdict: Verdict): unknown {
    if (!isJudged(first)) return this.#send(first, second, third)
    return judged((a, b, c) => this.#send(a, b, c), [first, second, third], verdict)
  }

  /** Calls when nothing waits in line any more: what uses the connection behind the holder's back waits for that. */
  whenFree(tell: () => void): void {
    this.#line.whenFree(tell)
  }

  /** Statements of its holder wait in line. */
  get isBusy(): boolean {
    return this.#line.isBusy
  }

  /** What its last holder has left on a replica waits for that holder. */
  get isStuck(): boolean {
    return this.#onLoan.lent?.isStuck === true
  }

  /** A caller takes the client, perhaps through a view of the pool. */
  held(options: RouteOptions): void {
    this.#options = options
  }

  /** pgherd has begun a transaction on this client of a replica, which may go on at the primary. */
  began(opening: Opening): void {
    const client = this.#client as PoolClient
    this.#inside = new Inside(client, opening, () => this.#parts.takePrimary(), this.#notice)
  }

  /** The client goes back to its pool. What was sent is still answered; an open transaction on a replica is not left open. */
  released(error: Error | boolean | undefined): void {
    this.#inside?.end(error)
    this.#inside = null
    // A cursor or a COPY that is read no further keeps the line from going on.
    if (this.#onLoan.lent?.isStuck) this.#onLoan.abandon()
    this.#line.add(() => {
      this.#onLoan.abandon()
      this.#line.next()
    })
  }

  /** The client's own connection has ended. What it has borrowed goes on, unless the holder has ended it. */
  ended(): void {
    this.#rest.stop()
    if (!isEnding(this.#client)) return
    this.#read?.close(new Error('Connection terminated'))
    this.#onLoan.abandon()
  }

  #enqueue(given: Entry, verdict: Verdict | null): unknown {
    if (isSubmittable(given.args.query)) {
      this.#push(given)
      return given.args.query
    }
    // As pg does: what is sent is what the caller gave when it called.
    const args = given.args.kept
    const entry = { ...given, args }
    const judge = (settle: Settle): Entry['settle'] => {
      if (verdict === null || !isJudged(args.query)) return settle
      return (error, value) => {
        const refusal = error || this.#inside?.moved ? null : verdict()
        if (refusal === null) settle(error, value)
        else settle(refusal)
      }
    }
    const { callback } = args
    if (typeof callback !== 'function') {
      return new Promise((resolve, reject) => {
        this.#push({ ...entry, settle: judge((error, value) => (error ? reject(error) : resolve(value))) })
      })
    }
    // Outside of any promise, so that what it throws is not ours to swallow.
    const settle = judge((error, value) => process.nextTick(callback, error ?? null, error ? undefined : value))
    this.#push({ ...entry, settle })
    return undefined
  }

  #push(given: Entry): void {
    const entry = toldAtOnce(given)
    this.#line.add(() => this.#attended(entry))
  }

  /** Runs it, and then what is next in line. */
  #attended(entry: Entry): void {
    const failed = (error: unknown) => {
      fail(entry, error)
      this.#line.next()
    }
    try {
      this.#run(entry)?.then(this.#line.next, failed)
    } catch (error) {
      failed(error)
    }
  }

  /** Resolves when it is over; undefined: what is next is called for when it is. */
  #run(entry: Entry): Promise<void> | undefined {
    const { args, settle } = entry
    // Its caller has heard of that.
    if (args.signal?.aborted && settle !== null) return DONE
    const { lent } = this.#onLoan
    if (lent !== null) return this.#onLoan.run(entry, lent)
    if (this.#onLoan.isPending) return this.#onLoan.first(entry)
    if (this.#inside !== null) return this.#runInside(entry, this.#inside)
    const routed = entry.routed === undefined ? this.#routed(args) : entry.routed
    if (routed === null || settle === null) return this.#runHere(entry)
    if (!args.reads) {
      const answer = this.#onLoan.defers(args)
      if (answer === null) return this.#onLoan.open(entry, routed)
      settle(null, answer.value)
      return DONE
    }
    this.#read = new BorrowedRead(this.#home, this.#parts, entry, settle)
    this.#read.run(routed, () => {
      this.#read = null
      this.#line.next()
    })
    return undefined
  }

  /** The request for a replica, where one would serve this statement now; null: it stays here. */
  #routed(statement: Statement): Routed | null {
    const { router } = this.#parts
    // What the server ends when it rests must be used, or it is not there when it is needed.
    const isIdle = this.#isIdle() && !this.#rest.isDue
    const own = { lends: router.lends && this.#session.hold?.isReplica !== true, isIdle, isTainted: this.#isTainted }
    return plan(statement, own) === 'here' ? null : router.borrows(statement)
  }

  #isIdle(): boolean {
    return isReady(this.#client) && this.#status() === 'I'
  }

  get #isTainted(): boolean {
    return this.#session.remains.isTainted
  }

  /** What is sent may leave state in the session. What has neither text nor name pg refuses. */
  #leaves(query: unknown, sql: string | null): void {
    const isSent = sql !== null || isSubmittable(query) || Boolean((query as { readonly name?: unknown }).name)
    if (isSent) this.#session.remains.sends(sql)
  }

  /** DISCARD ALL, whose success has to be seen. */
  #discards({ text, effect }: Statement): boolean {
    return this.#isTainted && text !== null && mayDiscard(text) && effect === 'discards'
  }

  /** The client, as what it borrows needs it. */
  #homeOf(): Home {
    const client = this.#client
    return {
      client,
      session: this.#session,
      notice: this.#notice,
      get types() {
        return typesOf(client)
      },
      here: ({ query, values }) =>
        new Promise((resolve, reject) => {
          this.#send(withoutCallback(query), values, (error: unknown, result: unknown) =>
            error ? reject(error) : resolve(result)
          )
        }),
      runHere: (entry) => this.#runHere(entry),
      rests: (does) => {
        if (does) this.#rest.start()
        else this.#rest.stop()
      },
    }
  }

  async #runHere(entry: Entry): Promise<void> {
    const { args, settle } = entry
    const discards = this.#discards(args)
    this.#leaves(args.query, args.sql)
    const told: Entry['settle'] =
      settle &&
      ((error, value) => {
        if (discards && !error) this.#session.remains.discards()
        settle(error, value)
      })
    const { signal } = args
    const run = () => runOn(this.#client, this.#send, { ...entry, settle: told })
    if (signal === undefined || told === null) return run()
    // What was sent before is not to be cancelled.
    if (await isTurnOf(this.#client, signal)) await cancellable(signal, run, () => this.#parts.cancel(this.#client))
  }

  async #runInside(entry: Entry, inside: Inside): Promise<void> {
    const { args, settle } = entry
    const moved = await inside.clientFor(args, this.#status())
    if (moved !== null) return runOn(moved, moved.query.bind(moved) as unknown as Send, entry)
    if (settle === null) inside.note(args, args)
    const told: Entry['settle'] =
      settle &&
      ((error, value) => {
        if (!error) inside.note(args, replayed(args))
        settle(error, value)
      })
    return this.#runHere({ ...entry, settle: told })
  }
}

/** The client was given back, and nothing that was sent will end its transaction. */
export function isLeftInTransaction(client: Client): boolean {
  const borrower = borrowerOf(client)
  const status = borrower === undefined ? (client as Partial<PoolClient>).getTransactionStatus?.() : borrower.ownStatus
  return isFree(client) && (status === 'T' || status === 'E')
}
