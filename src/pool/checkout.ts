// How a connection of one node is had: asked of its inner pool, waited for no longer than it is worth, and looked at before it is used:
// is it still the server that was chosen, and is nothing of its last user left? Sends no statement of a caller's.

import type { Client, PoolClient } from 'pg'
import { type Failure, failureOf, type Source } from '../core/cluster/failure.js'
import type { Node } from '../core/cluster/node.js'
import type { ServerSession } from '../core/session/server-session.js'
import { clearOutcome } from '../errors.js'
import type { Attempt } from '../herd/herd.js'
import { Ceiling } from '../pg/ceiling.js'
import { clientsOf, hasIdle, hasRoom } from '../pg/inner.js'
import type { Connected, InnerPool, Release } from '../pg/internals.js'
import { isOutdated } from '../pg/login.js'
import { ask, isAskedAside } from '../pg/own-query.js'
import { discard, isEnding } from '../pg/socket.js'
import { mark, sourceOf, sourceOfMissing } from '../pg/tap.js'
import { isFree, processOf, free as whenReady } from '../pg/turn.js'
import { sessionOf } from '../pg/watch.js'
import { isDemoted, needsProof } from '../router/admission.js'
import { IDENTITY, identityIn } from '../router/questions.js'
import type { Alarm } from '../runtime/clock.js'
import { inContext } from '../runtime/context.js'
import { borrowerOf, isLeftInTransaction } from './borrower.js'
import type { Parts } from './parts.js'
import { dropped, movedError, notPrimary, staleError } from './refusals.js'

/** A request for a connection to a node. */
export interface Wanted {
  readonly place: Attempt
  readonly reject: (error: unknown) => void
  readonly use: (client: PoolClient, session: ServerSession) => void
  /** Logins that were refused on the way. */
  refusals?: { outdated: number; full: number; hoped: boolean } | undefined
  /** connectionTimeoutMillis is over then, on the monotonic clock. */
  deadline?: number
}

/** No client for it. `source`: what made the error. */
function refuse({ place, reject }: Wanted, error: unknown, source: Source = 'pgherd'): void {
  place.source = source
  reject(error)
}

export class Checkout {
  readonly #parts: Parts
  readonly #node: Node
  readonly #inner: InnerPool
  /** What waits for a connection while there is no client to name. */
  readonly #owner: object
  readonly #ceiling: Ceiling
  /** The oldest connection when none was ready, and when it was first seen then, on the monotonic clock. */
  #oldest: Client | null = null
  #loginAt = 0
  /** Clients that log in, and that no statement waits for any more. */
  readonly #unwanted = new WeakSet<Client>()
  #isOver = false

  constructor(parts: Parts, node: Node, inner: InnerPool, owner: object) {
    this.#parts = parts
    this.#node = node
    this.#inner = inner
    this.#owner = owner
    this.#ceiling = new Ceiling(inner, parts.clock)
  }

  /** Another connection was let in. */
  connected(): void {
    this.#ceiling.connected()
  }

  /** The node's connections are given up: a waiter for one is sent elsewhere. */
  giveUp(): void {
    this.#isOver = true
  }

  /** No more is made; logins that no statement waits for are broken off. */
  end(): void {
    this.#ceiling.end()
    for (const client of clientsOf(this.#inner)) {
      if (this.#unwanted.has(client) && sessionOf(client)?.readyAt === null) discard(client)
    }
  }

  acquire(wanted: Wanted): void {
    if (this.#isOver) {
      refuse(wanted, dropped(this.#node.key))
      return
    }
    if (wanted.place.isHedge && !hasRoom(this.#inner)) {
      refuse(wanted, staleError(this.#node.key))
      return
    }
    const { clock } = this.#parts
    const { telemetry } = this.#parts.router
    const from = telemetry.measures ? clock.mono() : null
    const since = mark()
    const limit = Number(this.#inner.options.connectionTimeoutMillis) || Infinity
    wanted.deadline ??= limit === Infinity ? Infinity : clock.mono() + limit
    const connected: Connected = (error, client, release) => {
      const missing = error === undefined || error === null ? null : sourceOfMissing(error, this.#owner, since)
      const failure = missing === null ? null : failureOf(error, 'connect', missing)
      if (failure !== null && this.#asksAgain(failure, wanted, connected)) return
      if (from !== null) telemetry.acquired(this.#node.address, clock.mono() - from, failure)
      if (missing === 'unproven') clearOutcome(error)
      if (missing !== null) {
        if (this.#isOver) refuse(wanted, dropped(this.#node.key))
        else refuse(wanted, error, missing)
        return
      }
      if (client === undefined) return refuse(wanted, new Error('the pool gave no client of ours'))
      const take = () => this.#take(client, release, wanted)
      if (isAskedAside(client)) this.#afterProbe(client, take)
      else take()
    }
    if (wanted.place.movable && !hasIdle(this.#inner)) this.#impatiently(wanted, connected)
    else this.#inner.connect(connected)
  }

  /** As connect(), for a read that another server may serve: where logins hang it does not wait for its own. */
  #impatiently(wanted: Wanted, connected: Connected): void {
    const { place } = wanted
    const inner = this.#inner
    const before = clientsOf(inner).length
    if (this.#ready === 0 && this.#hangs()) {
      refuse(wanted, staleError(this.#node.key))
      return
    }
    let answered = false
    let alarm: Alarm | null = null
    inner.connect((error, client, release) => {
      answered = true
      alarm?.cancel()
      connected(error, client, release)
    })
    const isLogin = clientsOf(inner).length > before
    const login = isLogin ? clientsOf(inner).at(-1) : undefined
    const late = () => {
      if (login !== undefined) this.#unwanted.add(login)
      place.abandoned = true
      refuse(wanted, staleError(this.#node.key))
    }
    if (!answered && (isLogin || this.#ready === 0)) alarm = this.#parts.clock.alarm(LOGIN_MILLIS, late)
  }

  /** The oldest of the connections, none of which is ready, has been seen logging in for long. */
  #hangs(): boolean {
    const now = this.#parts.clock.mono()
    const [oldest] = clientsOf(this.#inner)
    if (oldest === undefined) return false
    if (oldest !== this.#oldest) {
      this.#oldest = oldest
      this.#loginAt = now
    }
    return now - this.#loginAt > LOGIN_MILLIS
  }

  get #ready(): number {
    return clientsOf(this.#inner).filter((client) => sessionOf(client)?.readyAt !== null).length
  }

  /** A refused login that need not be the last word: another password, or another connection, may do. */
  #asksAgain(failure: Failure, wanted: Wanted, connected: Connected): boolean {
    const { place } = wanted
    if (this.#isOver || place.abandoned) return false
    const { password } = this.#inner.options
    const isFull = failure.kind === 'full'
    if (!isFull && !(failure.kind === 'denied' && isOutdated(failure.error, password))) return false
    wanted.refusals ??= { outdated: 0, full: 0, hoped: false }
    if (!isFull) {
      if (wanted.refusals.outdated++ > 0) return false
      this.#inner.connect(connected)
      return true
    }
    // Twice refused with none let in: two that wait for each other would log in for ever.
    const hope = place.movable || wanted.refusals.hoped ? 'ready' : 'any'
    wanted.refusals.hoped = true
    if (this.#ceiling.park(connected, wanted.deadline ?? Infinity, hope)) return true
    if (place.movable || wanted.refusals.full >= MOST_YIELDS) return false
    // The pool has no connection there. A probe that has one leaves its place.
    if (!(wanted.refusals.full > 0 || this.#parts.router.herd.yieldProbe(this.#node.key))) return false
    const pause = YIELD_MILLIS * 2 ** wanted.refusals.full++
    this.#parts.clock.alarm(pause, () => this.#inner.connect(connected), 'process')
    return true
  }

  /** A probe asks something on it. A server that does not answer that soon keeps the caller no longer than it would anyway. */
  #afterProbe(client: PoolClient, take: () => void): void {
    let taken = false
    const once = inContext(() => {
      if (taken) return
      taken = true
      alarm.cancel()
      take()
    })
    const alarm = this.#parts.clock.alarm(PROBED_MILLIS, once, 'process')
    void whenReady(client).then(once)
  }

  #take(client: PoolClient, release: Release, wanted: Wanted): void {
    const { place, use } = wanted
    const { router } = this.#parts
    const { key } = this.#node
    const session = sessionOf(client)
    if (session === undefined) {
      refuse(wanted, new Error('the pool gave no client of ours'))
      return
    }
    if (place.abandoned) {
      release()
      refuse(wanted, dropped(key))
      return
    }
    // It has waited for its connection. What is yet to show its position will be judged by that.
    if (!needsProof(place, session) && !router.herd.vouches(place)) {
      release()
      refuse(wanted, staleError(key))
      return
    }
    if (!this.#isOver && !isDemoted(place, session)) {
      if (session.use === 'released') this.#settled(client, session, wanted)
      else if (!session.isIdentified && router.facts.reads) this.#identify(client, session, wanted)
      else use(client, session)
      return
    }
    release(true)
    refuse(wanted, this.#isOver ? dropped(key) : notPrimary(key))
  }

  /**
   * An address may have moved since its node was looked at, or lead to several servers: a new connection says where it leads
   * before anything is sent over it.
   */
  #identify(client: PoolClient, session: ServerSession, { place, reject, use }: Wanted): void {
    const { key } = this.#node
    const refuse = (error: unknown, source: Source = 'pgherd') => {
      place.source = source
      client.release(true)
      reject(error)
    }
    const since = mark()
    // The answer comes in the context of the socket's data; what follows is the caller's.
    const go = inContext(() => use(client, session))
    session.asks()
    ask(client, IDENTITY, (error, [row]) => {
      session.answered()
      session.unidentified()
      if (this.#isOver) return refuse(dropped(key))
      const source = sourceOf(error, client, since)
      if (error && (isEnding(client) || failureOf(error, 'connect', source).accuses)) return refuse(error, source)
      const identity = identityIn(row?.answer)
      // A server that does not tell is taken for what it seems to be.
      if (identity === null) return go()
      const { inRecovery, replayed, pid, restMillis } = identity
      session.identified(inRecovery, replayed, pid !== processOf(client), restMillis, this.#parts.clock.mono())
      this.#parts.router.facts.identified(place.node, identity.startedAt, identity.isAsynchronous)
      const { state, seen } = place.node
      if (state.kind === 'primary' && identity.inRecovery) return refuse(notPrimary(key))
      const known = seen?.detail?.startedAt ?? ''
      if (known !== '' && known !== identity.startedAt) return refuse(movedError(key))
      go()
    })
  }

  /** What its last holder has sent is over, and no transaction of that holder is open. */
  #settled(client: PoolClient, session: ServerSession, wanted: Wanted): void {
    session.settles()
    const borrower = borrowerOf(client)
    if (isFree(client) && borrower?.isBusy !== true) this.#reused(client, session, wanted)
    else this.#whenSettled(client, session, (isUsable) => this.#reused(client, session, wanted, isUsable))
  }

  #reused(client: PoolClient, session: ServerSession, wanted: Wanted, isUsable = true): void {
    if (isUsable && !isLeftInTransaction(client) && !isEnding(client)) wanted.use(client, session)
    else {
      client.release(true)
      this.acquire(wanted)
    }
  }

  /** Calls when its last holder's statements are over; `isUsable` false: they wait for that holder. */
  #whenSettled(client: PoolClient, session: ServerSession, then: (isUsable: boolean) => void): void {
    const borrower = borrowerOf(client)
    let isOver = false
    const over = inContext((isUsable: boolean) => {
      if (isOver) return
      isOver = true
      then(isUsable)
    })
    // What waits for a reader or a writer that has gone would keep the next user waiting, too.
    const look = () => {
      if (isOver) return
      if (session.remains.waits !== null || borrower?.isStuck) over(false)
      else this.#parts.clock.alarm(LOOK_MILLIS, look, 'process')
    }
    borrower?.whenFree(() => void whenReady(client).then(() => over(true)))
    look()
  }
}

/** A place that a probe has left at a full server is free some milliseconds later: the pauses before each attempt to have it. */
const YIELD_MILLIS = 20

const MOST_YIELDS = 4

/** A login to a replica that takes longer is not waited for by what another server may serve. */
const LOGIN_MILLIS = 500

/** A healthy server has answered a probe's question by then. */
const PROBED_MILLIS = 100

/** So often it is looked whether a connection that was given back waits for its last user. */
const LOOK_MILLIS = 50
