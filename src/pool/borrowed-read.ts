// A plain read of a client of the primary, on a replica: answered as on the client's own connection, with its parsers and its notices.

import { noteOutcome } from '../errors.js'
import { type Attempt, hasWon } from '../herd/herd.js'
import type { Notice } from '../pg/internals.js'
import { hasOwnParsers } from '../pg/turn.js'
import type { Routed } from '../router/routing.js'
import { type Entry, reasonOf, type Settle } from './entry.js'
import type { Home } from './on-loan.js'
import type { Lendable, Parts, Sending } from './parts.js'
import { RacingRead } from './racing-read.js'
import { LOST } from './site.js'

/** The borrowed connection will not do: the borrower's own does. */
const HERE = Symbol('here')

export class BorrowedRead implements Sending {
  readonly notice: Notice
  readonly types: unknown
  readonly #home: Home
  readonly #parts: Parts
  readonly #entry: Entry
  readonly #settle: Settle
  #isClosed = false
  #isOver = false
  #onClose: (() => void) | null = null
  /** The attempts, where there may be two. */
  #racing: RacingRead[] | null = null
  #finished: () => void = () => {}

  constructor(home: Home, parts: Parts, entry: Entry, settle: Settle) {
    this.notice = home.notice
    this.types = home.types
    this.#home = home
    this.#parts = parts
    this.#entry = entry
    this.#settle = settle
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  onClose(call: () => void): () => void {
    this.#onClose = call
    return () => {
      // It may have been sent again meanwhile.
      if (this.#onClose === call) this.#onClose = null
    }
  }

  /** The client was closed: its caller hears `error`, and the replica is to stop. */
  close(error: unknown): void {
    this.#isClosed = true
    this.#onClose?.()
    for (const each of this.#racing ?? []) each.close()
    noteOutcome(error, 'unknown')
    this.#over(error, undefined)
  }

  /** Calls `finished` when the caller has its answer. */
  run(routed: Routed, finished: () => void): void {
    const { args } = this.#entry
    this.#finished = finished
    this.#home.rests(true)
    const runOn = (attempt: Attempt) => this.#runOn(attempt)
    const here = (answer: unknown) => (answer === HERE ? this.#here() : answer)
    this.#parts.router.borrow(args, routed, args.signal, runOn, here).then(
      (result) => this.#over(null, result),
      (error) => this.#over(error || reasonOf(args.signal), undefined)
    )
  }

  #over(error: unknown, result: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#settle(error, error === null ? result : undefined)
    this.#home.rests(false)
    this.#finished()
  }

  /** Only what is idle there, or can be opened at once: the client has a connection of its own. */
  #runOn(attempt: Attempt): Promise<unknown> {
    const { args } = this.#entry
    const pool = attempt.node.state.kind === 'replica' ? this.#parts.poolOf(attempt) : null
    if (pool === null || (!attempt.isHedge && !pool.mayRead(attempt, args))) return Promise.resolve(HERE)
    if (attempt.race !== null) return this.#race(attempt, pool)
    return this.#runAs(this, attempt, pool)
  }

  #runAs(sending: Sending, attempt: Attempt, pool: Lendable): Promise<unknown> {
    const { args } = this.#entry
    return pool.query(attempt, args, true, sending).then(
      (answer) => {
        if (!hasWon(attempt)) return answer
        this.#parts.router.causality.readOn(attempt.node, args.scope)
        return answer
      },
      (error) => {
        // A connection hook of the application's failed there: nothing was sent, and the client has a connection.
        const isOwn = attempt.phase === 'connect' && attempt.source === 'unproven' && !attempt.isHedge
        if (isOwn && !args.signal?.aborted && !this.#isClosed) return HERE
        throw error
      }
    )
  }

  /** One of two attempts, perhaps. Parsers of the application's own are called for one only. */
  #race(attempt: Attempt, pool: Lendable): Promise<unknown> {
    if (attempt.isHedge && hasOwnParsers(this.types)) return Promise.reject(LOST)
    const sending = new RacingRead(this)
    this.#racing ??= []
    this.#racing.push(sending)
    return this.#runAs(sending, attempt, pool).then(
      (answer) => {
        if (hasWon(attempt)) sending.tell()
        return answer
      },
      (error) => {
        if (!attempt.isHedge && !attempt.abandoned) sending.tell()
        throw error
      }
    )
  }

  #here(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const settle: Settle = (error, value) => (error ? reject(error) : resolve(value))
      void this.#home.runHere({ ...this.#entry, settle })
    })
  }
}
