// The connections of one node in one generation: an inner pg.Pool that dials one address with the right TLS name. Condemning
// drops it whole. Decides nothing about nodes; what happens on its wires it tells its owner.

import type { EventEmitter } from 'node:events'
import type pg from 'pg'
import type { Client, PoolClient } from 'pg'
import type { NodeAddress, NodeKey } from '../core/cluster/address.js'
import { type Failure, failureOf, type Outcome, type Source } from '../core/cluster/failure.js'
import type { Required } from '../core/cluster/horizon.js'
import { type Lsn, parseLsn } from '../core/cluster/lsn.js'
import type { Node } from '../core/cluster/node.js'
import { receiverOf } from '../core/cluster/receiver.js'
import type { Position, Receiver } from '../core/cluster/sighting.js'
import type { Scope } from '../core/session/causal-scope.js'
import { phaseOf } from '../core/session/commit.js'
import { onlyShapes } from '../core/sql/effects.js'
import { stepsOf } from '../core/sql/steps.js'
import { errorOf } from '../core/thrown.js'
import { clearOutcome, noteOutcome, PgherdError } from '../errors.js'
import type { Place } from '../herd/herd.js'
import { guarded, judged, lookedAfter } from '../pg/calls.js'
import { cancel } from '../pg/cancel.js'
import { isOdd, noteFate, noteRest, noteUnread, tell, unsubmitted, watchBinding } from '../pg/fate.js'
import type {
  Connected,
  InnerPool,
  InnerPoolClass,
  Internals,
  Notice,
  QueryableClass,
  Release,
} from '../pg/internals.js'
import { isOutdated } from '../pg/login.js'
import { ask, giveUpAside, isAside } from '../pg/own-query.js'
import { type Pair, pairOn } from '../pg/pipeline.js'
import { isOverdue, isTimed, noticed, timed } from '../pg/query-timeout.js'
import { isSubmittable } from '../pg/submittable.js'
import { disown, heardOn, mark, sourceOf, sourceOfMissing, sourceOfStatement, tap } from '../pg/tap.js'
import { isFree, free as whenReady } from '../pg/turn.js'
import { authRule, type ClientClass, type RequiredAuth } from '../pg/weak-auth.js'
import { discard, isGone, isPromoted, noteScope, reset, type Wire, type WireEvents, watch, wireOf } from '../pg/wire.js'
import { type QueryArgs, queryArgs, refused, type Wishes } from '../router/statement.js'
import { onAbort } from '../runtime/abort.js'
import type { Alarm, Clock } from '../runtime/clock.js'
import type { Complain } from '../runtime/complaints.js'
import { inContext } from '../runtime/context.js'
import type { Telemetry } from '../telemetry/telemetry.js'
import { Borrower, borrowerOf, isLeftInTransaction, type Lender } from './borrower.js'
import { Ceiling } from './ceiling.js'
import { begun } from './transaction.js'

interface Ends {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/** Somebody waits for a connection to a node. */
interface Wanted {
  readonly place: Place
  readonly reject: (error: unknown) => void
  readonly use: (client: PoolClient, wire: Wire) => void
  /** Logins that were refused on the way. */
  refusals?: { outdated: number; full: number; hoped: boolean } | undefined
  /** connectionTimeoutMillis is over then, on the monotonic clock. */
  deadline?: number
}

/** No client for it. `source`: who made the error. */
function refuse({ place, reject }: Wanted, error: unknown, source: Source = 'pgherd'): void {
  place.source = source
  reject(error)
}

export interface NodePoolOwner {
  readonly clock: Clock
  readonly PoolClass: InnerPoolClass
  readonly Client: ClientClass
  readonly requireAuth: RequiredAuth | null
  clientConfig(node: Node): Record<string, unknown>
  /** Every event of the inner pool, to be emitted by the outer one. pg-pool's events have one or two arguments. */
  relay(pool: NodePool, event: string, first: unknown, second: unknown): boolean
  /** Of every client's wire; `standby` is this node's own business. */
  readonly wires: Omit<WireEvents, 'standby'>
  readonly complain: Complain
  /** Who looks on how connections are made and given out. */
  readonly telemetry: Pick<Telemetry, 'measures' | 'created' | 'acquired'>
  /** New connections are to say which server they lead to. */
  identifies(): boolean
  identified(node: Node, startedAt: string, asynchronous: boolean): void
  /** The session whose code runs now. */
  scope(): Scope | undefined
  /** Positions are to be captured behind writes: somebody will read. */
  captures(scope: Scope | undefined): boolean
  /** Commits may be asynchronous, whatever the session says of itself: since an earlier text, or this one is sent. */
  isAsynchronous(text: string | null): boolean
  /** The position that was asked for behind an acknowledged write; null: it did not come. */
  captured(wire: Wire, node: Node, lsn: Lsn | null): void
  /** A replica has shown its position to a read that needs `required`; `guess`: the same, where the read was one. */
  shown(node: Node, position: Position, receiver: Receiver | null, required: Required, guess: Required | null): void
  /** What was chosen then holds now. */
  vouches(place: Place): boolean
  /** The primary is asked, where what the replica has shown is not enough. */
  confirms(place: Place): Promise<boolean>
  accused(node: Node, failure: Failure): void
  isReplica(key: NodeKey): boolean
  isPrimary(key: NodeKey): boolean
  /** Not to be sent over a session that is not a replica's: it must run on a replica, and is not taken for a read. */
  refuses(first: unknown, insists: boolean): boolean
  /** The holder of a client of a replica sends this. */
  noteReplica(client: Client, first: unknown): void
  /** A connection hook tried to write on a replica. */
  hookRefused(): void
  /** This node is full, and the pool has no connection there. True: a probe had one, and leaves its place. */
  yielded(key: NodeKey): boolean
  /** A connection may have become idle, or is gone. */
  freed(key: NodeKey): void
  /** Lends replicas to checked-out clients; null: they never borrow. */
  readonly lender: Lender | null
}

/** How a transaction begins. */
export interface Begin {
  readonly text: string
  /** All its reads are of one snapshot: REPEATABLE READ. */
  readonly keepsSnapshot: boolean
}

export class NodePool {
  readonly key: NodeKey
  readonly generation: number
  readonly inner: InnerPool
  readonly #owner: NodePoolOwner
  readonly #node: Node
  readonly #ceiling: Ceiling
  /** The oldest connection when none was ready, and when it was first seen then, on the monotonic clock. */
  #oldest: Client | null = null
  #loginAt = 0
  /** Clients that log in, and that no statement waits for any more. */
  readonly #unwanted = new WeakSet<Client>()
  /** Clients that had been told to end when an error came: a server may stop while its pool ends. */
  readonly #ending = new WeakSet<Client>()
  #condemned = false
  #finishing: Error | null = null
  #ended: Promise<void> | null = null

  constructor(node: Node, owner: NodePoolOwner) {
    this.key = node.key
    this.generation = node.generation
    this.#node = node
    this.#owner = owner
    const config = owner.clientConfig(node)
    const hooks = guarded(config, () => owner.isReplica(node.key), owner.clock, disown, owner.complain)
    const promises = isPromiseClass(config.Promise) ? {} : { Promise: undefined }
    this.inner = new owner.PoolClass({ ...config, ...promises, ...hooks, Client: this.#clientClass() })
    // A class of the application's is for its callers: what the pool waits for itself it need not be trusted with.
    this.inner.Promise = Promise
    const tell = this.inner.emit.bind(this.inner)
    this.#ceiling = new Ceiling(this.inner, owner.clock)
    this.inner.emit = (event, first, second) => {
      if (event === 'connect') this.#ceiling.connected()
      if (event === 'release' || event === 'remove') owner.freed(this.key)
      // Tracers listen to the pool whose connect() they see: this one.
      if (this.inner.listenerCount(event) > 0) tell(event, first, second)
      if (event === 'error' && this.#ending.has(second as Client)) return false
      return owner.relay(this, event, first, second)
    }
  }

  get address(): NodeAddress {
    return this.#node.address
  }

  get condemned(): boolean {
    return this.#condemned
  }

  /**
   * Each physical client is watched from its first byte, and always has an error listener: a killed backend must not end the
   * process. What a hook sends to a replica is looked after.
   */
  #clientClass(): ClientClass {
    const owner = this.#owner
    const { key, address } = this.#node
    const Base = owner.Client
    const intake = { refusesAuth: authRule(owner.requireAuth, address.origin) }
    const ending = this.#ending
    const tapFor = (client: Client) => tap(client, this, intake)
    const accuse = (error: unknown, source: Source) => this.#accuse(failureOf(error, 'idle', source))
    const events: WireEvents = {
      ...owner.wires,
      standby: (is) => {
        // Every session on a replica says that it is in recovery, and every one on a primary that it is not.
        if (is && owner.isPrimary(key)) accuse(notPrimary(key), 'pgherd')
        else if (!is && owner.isReplica(key)) accuse(notReplica(key), 'pgherd')
      },
    }
    return class Client extends (Base as unknown as QueryableClass) {
      readonly #wire: Wire
      readonly #borrower: Borrower | null
      constructor(config?: object) {
        super(config)
        const client = this as unknown as pg.Client
        const send = (a: unknown, b: unknown, c: unknown) => {
          noteScope(this.#wire, owner.scope())
          return this.#send(a, b, c)
        }
        const status = () => super.getTransactionStatus?.() ?? null
        tapFor(client)
        this.#wire = watch(client, owner.clock, events)
        watchBinding(client)
        this.#borrower = owner.lender === null ? null : new Borrower(client, send, status, owner.lender)
        client.on('error', (error) => {
          if (isEnding(client)) ending.add(client)
          accuse(error, sourceOf(error, client, 0))
        })
        client.on('error', (error) => this.#borrower?.failed(error))
        client.on('end', () => this.#borrower?.ended())
        if (owner.telemetry.measures) timeOf(client, owner.clock, (millis) => owner.telemetry.created(address, millis))
      }

      #send(first: unknown, second: unknown, third: unknown): unknown {
        const client = this as unknown as pg.Client
        const { held } = this.#wire
        const plain = (a: unknown, b?: unknown, c?: unknown) => super.query(a, b, c)
        const late = (statement: unknown, error: unknown) => {
          if (held) tell(error, 'unknown', this.#wire)
          overdue(client, this.#wire, statement)
        }
        const inTime = (a: unknown, b?: unknown, c?: unknown) => timed(client, plain, [a, b, c], late)
        const send = isTimed(client, first) ? inTime : plain
        if (!held || !(isGone(client) || isOdd(first, second))) return send(first, second, third)
        // Whatever was sent has its outcome by then.
        return noticed(send, [first, second, third], (error) => noteOutcome(error, 'not-sent'))
      }

      override _handleErrorMessage(message: unknown): void {
        const client = this as unknown as pg.Client
        noteFate(message, client, this.#wire, owner.wires.undone)
        // What ends an idle session is told as ever, also while a probe asks something there.
        if (failureOf(message, 'idle', sourceOf(message, client, 0)).kind === 'lost') giveUpAside(client, message)
        super._handleErrorMessage?.(message)
      }

      override _errorAllQueries(error: unknown): void {
        const client = this as unknown as pg.Client
        noteFate(error, client, this.#wire, owner.wires.undone)
        noteRest(error, client, this.#wire)
        super._errorAllQueries(error)
      }

      /** In the handler of a socket's data, where a Promise class of the application's is asked first. */
      override _getPassword(done: () => void): void {
        try {
          super._getPassword?.(done)
        } catch (error) {
          const { connection } = this as unknown as pg.Client & { readonly connection: EventEmitter }
          connection.emit('error', errorOf(error, 'option Promise'))
        }
      }

      override _handleReadyForQuery(message: unknown): void {
        noteUnread(this as unknown as pg.Client, this.#wire)
        try {
          super._handleReadyForQuery?.(message)
        } catch (error) {
          if (!unsubmitted(this as unknown as pg.Client, error)) throw error
        }
      }

      override end(callback?: unknown): unknown {
        const client = this as unknown as pg.Client
        // A server that is frozen, or cut off, never closes its side, and the socket would keep the process alive.
        const alarm = owner.clock.alarm(CLOSE_MILLIS, () => discard(client))
        client.once('end', () => alarm.cancel())
        return super.end(callback)
      }

      override getTransactionStatus(): string | null {
        return this.#borrower === null ? (super.getTransactionStatus?.() ?? null) : this.#borrower.status
      }

      override query(first: unknown, second: unknown, third: unknown): unknown {
        const { sending, held } = this.#wire
        if (sending) return super.query(first, second, third)
        if (held && this.#wire.ofReplica && judges(first)) return this.#onReplica(first, second, third)
        return this.#routed(first, second, third)
      }

      /** What a replica shows that was promoted meanwhile may be of a fork: its holder gets an error instead. */
      #onReplica(first: unknown, second: unknown, third: unknown): unknown {
        const wire = this.#wire
        const isForked = () => isPromoted(wire.node, wire) && wire.snapshot !== 'taken' && !owner.isPrimary(key)
        if (isForked()) return refused(first, second, third, promotedUnder(key, 'not-sent'))
        const send = (a: unknown, b: unknown, c: unknown) => this.#routed(a, b, c)
        return judged(send, [first, second, third], () => {
          if (isForked()) return promotedUnder(key, 'rolled-back')
          wire.snapshot &&= 'taken'
          return null
        })
      }

      #routed(first: unknown, second: unknown, third: unknown): unknown {
        const { held } = this.#wire
        const replica = owner.isReplica(key)
        if (held && !(replica && this.#wire.standby !== false) && owner.refuses(first, this.#wire.insists)) {
          return refused(first, second, third, notOnPrimary(key))
        }
        noteScope(this.#wire, owner.scope())
        if (replica && held) owner.noteReplica(this as unknown as pg.Client, first)
        if (!replica && this.#borrower !== null) {
          if (held) return this.#borrower.query(first, second, third)
          this.#borrower.noteHook(first)
        }
        if (held || !replica) return this.#send(first, second, third)
        const failed = (error: unknown) => {
          if (failureOf(error, 'handed', sourceOf(error, this, 0)).kind === 'role') owner.hookRefused()
        }
        return lookedAfter((a, b, c) => this.#send(a, b, c), [first, second, third], failed)
      }
    } as unknown as ClientClass
  }

  #accuse(failure: Failure): void {
    if (failure.accuses && !this.#condemned) this.#owner.accused(this.#node, failure)
  }

  /** A client of this node for a statement or transaction of a client of the primary, which looks after it. */
  lend(place: Place, scope: Scope | undefined): Promise<PoolClient> {
    return this.connect(place, {}, scope, true)
  }

  /** One that has begun: a guess that the node is a replica has held until then. */
  async begin(place: Place, wishes: Wishes, scope: Scope | undefined, begin: Begin): Promise<PoolClient> {
    const client = await this.connect(place, wishes, scope)
    const [since, heard] = [mark(), heardOn(client)]
    await begun(client, begin.text).catch((error) => {
      place.source = sourceOfStatement(error, client, since, heard)
      throw error
    })
    const wire = wireOf(client)
    if (wire !== undefined && this.#hasLeft(place, wire)) throw this.#leaves(client, place)
    if (wire !== undefined && begin.keepsSnapshot) wire.snapshot = 'wanted'
    return client
  }

  /** A client of this node, ready and of the role that was asked for. */
  connect(place: Place, wishes: Wishes = {}, scope?: Scope, lent = false): Promise<PoolClient> {
    return new Promise((resolve, reject) => {
      const use = (client: PoolClient, wire: Wire) => {
        if (this.#hasLeft(place, wire)) return reject(this.#leaves(client, place))
        const give = () => {
          wire.held = true
          wire.node = place.node
          wire.insists = wishes.route === 'replica'
          wire.ofReplica = !lent && place.node.state.kind === 'replica'
          wire.snapshot = null
          wire.holder = scope ?? null
          wire.wroteAt = null
          wire.scopes = null
          borrowerOf(client)?.held(wishes)
          resolve(client)
          this.#relieve()
        }
        if (needsProof(place, wire)) this.#prove(client, wire, place, give, reject)
        else give()
      }
      this.#acquire({ place, reject, use })
    })
  }

  /** One statement on a client of its own, as pg.Pool's query(): released when done, removed when it failed. */
  query(place: Place, args: QueryArgs, reading: boolean, notice?: Notice): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const use = (client: PoolClient, wire: Wire) => {
        if (args.signal?.aborted) {
          client.release()
          return reject(args.signal.reason)
        }
        if (reading && this.#hasLeft(place, wire)) return reject(this.#leaves(client, place))
        // Promoted since it was looked at: a write that insists on a replica would be done here.
        if (!reading && isPromoted(place.node, wire)) {
          client.release()
          return reject(notOnPrimary(this.key))
        }
        const run = (pair: Pair | null, ends = { resolve, reject }) => {
          const send = (end: Ends) => this.#dispatch(client, wire, place, args, reading, pair, end)
          if (notice === undefined) send(ends)
          else this.#overheard(client, notice, ends, send)
        }
        if (!needsProof(place, wire)) return run(this.#captures(place, args, reading) ? pairOn(client) : null)
        const pair = isPairable(args) ? pairOn(client) : null
        if (pair === null) this.#prove(client, wire, place, () => run(null), reject)
        else this.#guard(pair, wire, place, { resolve, reject }, (ends) => run(pair, ends))
      }
      this.#acquire({ place, reject, use })
    })
  }

  /** Chosen as a replica, it is none any more, and has not become the primary: what it shows may be of a fork. */
  #hasLeft({ node }: Place, wire: Wire): boolean {
    return isPromoted(node, wire) && !this.#owner.isPrimary(this.key)
  }

  /** A guess that failed: nothing was changed, so another server can serve. */
  #leaves(client: PoolClient, place: Place): PgherdError {
    client.release(true)
    this.#accuse(failureOf(notReplica(this.key), 'idle', 'pgherd'))
    place.phase = 'connect'
    place.source = 'pgherd'
    return promotedError(this.key)
  }

  /** Behind this statement the position is asked for, as somebody will need it. */
  #captures({ node }: Place, args: QueryArgs, reading: boolean): boolean {
    if (reading || !this.#owner.captures(args.scope) || node.state.kind !== 'primary' || !isPairable(args)) return false
    return this.#owner.wires.writes(args.text, true)
  }

  #acquire(wanted: Wanted): void {
    if (this.#condemned) {
      refuse(wanted, dropped(this.key))
      return
    }
    const { telemetry, clock } = this.#owner
    const from = telemetry.measures ? clock.mono() : null
    const since = mark()
    const limit = Number(this.inner.options.connectionTimeoutMillis) || Infinity
    wanted.deadline ??= limit === Infinity ? Infinity : clock.mono() + limit
    const connected: Connected = (error, client, release) => {
      const missing = error === undefined || error === null ? null : sourceOfMissing(error, this, since)
      const failure = missing === null ? null : failureOf(error, 'connect', missing)
      if (failure !== null && this.#asksAgain(failure, wanted, connected)) return
      if (from !== null) telemetry.acquired(this.#node.address, clock.mono() - from, failure)
      if (missing === 'unproven') clearOutcome(error)
      if (missing !== null) {
        if (this.#condemned) refuse(wanted, dropped(this.key))
        else refuse(wanted, error, missing)
        return
      }
      if (client === undefined) return refuse(wanted, new Error('the pool gave no client of ours'))
      const take = () => this.#take(client, release, wanted)
      if (isAside((client as unknown as Internals)._activeQuery)) this.#afterProbe(client, take)
      else take()
    }
    if (wanted.place.movable && this.inner._idle.length === 0) this.#impatiently(wanted, connected)
    else this.inner.connect(connected)
  }

  /** As connect(), for a read that another server may serve: where logins hang it does not wait for its own. */
  #impatiently(wanted: Wanted, connected: Connected): void {
    const { clock } = this.#owner
    const { place } = wanted
    const before = this.inner._clients.length
    if (this.#ready === 0 && this.#hangs()) {
      refuse(wanted, staleError(this.key))
      return
    }
    let answered = false
    let alarm: Alarm | null = null
    this.inner.connect((error, client, release) => {
      answered = true
      alarm?.cancel()
      connected(error, client, release)
    })
    const isLogin = this.inner._clients.length > before
    const login = isLogin ? this.inner._clients.at(-1) : undefined
    const late = () => {
      if (login !== undefined) this.#unwanted.add(login)
      place.abandoned = true
      refuse(wanted, staleError(this.key))
    }
    if (!answered && (isLogin || this.#ready === 0)) alarm = clock.alarm(LOGIN_MILLIS, late)
  }

  /** The oldest of the connections, none of which is ready, has been seen logging in for long. */
  #hangs(): boolean {
    const now = this.#owner.clock.mono()
    const [oldest] = this.inner._clients
    if (oldest === undefined) return false
    if (oldest !== this.#oldest) {
      this.#oldest = oldest
      this.#loginAt = now
    }
    return now - this.#loginAt > LOGIN_MILLIS
  }

  get #ready(): number {
    return this.inner._clients.filter((client) => wireOf(client)?.readyAt !== null).length
  }

  /** A refused login that need not be the last word: another password, or another connection, may do. */
  #asksAgain(failure: Failure, wanted: Wanted, connected: Connected): boolean {
    if (this.#condemned || wanted.place.abandoned) return false
    const { clock } = this.#owner
    const { password } = this.inner.options
    const isFull = failure.kind === 'full'
    if (!isFull && !(failure.kind === 'denied' && isOutdated(failure.error, password))) return false
    wanted.refusals ??= { outdated: 0, full: 0, hoped: false }
    if (!isFull) {
      if (wanted.refusals.outdated++ > 0) return false
      this.inner.connect(connected)
      return true
    }
    // Twice refused with none let in: two that wait for each other would log in for ever.
    const hope = wanted.place.movable || wanted.refusals.hoped ? 'ready' : 'any'
    wanted.refusals.hoped = true
    if (this.#ceiling.park(connected, wanted.deadline ?? Infinity, hope)) return true
    if (
      wanted.place.movable ||
      wanted.refusals.full >= MOST_YIELDS ||
      !(wanted.refusals.full > 0 || this.#owner.yielded(this.key))
    )
      return false
    clock.alarm(YIELD_MILLIS * 2 ** wanted.refusals.full++, () => this.inner.connect(connected), 'process')
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
    const alarm = this.#owner.clock.alarm(PROBED_MILLIS, once, 'process')
    void whenReady(client).then(once)
  }

  #take(client: PoolClient, release: Release, wanted: Wanted): void {
    const { place, use } = wanted
    const wire = wireOf(client)
    if (wire === undefined) {
      refuse(wanted, new Error('the pool gave no client of ours'))
      return
    }
    if (place.abandoned) {
      release()
      refuse(wanted, dropped(this.key))
      return
    }
    // It has waited for its connection. What is yet to show its position will be judged by that.
    if (!needsProof(place, wire) && !this.#owner.vouches(place)) {
      release()
      refuse(wanted, staleError(this.key))
      return
    }
    if (!this.#condemned && !isDemoted(place, wire)) {
      if (wire.released) this.#settled(client, wire, wanted)
      else if (!wire.identified && this.#owner.identifies()) this.#identify(client, wire, wanted)
      else use(client, wire)
      return
    }
    release(true)
    refuse(wanted, this.#condemned ? dropped(this.key) : notPrimary(this.key))
  }

  /**
   * An address may have moved since its node was looked at, or lead to several servers: a new connection says where it leads
   * before anything is sent over it.
   */
  #identify(client: PoolClient, wire: Wire, { place, reject, use }: Wanted): void {
    const refuse = (error: unknown, source: Source = 'pgherd') => {
      place.source = source
      client.release(true)
      reject(error)
    }
    const since = mark()
    // The answer comes in the context of the socket's data; what follows is the caller's.
    const go = inContext(() => use(client, wire))
    wire.reading = true
    ask(client, IDENTITY, (error, [row]) => {
      wire.reading = null
      wire.identified = true
      if (this.#condemned) return refuse(dropped(this.key))
      const source = sourceOf(error, client, since)
      if (error && (isEnding(client) || failureOf(error, 'connect', source).accuses)) return refuse(error, source)
      const [recovery, startedAt = '', commits, replayed] = row?.answer?.split(' ') ?? []
      // A server that does not tell is taken for what it seems to be.
      if (recovery === undefined) return go()
      wire.proven = parseLsn(replayed)
      if (recovery === 'f') wire.standby = false
      this.#owner.identified(place.node, startedAt, commits === 'off')
      const { state, seen } = place.node
      if (state.kind === 'primary' && recovery === 't') return refuse(notPrimary(this.key))
      const known = seen?.detail?.startedAt ?? ''
      if (known !== '' && known !== startedAt) return refuse(movedError(this.key))
      go()
    })
  }

  /** What its last holder has sent is over, and no transaction of that holder is open. */
  #settled(client: PoolClient, wire: Wire, wanted: Wanted): void {
    const check = () => {
      if (isLeftInTransaction(client) || isEnding(client)) {
        client.release(true)
        this.#acquire(wanted)
      } else wanted.use(client, wire)
    }
    const ready = inContext(() => void whenReady(client).then(check))
    const borrower = borrowerOf(client)
    wire.released = false
    if (borrower !== undefined) borrower.whenFree(ready)
    else ready()
  }

  #dispatch(
    client: PoolClient,
    wire: Wire,
    place: Place,
    args: QueryArgs,
    reading: boolean,
    pair: Pair | null,
    { resolve, reject }: Ends
  ): void {
    let settled = false
    const { signal } = args
    const since = mark()
    const heard = heardOn(client)
    const aborted = () => {
      // The caller is answered at once; the client comes back when its server has said what became of the statement.
      void this.cancel(client)
      reject(signal?.reason)
    }
    const settle = (error: Error | null | undefined, result: unknown) => {
      if (settled) return
      settled = true
      wire.handed = false
      client.removeListener('error', settle)
      deaf?.()
      if (error && place.phase === 'handed') {
        place.source = isSubmittable(args.query)
          ? sourceOf(error, client, since)
          : sourceOfStatement(error, client, since, heard)
        // Until then only what cannot be put into bytes has failed, which says so itself.
        if (place.source === 'unproven' && heardOn(client) > heard) clearOutcome(error)
        place.phase = reached(client, wire, args.text)
      }
      wire.reading = null
      const over = (broken: boolean) => {
        // Its server says so with the reply to the first statement that it ends after its promotion.
        if (reading && this.#hasLeft(place, wire)) return reject(this.#leaves(client, place))
        try {
          // A cancel request may come late: the next statement must not be the one that it hits.
          client.release(broken || signal?.aborted ? true : (error as Error))
        } finally {
          if (error) reject(error)
          else resolve(result)
        }
      }
      // Acknowledged: the caller is told together with the position behind it.
      if (!error && wire.capturing && signal?.aborted !== true) wire.trailing = over
      // The server says behind its error whether it still is what it was.
      else if (error && reading && wire.standby === true && typeof place.source === 'object')
        whenReady(client).then(() => over(false))
      else over(false)
    }
    client.once('error', settle)
    const deaf = signal && onAbort(signal, aborted)
    wire.reading = reading
    wire.held = false
    wire.scopes = args.scope === undefined ? null : new Set([args.scope])
    if (!reading) borrowerOf(client)?.notePool(args)
    wire.sending = true
    const written = isSubmittable(args.query) ? writtenOn(client) : null
    try {
      place.phase = 'handed'
      place.letGo?.()
      wire.handed = true
      // The callback form takes exactly what the user gave, submittables included.
      const { query } = client as unknown as { query(first: unknown, second: unknown, done: typeof settle): void }
      query.call(client, args.query, args.values, settle)
      if (pair !== null && !reading) this.#capture(pair, wire, place, args)
    } catch (error) {
      // What submits itself, or a client class of the application's, may have sent something before it threw.
      if (isFree(client) || (written !== null && written === writtenOn(client))) place.phase = 'connect'
      settle(errorOf(error, 'query()') as Error, undefined)
    } finally {
      wire.sending = false
      pair?.sent()
    }
  }

  #capture(pair: Pair, wire: Wire, { node }: Place, { text }: QueryArgs): void {
    wire.capturing = 'statement'
    pair.ask(this.#owner.isAsynchronous(text) ? INSERTED : COMMITTED, (_, [row]) => {
      const { trailing } = wire
      wire.trailing = null
      wire.capturing = null
      const lsn = parseLsn(row?.answer)
      this.#owner.captured(wire, node, lsn)
      // Null: the statement itself failed or was given up, and its client went with it.
      trailing?.(lsn === null)
    })
  }

  /** In one trip: how far the replica is, and the rows, which count if that is far enough. */
  #guard(pair: Pair, wire: Wire, place: Place, { resolve, reject }: Ends, run: (ends: Ends) => void): void {
    const { required, node } = place
    const askedAt = this.#owner.clock.now()
    let behind = false
    let confirmed: Promise<boolean> | null = null
    const stale = () => {
      behind = true
      // Nothing has been done for the caller: the rows will not be looked at.
      place.phase = 'connect'
      place.source = 'pgherd'
      reject(staleError(this.key))
    }
    pair.ask(REPLAYED, (_, [row]) => {
      const { lsn, receiver } = replayedOf(row?.answer)
      // It is in recovery no longer.
      if (lsn === null && row !== undefined) return stale()
      if (lsn === null || required === null) return
      wire.proven = lsn
      this.#owner.shown(node, { lsn, askedAt }, receiver, required, required)
      if (lsn < required.lsn) stale()
      else if (!this.#owner.vouches(place)) confirmed = this.#owner.confirms(place)
    })
    run({
      resolve: (result) => {
        if (behind) return
        // The guard itself failed, and so proved nothing.
        if (wire.proven === null || required === null || wire.proven < required.lsn) stale()
        else if (confirmed === null) resolve(result)
        else confirmed.then((is) => (is ? resolve(result) : stale()), reject)
      },
      reject: (error) => {
        if (!behind) reject(error)
      },
    })
  }

  /** Notices of the statement are told to whoever it is run for. */
  #overheard(client: PoolClient, notice: Notice, { resolve, reject }: Ends, run: (ends: Ends) => void): void {
    client.on('notice', notice)
    const ending = <T>(end: (value: T) => void) => {
      return (value: T) => {
        client.removeListener('notice', notice)
        end(value)
      }
    }
    run({ resolve: ending(resolve), reject: ending(reject) })
  }

  /** A connection younger than its node's known position may lead to a server that crashed and went backwards: it shows its own. */
  #prove(client: PoolClient, wire: Wire, place: Place, run: () => void, reject: (error: unknown) => void): void {
    const { node, required } = place
    const askedAt = this.#owner.clock.now()
    const since = mark()
    const go = inContext(run)
    wire.reading = true
    ask(client, REPLAYED, (error, [row]) => {
      wire.reading = null
      const { lsn, receiver } = replayedOf(row?.answer)
      wire.proven = lsn
      if (lsn !== null && required !== null) {
        this.#owner.shown(node, { lsn, askedAt }, receiver, required, place.reason === 'guarded' ? required : null)
        if (lsn >= required.lsn && this.#owner.vouches(place)) return go()
      }
      client.release((error as Error | null) ?? undefined)
      place.source = error ? sourceOf(error, client, since) : 'pgherd'
      reject(error ?? staleError(this.key))
    })
  }

  /** Asks the server to cancel what this client is doing. */
  cancel(client: Client): Promise<void> {
    return cancel(client, this.#owner.Client, this.#owner.clientConfig(this.#node), this.#owner.clock)
  }

  /** Called while it is being released: it is not kept. */
  expire(client: Client): void {
    this.inner._expired?.add(client)
  }

  /** Nothing that was handed to this node may still happen; who was only waiting is told that nothing was sent. */
  condemn(): void {
    this.#giveUp(NOBODY)
  }

  /**
   * As condemn(), of a server that is there to say what became of what it is at work on: that is waited for, and condemn()
   * ends it. Whoever holds a client has the answer, and then no connection.
   */
  part(): void {
    const busy = new Set(this.inner._clients.filter(isAtWork))
    for (const client of busy) if (wireOf(client)?.held) client.once('drain', () => discard(client))
    this.#giveUp(busy)
  }

  #giveUp(spared: ReadonlySet<Client>): void {
    this.#condemned = true
    const clients = this.inner._clients.filter((client) => !spared.has(client))
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
    const { _clients, _pendingQueue } = this.inner
    if (reason === null || _pendingQueue.length === 0 || _clients.length === 0) return
    if (!_clients.every((client) => wireOf(client)?.held)) return
    for (const { callback } of _pendingQueue.splice(0)) callback(reason, undefined, () => {})
  }

  /** Takes no more statements, tells `reason` to those that wait for a client, and waits for those under way. */
  end(reason: Error): Promise<void> {
    // pg-pool never answers who waits when it ends.
    for (const { callback } of this.inner._pendingQueue.splice(0)) callback(reason, undefined, () => {})
    this.#ceiling.end()
    for (const client of this.inner._clients) {
      if (this.#unwanted.has(client) && wireOf(client)?.readyAt === null) discard(client)
    }
    this.#ended ??= this.inner.end()
    return this.#ended
  }

  /** The node is no longer listed: who waits for it is sent elsewhere. */
  leave(): Promise<void> {
    this.#condemned = true
    return this.end(dropped(this.key))
  }
}

/** `statement` goes on behind its caller's back. Whoever holds the client may know why; nobody else shall wait for its end. */
function overdue(client: pg.Client, wire: Wire, statement: unknown): void {
  wire.overdue = statement
  if (!wire.held && isOverdue(client, wire)) void client.end()
}

/** pg asks it for the password, in a handler that nothing catches from; absent, Node's is taken. */
function isPromiseClass(given: unknown): boolean {
  try {
    const { resolve } = given as Partial<PromiseConstructor>
    return typeof resolve === 'function' && typeof Reflect.apply(resolve, given, [undefined]).then === 'function'
  } catch {
    return false
  }
}

/** How far the statement was that has failed now. */
function reached(client: Client, { exchange, ending, reading }: Wire, text: string | null): Place['phase'] {
  const { readyForQuery } = client as unknown as Internals
  // Answered to its end, and its rows could not be read.
  if (readyForQuery) return ending === 'committed' ? 'committed' : 'completed'
  if (exchange.completed === 0) return 'handed'
  const phase = phaseOf(text === null ? null : stepsOf(text), exchange)
  // What only reads may run again elsewhere.
  return reading && phase === 'committed' ? 'completed' : phase
}

const NOBODY: ReadonlySet<Client> = new Set()

/** It owes somebody an answer. */
function isAtWork(client: Client): boolean {
  const wire = wireOf(client)
  return wire !== undefined && (wire.handed || wire.held) && !isFree(client)
}

/** How many bytes were given to its socket. */
function writtenOn(client: Client): number | undefined {
  const { connection } = client as unknown as { connection?: { stream?: { bytesWritten?: number } } }
  return connection?.stream?.bytesWritten
}

/** How long it takes until the session is ready. */
function timeOf(client: Client, clock: Clock, tell: (millis: number) => void): void {
  const from = clock.mono()
  client.once('connect', () => tell(clock.mono() - from))
}

function isEnding(client: Client): boolean {
  return (client as unknown as Internals)._ending
}

/** The session said 'standby' after the probe that made its node the primary: the node has changed since. */
function isDemoted({ node }: Place, { standby, standbyAt }: Wire): boolean {
  if (node.state.kind !== 'primary' || standby !== true || standbyAt === null) return false
  return node.probedAt !== null && standbyAt.mono > node.probedAt.mono
}

/** A place that a probe has left at a full server is free some milliseconds later: the pauses before each attempt to have it. */
const YIELD_MILLIS = 20

const MOST_YIELDS = 4

/** A login to a replica that takes longer is not waited for by what another server may serve. */
const LOGIN_MILLIS = 500

/** A healthy server has answered a probe's question by then. */
const PROBED_MILLIS = 100

/** So long a server may take to close a connection that it was told the end of. */
const CLOSE_MILLIS = 1000

/** In recovery or not, when it was started in microseconds, how the session commits, and what a replica has replayed. */
const IDENTITY = `select pg_catalog.concat_ws(' ', pg_catalog.pg_is_in_recovery(),
  (extract(epoch from pg_catalog.pg_postmaster_start_time()) operator(pg_catalog.*) 1000000)::pg_catalog.int8,
  pg_catalog.current_setting('synchronous_commit'), pg_catalog.pg_last_wal_replay_lsn()) as answer`

/** The receiver is read behind the position: whatever was replayed came from it, or from one before it. */
const REPLAYED = `select pg_catalog.concat_ws(' ', case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn() end,
  (pg_catalog.pg_stat_get_wal_receiver()).pid, (pg_catalog.pg_stat_get_wal_receiver()).received_tli) as answer`

const INSERTED = 'select pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text as answer'

const COMMITTED = `select case when pg_catalog.current_setting('synchronous_commit') operator(pg_catalog.=) 'off'
  then pg_catalog.pg_current_wal_insert_lsn() else pg_catalog.pg_current_wal_flush_lsn() end::pg_catalog.text as answer`

/** pg sends what follows without waiting for it: no cursor, nothing that may turn the connection over to COPY. */
function isPairable({ text, query }: QueryArgs): boolean {
  return (
    text !== null && !isSubmittable(query) && !(query as { readonly rows?: unknown }).rows && !/\bcopy\b/i.test(text)
  )
}

function replayedOf(answer: string | null | undefined): {
  readonly lsn: Lsn | null
  readonly receiver: Receiver | null
} {
  const [lsn, ...receiver] = answer?.split(' ') ?? []
  return { lsn: parseLsn(lsn), receiver: receiverOf(receiver.join(' ')) }
}

function needsProof({ required, node, reason }: Place, wire: Wire): boolean {
  if (required === null || node.state.kind !== 'replica') return false
  // A position alone does not say whose it is.
  if (reason === 'guarded') return true
  if (wire.proven !== null && wire.proven >= required.lsn) return false
  const askedAt = node.state.position?.askedAt
  return wire.readyAt === null || askedAt === undefined || wire.readyAt.mono >= askedAt.mono
}

function movedError(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_MOVED', `another server answers at ${key} than before`)
}

function staleError(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_STALE', `${key} has not replayed what the read must see`)
}

export function dropped(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_DROPPED', `the connections to ${key} were given up before the statement was sent`)
}

function notOnPrimary(key: NodeKey): PgherdError {
  return new PgherdError(
    'PGHERD_NO_REPLICA',
    `a replica was asked for (route: 'replica'), and ${key} is none. There only reads are run for that, and what begins, ` +
      'ends or shapes a transaction. Leave the route out where the statement may run on the primary.'
  )
}

function promotedError(key: NodeKey): PgherdError {
  return new PgherdError(
    'PGHERD_STALE',
    `${key} was promoted, and what it shows may be of a history that no primary has`
  )
}

/** A session's state and the end of a transaction are told in any case, and what submits itself hands out its rows by itself. */
function judges(first: unknown): boolean {
  const { query, text } = queryArgs(first, undefined, undefined)
  return !isSubmittable(query) && (text === null || !onlyShapes(text))
}

function promotedUnder(key: NodeKey, outcome: Outcome): PgherdError {
  return new PgherdError(
    'PGHERD_ON_REPLICA',
    `${key} was promoted while this client of a replica was out, so what it shows may be of a history that the primary does ` +
      'not have. Give the client back (in a transaction: let the error out), and begin anew.',
    { outcome }
  )
}

function notReplica(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_NOT_REPLICA', `${key} is not in recovery: it is no replica`)
}

function notPrimary(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_NOT_PRIMARY', `${key} is in recovery: it is no primary`)
}
