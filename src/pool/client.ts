// The class of one node's clients: pg's own, watched from its first byte. What a caller sends on a client that it holds, what a hook
// sends, and what query() sends take different ways through it. An error listener is always there: a killed backend must not end
// the process.

import type pg from 'pg'
import { failureOf, type Source } from '../core/cluster/failure.js'
import type { Node } from '../core/cluster/node.js'
import { isPromoted, type ServerSession } from '../core/session/server-session.js'
import { noteOutcome } from '../errors.js'
import { lookedAfter, noticed } from '../pg/calls.js'
import { isOdd, tell, watchBinding } from '../pg/fate.js'
import { isOverdue, isTimed, timed } from '../pg/query-timeout.js'
import { bytesRead, discard, isEnding, isGone } from '../pg/socket.js'
import { sourceOf, tap } from '../pg/tap.js'
import { isFree } from '../pg/turn.js'
import { type SessionListener, watch } from '../pg/watch.js'
import { watchedClass } from '../pg/watched.js'
import { authRule, type ClientClass } from '../pg/weak-auth.js'
import { refused, textIn } from '../router/statement.js'
import type { Clock } from '../runtime/clock.js'
import { Borrower, isJudged } from './borrower.js'
import type { Parts } from './parts.js'
import { notOnPrimary, promotedUnder } from './refusals.js'
import { STRAIGHT } from './site.js'

/** What the connections of one node are told by their clients. */
export interface ClientOwner {
  readonly parts: Parts
  readonly node: Node
  /** Its standby state became known or changed. */
  standby(is: boolean): void
  /** pgherd ends it, not its last holder, which may still read: the rest is for that holder. */
  endsLate(client: pg.Client): boolean
  /** The connection failed. `isEnding`: it had been told to end. */
  failed(client: pg.Client, error: unknown, source: Source, isEnding: boolean): void
}

/** So long a server may take to close a connection that it was told the end of. */
const CLOSE_MILLIS = 1000

export function clientClass(owner: ClientOwner): ClientClass {
  const { parts, node } = owner
  const { router, clock } = parts
  const { key, address } = node
  const intake = { refusesAuth: authRule(parts.requireAuth, address.origin) }
  const listener: SessionListener = {
    heard: (session, facts, text) => router.facts.heard(session, facts, text),
    notified: () => router.facts.notified(),
    legible: (is) => router.facts.legible(is),
    standby: (is) => owner.standby(is),
  }
  return class Client extends watchedClass(parts.Client, (text) => router.facts.undone(text)) {
    readonly #session: ServerSession
    readonly #borrower: Borrower
    /** pgherd itself is sending a statement of query(). */
    #isStraight = false
    constructor(config?: object) {
      super(config)
      const client = this as unknown as pg.Client
      const send = (a: unknown, b: unknown, c: unknown) => {
        this.#session.sends(router.causality.scope)
        return this.#send(a, b, c)
      }
      const status = () => super.getTransactionStatus?.() ?? null
      tap(client, owner, intake)
      this.#session = watch(client, clock, router.facts, listener)
      watchBinding(client, this.#session)
      this.#borrower = new Borrower(client, this.#session, send, status, parts)
      client.on('error', (error) => owner.failed(client, error, sourceOf(error, client, 0), isEnding(client)))
      client.on('end', () => this.#borrower.ended())
      const { telemetry } = router
      if (telemetry.measures) timeOf(client, clock, (millis) => telemetry.created(address, millis))
    }

    /** A statement of query(). The application may have wrapped the method of this very client, so it goes through that. */
    [STRAIGHT](first: unknown, values: unknown, done: unknown): unknown {
      this.#isStraight = true
      try {
        return this.query(first, values, done)
      } finally {
        this.#isStraight = false
      }
    }

    override query(first: unknown, second: unknown, third: unknown): unknown {
      if (this.#isStraight) return this.#inTime(first, second, third)
      const session = this.#session
      if (session.use !== 'held') return this.#ofHook(first, second, third)
      const { hold } = session
      if (hold?.isLent) {
        session.remains.sends(textIn(first))
        session.sends(router.causality.scope)
        return this.#send(first, second, third)
      }
      const isReplica = session.standby !== false && router.isReplica(key)
      if (!isReplica && router.refusesOnPrimary(first, hold?.insists === true)) {
        return refused(first, second, third, notOnPrimary(key))
      }
      if (!hold?.isReplica) return this.#borrower.query(first, second, third)
      // What a replica shows that was promoted meanwhile may be of a fork: its holder gets an error instead.
      if (this.#isForked && isJudged(first)) return refused(first, second, third, promotedUnder(key, 'not-sent'))
      return this.#borrower.query(first, second, third, () => {
        if (this.#isForked) return promotedUnder(key, 'rolled-back')
        session.hasRead()
        return null
      })
    }

    get #isForked(): boolean {
      const session = this.#session
      const node = session.hold?.node ?? null
      return isPromoted(node, session) && session.snapshot !== 'taken' && !router.isPrimary(key)
    }

    /** A connection hook, or a listener of 'connect'. What it sends to a replica is looked after. */
    #ofHook(first: unknown, second: unknown, third: unknown): unknown {
      this.#session.remains.hooks(textIn(first))
      this.#session.sends(router.causality.scope)
      if (!router.isReplica(key)) return this.#send(first, second, third)
      const failed = (error: unknown) => {
        const isRefused = failureOf(error, 'handed', sourceOf(error, this, 0)).kind === 'role'
        if (isRefused) router.routing.setAside('hook')
      }
      return lookedAfter((a, b, c) => this.#send(a, b, c), [first, second, third], failed)
    }

    #send(first: unknown, second: unknown, third: unknown): unknown {
      const client = this as unknown as pg.Client
      const isHeld = this.#session.use === 'held'
      if (!isHeld || !(isGone(client) || isOdd(first, second))) return this.#inTime(first, second, third)
      // Whatever was sent has its outcome by then.
      const send = (a: unknown, b: unknown, c: unknown) => this.#inTime(a, b, c)
      return noticed(send, [first, second, third], (error) => noteOutcome(error, 'not-sent'))
    }

    #inTime(first: unknown, second: unknown, third: unknown): unknown {
      const client = this as unknown as pg.Client
      if (!isTimed(client, first)) return super.query(first, second, third)
      const isHeld = this.#session.use === 'held'
      const send = (a: unknown, b?: unknown, c?: unknown) => super.query(a, b, c)
      return timed(client, send, [first, second, third], (error) => {
        if (isHeld) tell(error, 'unknown', this.#session)
        // The holder of the client may know why; no other user shall wait for the end of the statement.
        if (this.#session.use !== 'held' && isOverdue(client)) void client.end()
      })
    }

    override end(callback?: unknown): unknown {
      const client = this as unknown as pg.Client
      // Given back while a COPY TO is still read, or before a cursor is closed: its reader gets the rest.
      if (owner.endsLate(client) && !isGone(client)) {
        whenRead(client, clock, () => this.#end(undefined))
        // Those that wait for a connection need not wait for that.
        if (typeof callback !== 'function') return Promise.resolve()
        process.nextTick(callback)
        return undefined
      }
      return this.#end(callback)
    }

    #end(callback: unknown): unknown {
      const client = this as unknown as pg.Client
      // A server that is frozen, or cut off, never closes its side, and the socket would keep the process alive.
      const alarm = clock.alarm(CLOSE_MILLIS, () => discard(client))
      client.once('end', () => alarm.cancel())
      return super.end(callback)
    }

    override getTransactionStatus(): string | null {
      return this.#borrower.status
    }
  } as unknown as ClientClass
}

/** Calls `then` when the answer is complete, or nothing more of it is read. */
function whenRead(client: pg.Client, clock: Clock, then: () => void): void {
  const before = bytesRead(client)
  clock.alarm(CLOSE_MILLIS, () => {
    if (isFree(client) || isGone(client) || bytesRead(client) === before) then()
    else whenRead(client, clock, then)
  })
}

/** How long it takes until the session is ready. */
function timeOf(client: pg.Client, clock: Clock, tell: (millis: number) => void): void {
  const from = clock.mono()
  client.once('connect', () => tell(clock.mono() - from))
}
