// A read on a lane, and what is known of it there.

import type { Client } from 'pg'
import type { Attempt } from '../herd/herd.js'
import { withFreeName } from '../pg/prepared.js'
import { withOwn } from '../pg/submittable.js'
import { hasOwnParsers } from '../pg/turn.js'
import type { Statement } from '../router/statement.js'
import { onAbort } from '../runtime/abort.js'
import type { Before } from './judging.js'
import type { Sending } from './parts.js'
import type { Shown } from './proof.js'
import { CLOSED } from './site.js'

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
  /** How often the server is yet to say that it is ready: once for the read, and once for a guard before it. */
  answers = 1
  /** Its caller has an answer, or gets one from elsewhere: what comes here is dropped. */
  isOver = false
  /** The server's error: what became of its session it says behind that. */
  error: { readonly error: unknown } | null = null
  /** What its guard has proved; null: it has none. */
  guard: Shown | null = null
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

  over(): void {
    this.isOver = true
    this.#unsubscribe?.()
    this.#detach?.()
  }
}

/** What goes to pg's query() first: the caller's own object, where nothing else is asked of it. */
export function firstOf({ statement, sending }: LaneRead, client: Client): unknown {
  const { query } = statement
  const isOwn = typeof query === 'object'
  const { types, query_timeout: timeout } = (isOwn ? query : {}) as { types?: unknown; query_timeout?: unknown }
  const parsers = types ?? (sending !== undefined && hasOwnParsers(sending.types) ? sending.types : undefined)
  let sent = query
  if (parsers !== types || timeout)
    sent = withOwn(query, { types: parsers, ...(timeout ? { query_timeout: undefined } : {}) })
  return statement.isNamed ? withFreeName(client, sent) : sent
}

/** Its caller has gone, so it is not sent: the error for that; null: it waits. */
export function goneOf({ statement: { signal }, sending }: LaneRead): { readonly error: unknown } | null {
  if (signal?.aborted) return { error: signal.reason }
  return sending?.isClosed ? { error: new Error(CLOSED) } : null
}
