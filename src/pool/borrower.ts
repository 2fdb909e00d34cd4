// A client that a caller holds. It is a real client of one server, and keeps its order, its session and its transactions; a plain read
// outside of a transaction borrows a replica for that one statement, BEGIN READ ONLY borrows one until the transaction ends. Carries
// out what core/session/client-session.ts plans. Chooses no node.

import type { Client, PoolClient } from 'pg'
import {
  after,
  begun,
  chained,
  isPinned,
  keepsSnapshot,
  openingIn,
  plan,
  planOnLoan,
  withStream,
} from '../core/session/client-session.js'
import type { ServerSession } from '../core/session/server-session.js'
import { closingOf, onlyShapes } from '../core/sql/effects.js'
import { noteOutcome } from '../errors.js'
import type { Attempt } from '../herd/herd.js'
import { judged } from '../pg/calls.js'
import type { Internals, Notice } from '../pg/internals.js'
import { withFreeName } from '../pg/prepared.js'
import { isSubmittable, parseBy, withOwn, withoutCallback } from '../pg/submittable.js'
import { isFree, outcomeOn, runOn, type Send, type Sent, statusOf, type Turn, free as whenReady } from '../pg/turn.js'
import type { Routed } from '../router/routing.js'
import { type Callback, NO_OPTIONS, queryArgs, type RouteOptions, Statement, textIn } from '../router/statement.js'
import { onAbort } from '../runtime/abort.js'
import { inContext } from '../runtime/context.js'
import { Inside, type Opening } from './inside.js'
import { KeepAlive } from './keep-alive.js'
import { isolationOf, Lent } from './loan.js'
import type { Parts } from './parts.js'
import { pinned, promoted } from './refusals.js'

/** A statement that waits for its turn. */
interface Entry extends Turn {
  readonly args: Statement
  /** The request for a replica that would serve it now; null: none; undefined: to be asked when what is before it is over. */
  readonly routed: Routed | null | undefined
}

/** Judges the answer of a statement on a client of a replica; null: it is as good as it came. */
export type Verdict = () => Error | null

/** The borrowed connection will not do: the borrower's own does. */
const HERE = Symbol('here')

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
  readonly #line: ((() => Promise<void>) | 'released')[] = []
  readonly #waiters: (() => void)[] = []
  readonly #rest: KeepAlive
  readonly #notice: Notice = (message) => this.#client.emit('notice', message as never)
  #working = false
  #loan: Lent | null = null
  /** Ends the wait for a borrowed read. */
  #interrupt: ((error: unknown) => void) | null = null
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
    borrowers.set(client, this)
  }

  /** As getTransactionStatus() has it: that of the transaction which the holder of the client is in. */
  get status(): string | null {
    if (this.#inside?.moved) return statusOf(this.#inside.moved)
    return this.#loan === null ? this.#status() : this.#loan.status
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
    if (
      !lends &&
      !this.#working &&
      this.#loan === null &&
      this.#inside === null &&
      !hasSignal(first) &&
      !mayDiscard(first)
    ) {
      this.#leaves(first, textIn(first))
      return verdict === null ? this.#send(first, second, third) : this.#judged(first, second, third, verdict)
    }
    const scope = router.causality.scope ?? this.#session.hold?.scope ?? undefined
    const args = queryArgs(first, second, third)
    // What pg refuses with a throw.
    if (args.callback !== undefined && typeof args.callback !== 'function') return this.#send(first, second, third)
    const statement = new Statement(router.routing.texts, this.#options, args, scope, this.#session.wroteAt)
    // Behind others it is asked in its turn.
    const isBehind = this.#working || this.#loan !== null
    const routed = isBehind || verdict !== null ? undefined : this.#routed(statement)
    const isLate = (routed !== null && verdict === null) || this.#inside !== null
    if (isLate || this.#working || statement.signal !== undefined || this.#discards(statement)) {
      return this.#enqueue({ args: statement, routed, second, third, settle: null }, verdict)
    }
    this.#leaves(first, statement.sql)
    return verdict === null ? this.#send(first, second, third) : this.#judged(first, second, third, verdict)
  }

  #judged(first: unknown, second: unknown, third: unknown, verdict: Verdict): unknown {
    const text = textIn(first)
    // A session's state and the end of a transaction are told in any case, and what submits itself hands out its rows by itself.
    if (isSubmittable(first) || (text !== null && onlyShapes(text))) return this.#send(first, second, third)
    return judged((a, b, c) => this.#send(a, b, c), [first, second, third], verdict)
  }

  /** Calls when nothing waits in line any more: what uses the connection behind the holder's back waits for that. */
  whenFree(tell: () => void): void {
    if (this.#working) this.#waiters.push(tell)
    else tell()
  }

  /** Statements of its holder wait in line. */
  get isBusy(): boolean {
    return this.#working
  }

  /** What its last holder has left on a replica waits for that holder. */
  get isStuck(): boolean {
    return this.#loan?.isStuck === true
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
    if (this.#loan?.isStuck) this.#abandon()
    if (this.#working || this.#loan !== null) {
      this.#line.push('released')
      void this.#work()
    }
  }

  /** The client's own connection has ended. What it has borrowed goes on, unless the holder has ended it. */
  ended(): void {
    this.#rest.stop()
    const { _ending } = this.#client as unknown as Internals
    if (!_ending) return
    this.#interrupt?.(new Error('Connection terminated'))
    const loan = this.#loan
    this.#loan = null
    loan?.end(true)
  }

  #enqueue(entry: Entry, verdict: Verdict | null): unknown {
    const { args } = entry
    if (isSubmittable(args.query)) {
      this.#push(entry)
      return args.query
    }
    const judge = (settle: NonNullable<Entry['settle']>): Entry['settle'] => {
      if (verdict === null || (args.text !== null && onlyShapes(args.text))) return settle
      return (error, value) => {
        const refusal = error || this.#inside?.moved ? null : verdict()
        if (refusal === null) settle(error, value)
        else settle(refusal)
      }
    }
    const callback = args.callback ?? (args.query as { readonly callback?: Callback }).callback
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
    const { args, settle } = entry
    const { signal } = args
    if (signal?.aborted && settle !== null) return settle(reasonOf(signal))
    const loan = this.#loan
    if (loan !== null) return this.#runOnLoan(entry, loan)
    if (this.#inside !== null) return this.#runInside(entry, this.#inside)
    const routed = entry.routed === undefined ? this.#routed(args) : entry.routed
    if (routed === null || settle === null) return this.#runHere(entry)
    if (args.reads) return this.#borrow(args, routed, settle)
    return this.#openLoan(entry, routed)
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
    const client = this.#client as unknown as Internals
    if (!client.readyForQuery || client._queryQueue.length > 0) return false
    return client._queryable && !client._ending && client.pipeline !== true && this.#status() === 'I'
  }

  get #isTainted(): boolean {
    return this.#session.remains.isTainted
  }

  /** A read on a replica. It is answered as on the client's own connection: its parsers, its notices. */
  async #borrow(args: Statement, routed: Routed, settle: NonNullable<Entry['settle']>): Promise<void> {
    const { router } = this.#parts
    const types = (this.#client as unknown as Internals)._types
    let onClosed: (() => void) | null = null
    const sending = {
      notice: this.#notice,
      types,
      isClosed: false,
      onClose(call: () => void) {
        onClosed = call
        return () => {
          onClosed = null
        }
      },
    }
    const runOnReplica = async (place: Attempt) => {
      const pool = place.node.state.kind === 'replica' ? this.#parts.poolOf(place) : null
      if (pool === null || !pool.hasRoom) return HERE
      const answer = await pool.query(place, args, true, sending)
      router.causality.readOn(place.node, args.scope)
      return answer
    }
    const here = (answer: unknown) => (answer === HERE ? this.#here(args) : answer)
    const interrupted = new Promise<never>((_, reject) => {
      this.#interrupt = (error) => {
        sending.isClosed = true
        onClosed?.()
        noteOutcome(error, 'unknown')
        reject(error)
      }
    })
    const rested = this.#rest.start()
    const borrowed = router.borrow(args, routed, args.signal, runOnReplica, here)
    borrowed.catch(() => {}) // its rejection may come when its caller has been answered
    await Promise.race([borrowed, interrupted]).then(
      (result) => settle(null, result),
      (error) => settle(error || reasonOf(args.signal))
    )
    this.#interrupt = null
    rested()
  }

  /** What is sent may leave state in the session. What has neither text nor name pg refuses. */
  #leaves(query: unknown, sql: string | null): void {
    const isSent = sql !== null || isSubmittable(query) || Boolean((query as { readonly name?: unknown }).name)
    if (isSent) this.#session.remains.sends(sql)
  }

  /** DISCARD ALL, whose success has to be seen. */
  #discards({ text, effect }: Statement): boolean {
    return text !== null && mayDiscard(text) && this.#isTainted && effect === 'discards'
  }

  #here(args: Sent): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#send(withoutCallback(args.query), args.values, (error: unknown, result: unknown) =>
        error ? reject(error) : resolve(result)
      )
    })
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
    const run = (settle: Entry['settle']) => runOn(this.#client, this.#send, { ...entry, settle })
    if (signal === undefined || told === null) return run(told)
    // What was sent before is not to be cancelled.
    if (!(await isTurnOf(this.#client, signal))) return told(reasonOf(signal))
    await interruptible(signal, told, run, () => this.#parts.cancel(this.#client))
  }

  async #runInside(entry: Entry, inside: Inside): Promise<void> {
    const { args, settle } = entry
    const moved = await inside.clientFor(args, this.#status())
    if (moved !== null) return runOn(moved, moved.query.bind(moved) as unknown as Send, entry)
    if (settle === null) inside.note(args, args)
    const told: Entry['settle'] =
      settle &&
      ((error, value) => {
        if (!error) inside.note(args, kept(args))
        settle(error, value)
      })
    return this.#runHere({ ...entry, settle: told })
  }

  async #openLoan(entry: Entry, routed: Routed): Promise<void> {
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
    if (args.signal?.aborted) {
      client?.release()
      return entry.settle?.(reasonOf(args.signal))
    }
    if (opening === null || client === null) return this.#runHere(entry)
    const isolation = opening.isolation ?? (await isolationOf(client))
    const lagMillis = args.maxLagMillis ?? router.maxLagMillis
    const loan = new Lent(
      client,
      begun<Sent>(args, args.text ?? '', isolation ?? 'read committed', lagMillis),
      this.#notice
    )
    const isUnfit = isolation === null || isolation === 'serializable'
    const result = isUnfit ? null : await outcomeOn(client, args)
    if (result === null || loan.hasLeft || (result.error !== null && loan.status !== 'T')) {
      // Nothing has begun: the primary can do it as well.
      if (isolation === 'serializable') router.routing.setAside('isolation')
      loan.end(isolation !== 'serializable')
      return this.#runHere(entry)
    }
    this.#loan = loan
    this.#rest.start()
    entry.settle?.(result.error, result.value)
  }

  async #runOnLoan(entry: Entry, loan: Lent): Promise<void> {
    const { args, settle } = entry
    if (loan.broken !== null) return this.#refuseBroken(entry, loan)
    const next = planOnLoan(args, loan.state, loan.status)
    if (next === 'refuse') throw pinned()
    if (next === 'chain') return this.#chain(entry, loan)
    if (next === 'move') {
      await this.#move(loan)
      return this.#runHere(entry)
    }
    const { client } = loan
    if (settle === null) {
      loan.state = withStream(loan.state)
      parseBy(args.query, (this.#client as unknown as Internals)._types)
      await runOn(client, client.query.bind(client) as unknown as Send, entry)
      return this.#endIfOver(loan)
    }
    const wasOpen = (args.text === null || closingOf(args.text) === null) && loan.status === 'T'
    const types = (args.query as { readonly types?: unknown }).types ?? (this.#client as unknown as Internals)._types
    const sent = { query: withFreeName(client, withOwn(args.query, { types })), values: args.values }
    const run = async (tell: Entry['settle']) => {
      const { error, value } = await outcomeOn(client, sent)
      const { hasRead } = loan.state
      if (wasOpen && loan.hasLeft && !(hasRead && keepsSnapshot(loan.state))) {
        return this.#leave({ ...entry, settle: tell }, loan)
      }
      if (error === null) loan.state = after(loan.state, args, kept(args))
      this.#endIfOver(loan)
      tell?.(error, value)
    }
    if (args.signal === undefined) return run(settle)
    await interruptible(args.signal, settle, run, () => this.#parts.cancel(client))
  }

  /** The transaction goes on at the primary. Whatever fails there is the failure of the statement that needs it. */
  async #move(loan: Lent): Promise<void> {
    this.#over(loan)
    try {
      for (const sent of loan.state.shape) await this.#here(sent)
      // What may only stand before the first query must not be possible now, either.
      if (loan.state.hasRead) await this.#here(QUERY)
    } finally {
      await loan.giveBack()
    }
  }

  /** What the statement has shown may be of a fork, and is not told. A snapshot of before the promotion stays good. */
  async #leave(entry: Entry, loan: Lent): Promise<void> {
    if (isPinned(loan.state)) throw promoted()
    await this.#move(loan)
    await this.#runHere(entry)
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
    await this.#here({ query: chained(loan.state), values: undefined })
    if (ended !== null) return entry.settle?.(ended.error, ended.value)
    await this.#here(FAILING).catch(() => {})
    return this.#runHere(entry)
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
    failing(entry)(loan.broken)
  }

  /** The client was given back inside a transaction on a replica. */
  #abandon(): void {
    const loan = this.#loan
    if (loan === null) return
    this.#over(loan)
    loan.end(true)
  }

  #over(loan: Lent): void {
    if (this.#loan === loan) this.#loan = null
    this.#rest.stop()
  }
}

const QUERY: Sent = { query: 'select 1', values: undefined }
const FAILING: Sent = { query: 'select 1 operator(pg_catalog./) 0', values: undefined }

/** To be sent again elsewhere: as it was when it was sent here. */
function kept({ query, text, values }: Statement): Sent {
  const own = values ?? (query as { readonly values?: unknown }).values
  return { query: text, values: Array.isArray(own) ? [...own] : own }
}

function hasSignal(first: unknown): boolean {
  return (first as { readonly signal?: unknown }).signal !== undefined
}

function mayDiscard(first: unknown): boolean {
  const text = textIn(first)
  return text !== null && /^[^a-z]*discard\b/i.test(text)
}

/**
 * A statement whose caller is told at once when the signal is aborted; it is over when the server has heard of that, and is ready
 * again.
 */
async function interruptible(
  signal: AbortSignal,
  settle: NonNullable<Turn['settle']>,
  run: (settle: NonNullable<Turn['settle']>) => Promise<void>,
  cancel: () => Promise<void>
): Promise<void> {
  let cancelled: Promise<void> | undefined
  const unsubscribe = onAbort(signal, () => {
    settle(reasonOf(signal))
    cancelled = cancel()
  })
  try {
    await run((error, value) => {
      if (cancelled === undefined) settle(error, value)
    })
  } finally {
    unsubscribe()
    await cancelled
  }
}

/** Resolves when nothing is under way on the client any more; false: the signal was aborted before. */
function isTurnOf(client: Client, signal: AbortSignal): Promise<boolean> {
  if (isFree(client)) return Promise.resolve(!signal.aborted)
  return new Promise((resolve) => {
    const unsubscribe = onAbort(signal, () => resolve(false))
    void whenReady(client).then(() => {
      unsubscribe()
      resolve(!signal.aborted)
    })
  })
}

/** An entry takes what is falsy for no error, and `abort(null)` is one. */
function reasonOf(signal: AbortSignal | undefined): unknown {
  return signal?.reason || new DOMException('This operation was aborted', 'AbortError')
}

/** Tells an error in the entry's own way. */
function failing({ settle, args }: Entry): (error: unknown) => void {
  if (settle !== null) return settle
  return (error) => (args.query as { handleError?: (error: unknown) => void }).handleError?.(error)
}

/** The client was given back, and nothing that was sent will end its transaction. */
export function isLeftInTransaction(client: Client): boolean {
  const borrower = borrowerOf(client)
  const status = borrower === undefined ? (client as Partial<PoolClient>).getTransactionStatus?.() : borrower.ownStatus
  return isFree(client) && (status === 'T' || status === 'E')
}
