// The connections of one node in one generation: an inner pg.Pool that dials one address with the right TLS name. Condemning
// drops it whole. Every connection comes back here, and here it is judged whether the next user may have it.

import type { Client, PoolClient } from 'pg'
import type { NodeAddress, NodeKey } from '../core/cluster/address.js'
import { failureOf, type Source } from '../core/cluster/failure.js'
import type { Node } from '../core/cluster/node.js'
import type { Scope } from '../core/session/causal-scope.js'
import { isPromoted, type ServerSession } from '../core/session/server-session.js'
import type { Attempt } from '../herd/herd.js'
import { isPromiseClass } from '../pg/abilities.js'
import { guarded } from '../pg/calls.js'
import { cancel, request } from '../pg/cancel.js'
import { clientsOf, expire, hasRoom, isAwaited, rejectWaiters } from '../pg/inner.js'
import type { InnerPool } from '../pg/internals.js'
import { type Pair, pairOn } from '../pg/pipeline.js'
import { forgetPrepared } from '../pg/prepared.js'
import { isOverdue } from '../pg/query-timeout.js'
import { discard, isGone, reset } from '../pg/socket.js'
import { disown, heardOn, mark, sourceOfStatement } from '../pg/tap.js'
import { owesAnswer, sessionOf } from '../pg/watch.js'
import { NO_OPTIONS, type RouteOptions, type Statement } from '../router/statement.js'
import { borrowerOf, isLeftInTransaction } from './borrower.js'
import { Checkout } from './checkout.js'
import { type ClientOwner, clientClass } from './client.js'
import { captures, Dispatch, isPairable } from './dispatch.js'
import type { Opening } from './inside.js'
import { type LaneHost, Lanes } from './lanes.js'
import type { Lendable, Parts, Sending } from './parts.js'
import { needsProof, prove } from './proof.js'
import { dropped, notPrimary, notReplica, promotedError } from './refusals.js'
import type { LaneRead } from './ride.js'
import type { Site } from './site.js'
import { begun } from './transaction.js'

/** How a transaction begins. */
export interface Begin extends Opening {
  /** On a replica, it may go on at the primary. */
  readonly mayMove: boolean
}

/** How a connection is held. */
interface Holding {
  readonly options: RouteOptions
  readonly scope: Scope | null
  readonly isLent: boolean
}

export class NodePool implements Site, ClientOwner, LaneHost, Lendable {
  readonly parts: Parts
  readonly node: Node
  readonly inner: InnerPool
  readonly #checkout: Checkout
  readonly #lanes: Lanes
  /** Clients that had been told to end when an error came: a server may stop while its pool ends. */
  readonly #ending = new WeakSet<Client>()
  /** Clients that pgherd ends while their last holder may still read from them. */
  readonly #late = new WeakSet<Client>()
  #condemned = false
  #finishing: Error | null = null
  #ended: Promise<void> | null = null

  constructor(node: Node, parts: Parts) {
    this.node = node
    this.parts = parts
    const config = parts.clientConfig(node)
    const isReplica = () => parts.router.isReplica(node.key)
    const hooks = guarded(config, isReplica, parts.clock, disown, parts.complain)
    const promises = isPromiseClass(config.Promise) ? {} : { Promise: undefined }
    this.inner = new parts.PoolClass({ ...config, ...promises, ...hooks, Client: clientClass(this) })
    // A class of the application's is for its callers: what the pool waits for itself it need not be trusted with.
    this.inner.Promise = Promise
    this.#checkout = new Checkout(parts, node, this.inner, this)
    this.#lanes = new Lanes(this)
    const tell = this.inner.emit.bind(this.inner)
    this.inner.emit = (event, first, second) => {
      if (event === 'connect') this.#checkout.connected()
      if (event === 'release' || event === 'remove') parts.freed(this.key)
      // Tracers listen to the pool whose connect() they see: this one.
      if (this.inner.listenerCount(event) > 0) tell(event, first, second)
      if (event === 'error' && this.#ending.has(second as Client)) return false
      if (event === 'release') this.#judge(second as Client, first as Error | boolean | undefined)
      return parts.relay(this, event, first, second)
    }
  }

  get key(): NodeKey {
    return this.node.key
  }

  get generation(): number {
    return this.node.generation
  }

  get address(): NodeAddress {
    return this.node.address
  }

  get condemned(): boolean {
    return this.#condemned
  }

  get hasRoom(): boolean {
    return !this.#condemned && (hasRoom(this.inner) || this.#lanes.resting > 0)
  }

  mayRead(place: Attempt, statement: Statement): boolean {
    return !this.#condemned && (hasRoom(this.inner) || this.#lanes.takes(statement, place))
  }

  /** Idle connections, and lanes that could be. */
  get idleCount(): number {
    return this.inner.idleCount + this.#lanes.resting
  }

  /** What asks for idle connections need not wait for lanes at rest. */
  yieldLanes(): void {
    this.#lanes.yield()
  }

  // What its clients tell.

  /** Every session on a replica says that it is in recovery, and every one on a primary that it is not. */
  standby(is: boolean): void {
    const { router } = this.parts
    if (is && router.isPrimary(this.key)) this.#accuse(notPrimary(this.key), 'pgherd')
    else if (!is && router.isReplica(this.key)) this.#accuse(notReplica(this.key), 'pgherd')
  }

  failed(client: Client, error: unknown, source: Source, isEnding: boolean): void {
    if (isEnding) this.#ending.add(client)
    this.#accuse(error, source)
  }

  #accuse(error: unknown, source: Source): void {
    const failure = failureOf(error, 'idle', source)
    const { key, generation } = this
    if (failure.accuses && !this.#condemned)
      this.parts.router.herd.report({ kind: 'accused', key, generation, failure })
  }

  /** It is being given back. May the next user have it? What its server said, and what was sent, decides. */
  #judge(client: Client, error: Error | boolean | undefined): void {
    const session = sessionOf(client)
    if (session === undefined) return
    const { causality } = this.parts.router
    // A client whose messages are not seen (the native one): it may have written while it was out.
    if (session.readyAt === null) {
      if (isGone(client)) causality.mayHaveLost()
      else causality.mayHaveWritten()
    }
    forgetPrepared(client)
    const isHeld = session.use === 'held'
    const isReplica = this.parts.router.isReplica(this.key)
    if (isHeld) {
      session.releases()
      borrowerOf(client)?.released(error)
    }
    const { waits } = session.remains
    if (!error && (waits === 'copy-out' || waits === 'portal')) {
      this.#late.add(client)
      this.#ending.add(client)
    }
    // With pg a transaction that query() has begun is still open for the next user of the one connection.
    const isOpen = (isHeld || isReplica) && isLeftInTransaction(client)
    if (isOpen || (isHeld && isOverdue(client)) || !session.remains.mayStay(isReplica)) expire(this.inner, client)
  }

  endsLate(client: Client): boolean {
    return this.#late.delete(client)
  }

  // What is asked of it.

  /** A client of this node for a transaction of a client of the primary, which looks after it. */
  lend(place: Attempt, { scope }: Statement): Promise<PoolClient> {
    place.movable = true
    return this.#hold(place, { options: NO_OPTIONS, scope: scope ?? null, isLent: true })
  }

  /** One that has begun: a guess that the node is a replica has held until then. */
  async begin(place: Attempt, options: RouteOptions, begin: Begin): Promise<PoolClient> {
    const client = await this.connect(place, options)
    const [since, heard] = [mark(), heardOn(client)]
    await begun(client, begin.text).catch((error) => {
      place.source = sourceOfStatement(error, client, since, heard)
      throw error
    })
    const session = sessionOf(client)
    if (session !== undefined && this.hasLeft(place, session)) throw this.leaves(client, place)
    if (begin.isolation === 'repeatable read') session?.wantsSnapshot()
    if (begin.mayMove && place.node.state.kind === 'replica') borrowerOf(client)?.began(begin)
    return client
  }

  /** A client of this node, ready and of the role that was asked for. */
  connect(place: Attempt, options: RouteOptions): Promise<PoolClient> {
    return this.#hold(place, { options, scope: this.parts.router.causality.scope ?? null, isLent: false })
  }

  #hold(place: Attempt, { options, scope, isLent }: Holding): Promise<PoolClient> {
    return new Promise((resolve, reject) => {
      const use = (client: PoolClient, session: ServerSession) => {
        if (this.hasLeft(place, session)) return reject(this.leaves(client, place))
        const give = () => {
          const isReplica = !isLent && place.node.state.kind === 'replica'
          session.takes({ scope, node: place.node, insists: options.route === 'replica', isReplica, isLent })
          borrowerOf(client)?.held(options)
          resolve(client)
          this.#relieve()
        }
        if (needsProof(place, session)) prove(this, client, session, place, give, reject)
        else give()
      }
      this.#lanes.makeRoom(false)
      this.#checkout.acquire({ place, reject, use })
    })
  }

  /** One statement on a client of its own, as pg.Pool's query(): released when done, removed when it failed. */
  query(place: Attempt, statement: Statement, reading: boolean, sending?: Sending): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const read = { place, statement, sending, resolve, reject }
      const fit = reading && !this.#condemned ? this.#lanes.fit(statement, place) : 'never'
      if (fit === 'never') this.#send(read, reading, false)
      else if (fit === 'slow') this.alone(read)
      else if (!this.#lanes.take(read)) this.#send(read, reading, true)
    })
  }

  /** On a connection that it has asked for. `began`: it has that. */
  #send(read: LaneRead, reading: boolean, mayShare: boolean, began = mayShare ? this.#lanes.awaits() : NOTHING): void {
    const { place, statement, sending, resolve, reject } = read
    const use = (client: PoolClient, session: ServerSession) => {
      began()
      if (mayShare && this.#lanes.wants(client)) return this.#lanes.open(client, session, read)
      const dispatch = new Dispatch(this, client, session, place, statement, reading, sending)
      const refused = dispatch.refusal()
      if (refused !== null) return reject(refused.error)
      const ends = { resolve, reject }
      if (!needsProof(place, session)) {
        return dispatch.run(captures(this.parts, place, statement, reading) ? pairOn(client) : null, ends)
      }
      const pair: Pair | null = isPairable(statement) ? pairOn(client) : null
      if (pair !== null) dispatch.guard(pair, ends)
      else prove(this, client, session, place, () => dispatch.run(null, ends), reject)
    }
    const missed = (error: unknown) => {
      began()
      reject(error)
    }
    this.#lanes.makeRoom(reading)
    this.#checkout.acquire({ place, reject: missed, use })
  }

  /** A read that lanes might carry, on a connection of its own. */
  alone(read: LaneRead): void {
    // It may have been sent before, on a lane.
    read.place.phase = 'connect'
    const [timed, began] = this.#lanes.timed(read)
    this.#send(timed, true, false, began)
  }

  hasLeft({ node }: Attempt, session: ServerSession): boolean {
    return isPromoted(node, session) && !this.parts.router.isPrimary(this.key)
  }

  /** A guess that failed: nothing was changed, so another server can serve. */
  leaves(client: PoolClient, place: Attempt): Error {
    client.release(true)
    return this.left(place)
  }

  left(place: Attempt): Error {
    this.#accuse(notReplica(this.key), 'pgherd')
    place.phase = 'connect'
    place.source = 'pgherd'
    return promotedError(this.key)
  }

  /** Asks the server to cancel what this client is doing. */
  cancel(client: Client): Promise<void> {
    return cancel(client, this.parts.Client, this.parts.clientConfig(this.node), this.parts.clock)
  }

  cancelOnce(client: Client): Promise<void> {
    return request(client, this.parts.Client, this.parts.clientConfig(this.node), this.parts.clock)
  }

  /** Nothing that was handed to this node may still happen; a caller that was only waiting hears that nothing was sent. */
  condemn(): void {
    this.#giveUp(NONE)
  }

  /**
   * As condemn(), of a server that is there to say what became of what it is at work on: that is waited for, and condemn()
   * ends it. A caller that holds a client has the answer, and then no connection.
   */
  part(): void {
    const busy = new Set(clientsOf(this.inner).filter(owesAnswer))
    for (const client of busy) if (sessionOf(client)?.use === 'held') client.once('drain', () => discard(client))
    this.#giveUp(busy)
  }

  #giveUp(spared: ReadonlySet<Client>): void {
    this.#condemn()
    const clients = clientsOf(this.inner).filter((client) => !spared.has(client))
    void this.end(dropped(this.key))
    for (const client of clients) reset(client)
  }

  /** The pool ends. Its last statements are waited for; a holder may keep a client for ever. */
  finish(reason: Error): void {
    this.#finishing = reason
    this.#relieve()
  }

  /** Callers that wait behind clients which are all held are told so: pg-pool would never answer them. */
  #relieve(): void {
    const reason = this.#finishing
    const clients = clientsOf(this.inner)
    if (reason === null || !isAwaited(this.inner) || clients.length === 0) return
    if (!clients.every((client) => sessionOf(client)?.use === 'held')) return
    rejectWaiters(this.inner, reason)
  }

  #condemn(): void {
    this.#condemned = true
    this.#checkout.giveUp()
    this.#lanes.end()
  }

  /** Takes no more statements, tells `reason` to those that wait for a client, and waits for those under way. */
  end(reason: Error): Promise<void> {
    rejectWaiters(this.inner, reason)
    this.#lanes.end()
    this.#checkout.end()
    this.#ended ??= this.inner.end()
    return this.#ended
  }

  /** The node is no longer listed: what waits for it is sent elsewhere. */
  leave(): Promise<void> {
    this.#condemn()
    return this.end(dropped(this.key))
  }
}

const NONE: ReadonlySet<Client> = new Set()
const NOTHING = () => {}
