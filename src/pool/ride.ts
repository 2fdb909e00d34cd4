// A read on a lane, and what is known of it there.

import type { Client } from 'pg'
import type { Attempt } from '../herd/herd.js'
import { withFreeName } from '../pg/prepared.js'
import { withOwn } from '../pg/submittable.js'
import { parsedAs } from '../pg/turn.js'
import type { Statement } from '../router/statement.js'
import { onAbort } from '../runtime/abort.js'
import type { Before } from './judging.js'
import type { Sending } from './parts.js'
import type { Shown } from './proof.js'
import { CLOSED, LOST } from './site.js'

/** A read that wants a lane. */
export interface LaneRead {
  readonly place: Attempt
  readonly statement: Statement
  readonly sending: Sending | undefined
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/** A read on its lane. */
export class Ride {
  readonly read: LaneRead
  readonly before: Before
  /** It is answered when the server has said so often that it is ready. */
  last = 0
  /** The name that its statement is prepared under; null: none. */
  name: string | null = null
  /** When it was sent others were under way. */
  isBehind = false
  /** The server has said what it had to say of it. */
  isAnswered = false
  /** Its values could not be put into bytes, so pg has closed the statement that it had prepared for them. */
  isUnbound = false
  /** Rows that it has brought. */
  rows = 0
  /** Its caller has an answer, or gets one from elsewhere: what comes here is dropped. */
  isOver = false
  /** The server's error, whether its caller will hear of it or not: what became of its session it says behind that. */
  error: { readonly error: unknown } | null = null
  /** What its guard has proved; null: it has none. */
  guard: Shown | null = null
  /** Of a read that another replica has answered: called when this server has, too, or will not. */
  #gone: (() => void) | null = null
  #unsubscribe: (() => void) | undefined
  #detach: (() => void) | undefined

  constructor(read: LaneRead, before: Before) {
    this.read = read
    this.before = before
  }

  listens(giveUp: (reason: unknown) => void): void {
    const { statement, sending } = this.read
    const { signal } = statement
    if (signal !== undefined) this.#unsubscribe = onAbort(signal, () => giveUp(signal.reason))
    if (sending !== undefined) this.#detach = sending.onClose(() => giveUp(new Error(CLOSED)))
  }

  /** No caller waits for its answer. */
  get isUnwanted(): boolean {
    return this.isOver || this.read.place.abandoned
  }

  /** It is sent now. `giveUp`: how, if another replica answers the read. */
  handed(giveUp: (reason: unknown) => void): void {
    const { place } = this.read
    place.phase = 'handed'
    place.race?.handed(place, (gone) => {
      if (this.isOver || this.isAnswered) return gone()
      this.#gone = gone
      giveUp(LOST)
    })
  }

  answered(): void {
    this.isAnswered = true
    this.#gone?.()
  }

  /** Its server will not answer it. True: no caller waits for that. */
  ends(): boolean {
    this.#gone?.()
    return this.isOver
  }

  over(): void {
    this.isOver = true
    this.#unsubscribe?.()
    this.#detach?.()
  }
}

/** What goes to pg's query() first: the caller's own object, where nothing else is asked of it. */
export function firstOf({ statement, sending }: LaneRead, client: Client): unknown {
  const parsed = parsedAs(statement.query, sending?.types)
  // The lane keeps the time.
  const isTimed = typeof parsed === 'object' && Boolean((parsed as { query_timeout?: unknown }).query_timeout)
  const sent = isTimed ? withOwn(parsed, { query_timeout: undefined }) : parsed
  return statement.isNamed ? withFreeName(client, sent) : sent
}

/** The name that the server keeps this statement under; null: none. */
export function nameOf(first: unknown): string | null {
  const { name } = (typeof first === 'object' ? first : {}) as { readonly name?: unknown }
  return typeof name === 'string' && name !== '' ? name : null
}

/** How many rows a result of pg has. */
export function rowsIn(result: unknown): number {
  return (result as { readonly rows?: readonly unknown[] } | null | undefined)?.rows?.length ?? 0
}

/** Its caller has gone, so it is not sent: the error for that; null: it waits. */
export function goneOf({ statement: { signal }, sending }: LaneRead): { readonly error: unknown } | null {
  if (signal?.aborted) return { error: signal.reason }
  return sending?.isClosed ? { error: new Error(CLOSED) } : null
}

/** What query_timeout of the statement, else of the pool, leaves the head, in milliseconds. */
export function timeoutOf({ read }: Ride, pipe: { readonly timeoutMillis: number }): number {
  const own = (read.statement.query as { readonly query_timeout?: unknown }).query_timeout
  return Number(own) || pipe.timeoutMillis || Infinity
}
