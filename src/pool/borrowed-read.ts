// A plain read of a client of the primary, on a replica: answered as on the client's own connection, with its parsers and its notices.

import { noteOutcome } from '../errors.js'
import type { Attempt } from '../herd/herd.js'
import type { Notice } from '../pg/internals.js'
import type { Routed } from '../router/routing.js'
import { type Entry, reasonOf, type Settle } from './entry.js'
import type { Home } from './on-loan.js'
import type { Parts, Sending } from './parts.js'

/** The borrowed connection will not do: the borrower's own does. */
const HERE = Symbol('here')

export class BorrowedRead implements Sending {
  readonly notice: Notice
  readonly types: unknown
  readonly #home: Home
  readonly #parts: Parts
  #isClosed = false
  #onClose: (() => void) | null = null
  #reject: (error: unknown) => void = () => {}

  constructor(home: Home, parts: Parts) {
    this.notice = home.notice
    this.types = home.types
    this.#home = home
    this.#parts = parts
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  onClose(call: () => void): () => void {
    this.#onClose = call
    return () => {
      this.#onClose = null
    }
  }

  /** The client was closed: its caller hears `error`, and the replica is to stop. */
  close(error: unknown): void {
    this.#isClosed = true
    this.#onClose?.()
    noteOutcome(error, 'unknown')
    this.#reject(error)
  }

  async run(entry: Entry, routed: Routed, settle: Settle): Promise<void> {
    const { args } = entry
    const { router } = this.#parts
    const closed = new Promise<never>((_, reject) => {
      this.#reject = reject
    })
    const runOn = (attempt: Attempt) => this.#runOn(attempt, entry)
    const here = (answer: unknown) => (answer === HERE ? this.#here(entry) : answer)
    this.#home.rests(true)
    const borrowed = router.borrow(args, routed, args.signal, runOn, here)
    borrowed.catch(() => {}) // its rejection may come when its caller has been answered
    await Promise.race([borrowed, closed]).then(
      (result) => settle(null, result),
      (error) => settle(error || reasonOf(args.signal))
    )
    this.#home.rests(false)
  }

  /** Only what is idle there, or can be opened at once: the client has a connection of its own. */
  async #runOn(attempt: Attempt, { args }: Entry): Promise<unknown> {
    const pool = attempt.node.state.kind === 'replica' ? this.#parts.poolOf(attempt) : null
    if (pool === null || !pool.mayRead(attempt, args)) return HERE
    const answer = await pool.query(attempt, args, true, this).catch((error) => {
      // A connection hook of the application's failed there: nothing was sent, and the client has a connection.
      const isOwn = attempt.phase === 'connect' && attempt.source === 'unproven'
      if (isOwn && !args.signal?.aborted && !this.#isClosed) return HERE
      throw error
    })
    if (answer === HERE) return HERE
    this.#parts.router.causality.readOn(attempt.node, args.scope)
    return answer
  }

  #here(entry: Entry): Promise<unknown> {
    return new Promise((resolve, reject) => {
      void this.#home.runHere({ ...entry, settle: (error, value) => (error ? reject(error) : resolve(value)) })
    })
  }
}
