// class Pool extends pg.Pool: pg's contract on the outside, the herd inside. It turns calls into errands, keeps one NodePool
// per node and generation, and tells pg's and our own events. It inherits for identity and surface only: no connection is its own.

import type { EventEmitter } from 'node:events'
import type { Client, PoolClient } from 'pg'
import { type Config, clientConfigFor, resolveConfig, withoutDiscovered } from '../config/config.js'
import { keyOf, type NodeAddress, type NodeKey } from '../core/cluster/address.js'
import { aloneOf } from '../core/cluster/alone.js'
import type { Change } from '../core/cluster/changes.js'
import type { Failure } from '../core/cluster/failure.js'
import type { Required } from '../core/cluster/horizon.js'
import { elapsed, type Instant } from '../core/cluster/instant.js'
import type { Node } from '../core/cluster/node.js'
import { isLost } from '../core/cluster/outage.js'
import type { Position, Receiver } from '../core/cluster/sighting.js'
import type { Topology, TopologyEvent } from '../core/cluster/topology.js'
import type { Scope, Written } from '../core/session/causal-scope.js'
import { onlyShapes } from '../core/sql/effects.js'
import { errorOf, wordsOf } from '../core/thrown.js'
import { busyError, endedError, unsent } from '../errors.js'
import { type Freshness, type Health, Herd, namedSo, type Place } from '../herd/herd.js'
import { abilitiesOf, type PgLike } from '../pg/abilities.js'
import { callEach, told, unharmed } from '../pg/calls.js'
import { abortable } from '../pg/cancel.js'
import type { InnerPool, InnerPoolClass } from '../pg/internals.js'
import { isOverdue } from '../pg/query-timeout.js'
import type { ClientClass } from '../pg/weak-auth.js'
import { isGone, wireOf } from '../pg/wire.js'
import { INSPECT, type Inspect, type InspectOptions, inspected } from '../report/inspect.js'
import { explanationOf, refusalsOf, snapshotOf } from '../report/snapshot.js'
import type { Bounds, Explanation, TopologySnapshot } from '../report/types.js'
import { Causality } from '../router/causality.js'
import { Decisions } from '../router/decisions.js'
import type { Repairs } from '../router/repairs.js'
import { mayInsist, NOWHERE, ON_PRIMARY, type Routed, Routing } from '../router/routing.js'
import {
  type Callback,
  type QueryArgs,
  queryArgs,
  signalOf,
  textOf,
  type Wishes,
  wishesOf,
} from '../router/statement.js'
import type { SessionOptions, Tokens } from '../router/tokens.js'
import { type Alarm, type Clock, systemClock } from '../runtime/clock.js'
import { complaints } from '../runtime/complaints.js'
import { inContext } from '../runtime/context.js'
import { channels } from '../telemetry/channels.js'
import type { Task } from '../telemetry/journey.js'
import type { Gauges } from '../telemetry/meters.js'
import { outside } from '../telemetry/spans.js'
import { Telemetry } from '../telemetry/telemetry.js'
import { borrowerOf, isLeftInTransaction, type Lender } from './borrower.js'
import { describe } from './describe.js'
import { lenderOf } from './lending.js'
import type { NodePool, NodePoolOwner } from './node-pool.js'
import { NodePools } from './node-pools.js'
import { Sessions } from './sessions.js'
import { beginOf, committed, type TransactionOptions } from './transaction.js'
import type { PoolConstructor, Pool as PoolType, ReadyOptions } from './types.js'
import { merged, viewOf } from './view.js'

/** pg.Pool, as loosely as a subclass that replaces its accessors needs it. */
type BaseClass = new (
  options?: object
) => EventEmitter & {
  readonly options: Record<string, unknown>
  readonly Client: ClientClass
  Promise: PromiseConstructor
}

/** What connect() may be asked beyond pg's callback. */
interface Asked {
  readonly signal?: AbortSignal
}

type Release = (error?: Error | boolean) => void

type Connected = (error: Error | undefined, client: PoolClient | undefined, release: Release) => void

const NO_WISHES: Wishes = {}

const INSISTING: Wishes = { route: 'replica' }

const CALLED = 'a function of the application'

const ALONE = { target: ON_PRIMARY.target, reason: 'there is one server' }

const NOTHING: InnerPool['_clients'] = []

/** Binds the class to one copy of pg, so that `instanceof` of that copy holds. */
export function createPool(pg: PgLike, clock: Clock = systemClock): PoolConstructor {
  const { pipelines, speaks } = abilitiesOf(pg)
  const Base = pg.Pool as BaseClass

  // Libraries recognise a pool by this very name as well as by instanceof.
  class Pool extends Base {
    readonly #config: Config
    readonly #bounds: Bounds
    readonly #herd: Herd
    readonly #routing: Routing
    readonly #decisions = new Decisions()
    readonly #pools: NodePools
    readonly #causality: Causality
    readonly #telemetry: Telemetry
    /** Sessions that read string literals in another way than the lexer. */
    #oddSessions = 0
    readonly #complain = complaints()
    #lostAt: Instant | null = null
    /** Servers that are found would be used, if this copy of pg could keep the password from them. */
    readonly #leavesFound: boolean
    #ending = false
    #ended = false

    constructor(options?: object) {
      const resolved = resolveConfig(options ?? {}, process.env, pg.defaults)
      const config = speaks ? resolved : withoutDiscovered(resolved)
      super(options)
      this.#leavesFound = !speaks && resolved.replication.use
      this.#config = config
      this.#bounds = { ...config, alone: aloneOf(config) }
      const unreadable = (message: string) => this.#routing.tellUnreadable(message)
      const heard = (event: TopologyEvent) => this.#telemetry.heard(event)
      const apart = inContext(outside)
      const unproven = () => this.#routing.tellUnproven()
      const sessions = (key: NodeKey) => this.#pools.sessionsOf(key)
      this.#herd = new Herd(config, {
        clock,
        busy: () => this.#pools.held,
        unreadable,
        unproven,
        heard,
        apart,
        sessions,
        complain: this.#complain,
      })
      this.#routing = new Routing(config, this.#herd)
      this.#causality = new Causality(config, this.#herd, clock, new Sessions(), (lost) =>
        this.#tell('tokenLost', lost)
      )
      this.#telemetry = new Telemetry(this.#gauges())
      this.#pools = new NodePools(this.#owner())
      this.#herd.subscribe((after, before, found) => this.#follow(after, before, found))
      describe(this.options, this.#config.seeds, () => this.#primaryAddress())
    }

    query(query: unknown, second?: unknown, third?: unknown): unknown {
      return this.#query(NO_WISHES, query, second, third)
    }

    #query(wishes: Wishes, query: unknown, second: unknown, third: unknown): unknown {
      if (typeof query === 'function') return this.#refuseFunction(query as Callback)
      try {
        const args = queryArgs(query, second, third)
        return this.#answer(this.#run(args, wishes), args.callback)
      } catch (error) {
        return this.#answer(Promise.reject(unsent(error)), (typeof second === 'function' ? second : third) as Callback)
      }
    }

    connect(callback?: Connected | Asked | null): unknown {
      return this.#give(NO_WISHES, callback)
    }

    #give(wishes: Wishes, asked: Connected | Asked | null | undefined, ended = this.#ending): unknown {
      const callback = typeof asked === 'function' ? asked : undefined
      const signal = typeof asked === 'object' ? signalOf(asked) : undefined
      const client = ended || this.#ending ? Promise.reject(endedError()) : this.#connect(wishes, signal)
      if (!callback) return this.#promised(client)
      client.then(
        (ready) => process.nextTick(callback, undefined, ready, ready.release),
        (error) => process.nextTick(callback, errorOf(error, CALLED), undefined, () => {})
      )
      return undefined
    }

    end(callback?: ((error?: Error) => void) | null): unknown {
      if (this.#ending) return this.#answer(Promise.reject(new Error('Called end on pool more than once')), callback)
      this.#ending = true
      const ended = this.#end()
      return this.#answer(ended, callback)
    }

    async #end(): Promise<void> {
      const reason = endedError()
      this.#pools.finish(reason)
      const finished = this.#herd.finish()
      if (finished !== null) await finished
      this.#herd.end()
      await this.#pools.end(reason)
      this.#herd.close()
      this.#telemetry.end()
      this.#ended = true
    }

    /** Not what it is made of: the password is among that. */
    [INSPECT](depth: number | null, options: InspectOptions, inspect: Inspect): string {
      if (!(#herd in this)) return 'Pool {}'
      const { seeds, client } = this.#config
      const { totalCount, idleCount, waitingCount } = this
      const { user, database } = client
      const fields = { hosts: seeds.map(keyOf), user, database, totalCount, idleCount, waitingCount }
      return inspected(this.constructor.name, { ...fields, topology: this.topology() }, depth, options, inspect)
    }

    /** Node's `await using`. */
    [Symbol.asyncDispose](): Promise<void> {
      return this.#ending ? Promise.resolve() : (this.end() as Promise<void>)
    }

    async transaction<T>(work: (client: PoolClient) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
      return this.#transaction(NO_WISHES, work, options)
    }

    async #transaction<T>(
      wishes: Wishes,
      work: (client: PoolClient) => Promise<T>,
      given: TransactionOptions | null
    ): Promise<T> {
      if (this.#ending) throw endedError()
      if (typeof work !== 'function')
        throw unsent(new TypeError('transaction() must be given a function (client) => ...'))
      const options = given ?? {}
      const begin = beginOf(options)
      const { maxLagMillis } = wishesOf({ maxLagMillis: options.maxLagMillis ?? wishes.maxLagMillis })
      const { readOnly = false, isolation } = options
      const { scope } = this.#causality
      const own = { ...wishes, maxLagMillis }
      const written = this.#written(scope)
      const otherwise = own.route === 'replica' ? await this.#whereNoReplica() : 'refuse'
      let errand = ON_PRIMARY
      const again = () => {
        const routed = this.#config.routing === 'on' && this.#herd.topology.plural && isolation !== 'serializable'
        const since = this.#anew(written, scope)
        errand = { ...this.#routing.whole(own, since, readOnly && routed, this.#isAlone ? otherwise : 'refuse'), again }
        return errand
      }
      again()
      const attempt = async (place: Place) => {
        this.#decisions.count(place, errand)
        return this.#poolOf(place).begin(place, own, scope, {
          text: begin,
          keepsSnapshot: isolation === 'repeatable read',
        })
      }
      return this.#observed('transaction', begin, errand, attempt, (client) => committed(client, work))
    }

    session<T>(first: Tokens | (() => T), second?: () => T, options?: SessionOptions): T {
      const [tokens, work] = typeof first === 'function' ? [null, first] : [first, second]
      if (typeof work !== 'function') throw new TypeError('session() must be given a function, alone or after a token')
      return this.#causality.session(tokens, work, options)
    }

    async token(): Promise<string | null> {
      return this.#causality.token()
    }

    freshness(): Freshness {
      return this.#herd.freshness
    }

    topology(): TopologySnapshot {
      return snapshotOf(this.#herd.topology, clock.now(), this.#bounds)
    }

    explain(query: unknown): Explanation {
      return this.#explain(NO_WISHES, query)
    }

    #explain(wishes: Wishes, query: unknown): Explanation {
      const args = queryArgs(query, undefined, undefined)
      const verdict = args.text === null ? null : this.#routing.read(args.text)
      const alone = this.#isAlone && !this.#routing.insists(args, wishes)
      const { target, reason } = alone
        ? ALONE
        : this.#routing.route(args, wishes, verdict, this.#written(this.#causality.scope))
      const choice = this.#herd.look(this.#config.routing === 'observe' ? ON_PRIMARY.target : target)
      return explanationOf({
        intent: verdict?.intent ?? 'write',
        word: verdict?.readable ? verdict.word : '',
        reason,
        node: choice.node?.key ?? null,
        guarded: choice.node !== null && choice.reason === 'guarded',
        refused: refusalsOf(this.#herd.topology, choice),
      })
    }

    view(wishes: Wishes = {}): unknown {
      return this.#view(wishesOf(wishes))
    }

    #view(wishes: Wishes): unknown {
      let ended = false
      const over = () => Promise.reject(endedError())
      const isEnding = () => ended || this.#ending
      const isEnded = () => ended || this.#ended
      return viewOf(this, {
        get ending() {
          return isEnding()
        },
        get ended() {
          return isEnded()
        },
        query: (query: unknown, second: unknown, third: unknown) =>
          ended
            ? this.#answer(over(), queryArgs(query, second, third).callback)
            : this.#query(wishes, query, second, third),
        connect: (callback?: Connected | Asked | null) => this.#give(wishes, callback, ended),
        [Symbol.asyncDispose]: () => {
          ended = true
          return Promise.resolve()
        },
        transaction: <T>(work: (client: PoolClient) => Promise<T>, options: TransactionOptions = {}) =>
          ended ? over() : this.#transaction(wishes, work, options),
        explain: (query: unknown) => this.#explain(wishes, query),
        view: (inner: Wishes = {}) => this.#view(merged(wishes, wishesOf(inner))),
        end: (callback?: (error?: Error) => void) => {
          ended = true
          return this.#answer(Promise.resolve(), callback)
        },
      })
    }

    retriedOnPrimary(): ReturnType<Repairs['list']> {
      return this.#routing.repairs.list()
    }

    async ready(options: ReadyOptions = {}): Promise<void> {
      const { primary = true, replicas = 0, timeoutMillis = this.#config.failoverTimeoutMillis } = options
      await this.#herd.ready({ primary, replicas, maxLagMillis: this.#config.maxLagMillis }, timeoutMillis)
    }

    health(): Health & { readonly primary: string | null } {
      return Object.freeze({ ...this.#herd.health, primary: this.#herd.topology.primary })
    }

    async drain(node: string, { timeoutMillis = Infinity }: { readonly timeoutMillis?: number } = {}): Promise<void> {
      const startedAt = clock.mono()
      const keys = this.#known(node) ?? (await this.#herd.resolved(node, timeoutMillis)) ?? this.#unknown(node)
      for (const key of keys) this.#herd.report({ kind: 'drained', key })
      let alarm: Alarm | undefined
      const late = new Promise<true>((resolve) => {
        const millis = Math.max(0, timeoutMillis - (clock.mono() - startedAt))
        if (timeoutMillis !== Infinity) alarm = clock.alarm(millis, () => resolve(true), 'process')
      })
      const left = Promise.all(keys.map((key) => this.#pools.left(key)))
      const isLate = (await Promise.race([left, late])) === true
      alarm?.cancel()
      const busy = keys.reduce((sum, key) => sum + this.#pools.busy(key), 0)
      if (isLate) throw busyError(node, busy, timeoutMillis)
    }

    resume(node: string): void {
      for (const key of this.#known(node) ?? this.#unknown(node)) this.#herd.report({ kind: 'resumed', key })
    }

    /** The node of this name, or all that a host leads to which was named so; null: there is none, or none yet. */
    #known(node: string): readonly NodeKey[] | null {
      // A caller that names a server before the first statement means one that the pool was given.
      if (!this.#ending) this.#herd.open()
      const found = namedSo(this.#herd.topology, node)
      return found.length === 0 ? null : found
    }

    #unknown(node: string): never {
      const known = [...this.#herd.topology.nodes.keys()].join(', ') || 'none yet'
      throw new TypeError(`there is no node ${node}: known are ${known}`)
    }

    decisions(): ReturnType<Decisions['list']> {
      return this.#decisions.list()
    }

    get totalCount(): number {
      return this.#pools.sum('totalCount') + this.#connecting
    }

    get idleCount(): number {
      return this.#pools.sum('idleCount')
    }

    get waitingCount(): number {
      return this.#pools.sum('waitingCount') + this.#herd.waiting - this.#connecting
    }

    /** Who waits for the very first look at the servers would be connecting with pg. */
    get #connecting(): number {
      return this.#herd.isCold ? Math.min(this.#herd.waiting, Number(this.options.max)) : 0
    }

    get expiredCount(): number {
      return this.#pools.sum('expiredCount')
    }

    // Libraries and tests reach into these. They are the primary's, but for the clients, which are all, the primary's last; pg-pool's constructor assigns them before there is a primary.
    get _clients(): readonly unknown[] {
      return this.#pools.clients(this.#herd.topology.primary)
    }
    set _clients(_: unknown) {}
    get _idle(): readonly unknown[] {
      return this.#pools.primary(this.#herd.topology.primary)?.inner._idle ?? NOTHING
    }
    set _idle(_: unknown) {}
    get _pendingQueue(): readonly unknown[] {
      return this.#pools.primary(this.#herd.topology.primary)?.inner._pendingQueue ?? NOTHING
    }
    set _pendingQueue(_: unknown) {}
    get ending(): boolean {
      return this.#ending
    }
    set ending(_: unknown) {}
    get ended(): boolean {
      return this.#ended
    }
    set ended(_: unknown) {}

    async #connect(wishes: Wishes, signal?: AbortSignal): Promise<PoolClient> {
      const { attributes } = this.#config
      const { scope } = this.#causality
      const written = this.#written(scope)
      const otherwise = wishes.route === 'replica' ? await this.#whereNoReplica(signal) : 'refuse'
      const again = (): Routed => {
        const routed = this.#config.routing === 'on' && this.#herd.topology.plural
        const insists = attributes === 'any' && wishes.route === 'replica'
        const onReplica = attributes === 'standby' || (insists && (routed || this.#isAlone))
        if (!onReplica) return ON_PRIMARY
        return this.#routing.anyReplica(wishes, this.#anew(written, scope), this.#isAlone ? otherwise : 'refuse')
      }
      const attempt = (place: Place) => this.#poolOf(place).connect(place, wishes, scope)
      signal?.throwIfAborted()
      return this.#errand('connect', null, { ...again(), again, signal }, attempt, (late) => late.release())
    }

    #run(given: QueryArgs, wishes: Wishes): Promise<unknown> {
      if (this.#ending) throw endedError()
      const { scope } = this.#causality
      const args = scope === undefined ? given : { ...given, scope }
      const { text } = args
      // One server: nothing to decide, and nothing to remember for another.
      if (this.#isAlone) {
        if (!this.#routing.insists(args, wishes)) {
          return this.#attempt(text === null ? ON_PRIMARY : this.#routing.onlyServer(text), args, wishes, null)
        }
        if (!this.#herd.informed && (text === null || this.#routing.read(text).intent !== 'read')) {
          return this.#herd.inform(args.signal).then(() => this.#runRouted(args, wishes))
        }
      }
      return this.#runRouted(args, wishes)
    }

    #runRouted(args: QueryArgs, wishes: Wishes): Promise<unknown> {
      const written = this.#written(args.scope)
      const routed = this.#routed(args, wishes, written)
      if (this.#config.routing !== 'observe') return this.#attempt(routed, args, wishes, written)
      this.#decisions.count(this.#herd.look(routed.target), routed, args.text)
      return this.#attempt(
        ON_PRIMARY.target === routed.target || routed.reason === NOWHERE
          ? routed
          : { ...routed, target: ON_PRIMARY.target },
        args,
        wishes,
        null
      )
    }

    /** One server is known: all runs there, and nothing is read, unless a statement insists on a replica. */
    get #isAlone(): boolean {
      return !this.#herd.topology.plural && this.#config.attributes === 'any'
    }

    /**
     * With one server a client that insists on a replica is of that server, where `whenStale` lets the primary serve reads. What
     * is a read there the catalogue tells, so that is waited for.
     */
    async #whereNoReplica(signal?: AbortSignal): Promise<'primary' | 'refuse'> {
      if (!this.#isAlone || this.#config.whenStale !== 'primary') return 'refuse'
      if (!this.#herd.informed) await this.#herd.inform(signal)
      return this.#isAlone ? 'primary' : 'refuse'
    }

    #refuses(first: unknown, insists: boolean): boolean {
      // Asked of every statement of a client: most say nothing of where they shall run.
      if (first === null || first === undefined || !(insists || mayInsist(first))) return false
      const args = queryArgs(first, undefined, undefined)
      return !this.#routing.mayRunOnPrimary(args, textOf(args), insists ? INSISTING : NO_WISHES)
    }

    /** A cursor or a stream lives as long as its reader pleases: it is the primary's, unless its view says otherwise. */
    #routed(args: QueryArgs, wishes: Wishes, written: Written): Routed {
      const verdict = args.text === null ? null : this.#routing.read(args.text)
      return this.#routing.route(args, wishes, verdict, written)
    }

    /** What a statement must see was decided when it was called; what has become of its token is not. */
    #anew(written: Written, scope: Scope | undefined): Written {
      return scope === undefined ? written : { ...written, ...this.#causality.fate(scope) }
    }

    /** `written`: what the statement must see; null: it is not routed. */
    #attempt(first: Routed, args: QueryArgs, wishes: Wishes, written: Written | null): Promise<unknown> {
      let routed = first
      const attempt = (place: Place) => {
        if (written !== null) this.#decisions.count(place, routed)
        const reading = routed.reading && !place.doubtful
        const answer = this.#poolOf(place).query(place, args, reading)
        return args.scope === undefined ? answer : answer.then((result) => this.#noteRead(place, args, result))
      }
      const { signal, text } = args
      if (signal?.aborted) return Promise.reject(signal.reason)
      if (written === null && signal === undefined && text !== null)
        return this.#errand('statement', text, routed, attempt)
      const endless = text === null ? true : undefined
      if (written === null) return this.#errand('statement', text, { ...routed, endless, signal }, attempt)
      const again = () => {
        routed = this.#routed(args, wishes, this.#anew(written, args.scope))
        return routed
      }
      return this.#errand('statement', text, { ...routed, again, endless, signal }, attempt)
    }

    /** Makes the attempts of a statement until its caller gives up; tells of them if somebody looks on. */
    #errand<T>(
      kind: Task['kind'],
      text: string | null,
      routed: Routed,
      attempt: (place: Place) => Promise<T>,
      discard?: (late: T) => void
    ): Promise<T> {
      const { signal } = routed
      const go = (observed: typeof attempt) => {
        const answer = this.#herd.run(routed, observed)
        return signal === undefined ? answer : abortable(answer, signal, discard)
      }
      if (!this.#telemetry.active) return go(attempt)
      return this.#telemetry.run(this.#task(kind, text, routed), attempt, go)
    }

    /** The same of whatever else is an errand; `then`: what follows from the answer belongs to it. */
    async #observed<R, T>(
      kind: Task['kind'],
      text: string | null,
      routed: Routed,
      attempt: (place: Place) => Promise<R>,
      then: (answer: R) => T | Promise<T>
    ): Promise<T> {
      const go = async (observed: typeof attempt) => then(await this.#herd.run(routed, observed))
      return this.#telemetry.active ? this.#telemetry.run(this.#task(kind, text, routed), attempt, go) : go(attempt)
    }

    #task(kind: Task['kind'], text: string | null, { reading, reason }: Routed): Task {
      const intent =
        text === null || kind !== 'statement' ? (reading ? 'read' : 'write') : this.#routing.read(text).intent
      return this.#telemetry.task(kind, text, { intent, reason })
    }

    #written(scope: Scope | undefined): Written {
      return this.#causality.written(scope)
    }

    /** Whatever it was sent as: what a session has seen must be there from then on. */
    #noteRead({ node }: Place, { scope, text }: QueryArgs, result: unknown): unknown {
      if (text === null || this.#routing.read(text).intent === 'read') this.#causality.readOn(node, scope)
      return result
    }

    #poolOf({ node }: Place): NodePool {
      return this.#pools.of(node, this.#herd.topology)
    }

    #owner(): NodePoolOwner {
      return {
        clock,
        PoolClass: Base as unknown as InnerPoolClass,
        Client: this.Client,
        requireAuth: this.#config.requireAuth,
        clientConfig: (node) => clientConfigFor(this.#config, node.address),
        relay: (pool, event, first, second) => this.#relay(pool, event, first, second),
        wires: {
          ended: (text) => this.#causality.noticeText(text),
          acknowledged: (wire) => this.#causality.acknowledged(wire),
          doubted: (wire) => this.#causality.doubted(wire),
          notified: () => this.#causality.notified(),
          writes: (text, sentAsWrite) => this.#writes(text, sentAsWrite),
          undone: (text) => this.#routing.read(text).undone,
          read: (wire) => this.#causality.read(wire),
          defines: (text) => this.#herd.informs && this.#routing.read(text).defines,
          defined: () => this.#herd.report({ kind: 'defined' }),
          legible: (is) => this.#noticeSession(is),
        },
        complain: this.#complain,
        telemetry: this.#telemetry,
        identifies: () => this.#herd.topology.plural,
        identified: ({ key }, startedAt, asynchronous) => {
          if (asynchronous) this.#causality.noticeAsynchronous()
          this.#herd.report({ kind: 'identified', key, startedAt })
        },
        scope: () => this.#causality.scope,
        captures: (scope) => this.#causality.captures(scope),
        isAsynchronous: (text) => this.#causality.isAsynchronous(text),
        captured: (wire, node, lsn) => this.#causality.captured(wire, node, lsn),
        shown: (node, ...shown) => this.#noteShown(node, ...shown),
        vouches: (place) => this.#herd.vouches(place),
        confirms: (place) => this.#herd.confirms(place),
        isReplica: (key) => this.#isReplica(key),
        isPrimary: (key) => this.#herd.topology.primary === key,
        refuses: (first, insists) => this.#refuses(first, insists),
        noteReplica: (client, first) => this.#noteReplica(client, first),
        hookRefused: () => this.#routing.setAside('hook'),
        yielded: (key) => this.#herd.yieldProbe(key),
        freed: (key) => this.#pools.freed(key),
        lender: this.#lender(),
        accused: (node, failure) => this.#accuse(node, failure),
      }
    }

    #gauges(): Gauges {
      const { max, min } = this.options
      const { database, user } = this.#config.client
      const { PGDATABASE, PGUSER } = process.env
      const named = [database, PGDATABASE, user, PGUSER].find((name) => typeof name === 'string' && name !== '')
      return {
        clock,
        // A URL in the place of a name connects nowhere, and has a password in it.
        namespace: typeof named === 'string' && !named.includes('://') ? named : null,
        queryText: this.#config.traceQueryText,
        max: Number(max),
        min: Number(min),
        topology: () => this.#herd.topology,
        connections: () => this.#pools.connections(),
        freshness: () => this.#herd.freshness,
        decisions: () => (this.#config.routing === 'observe' ? [] : this.#decisions.list()),
        waiting: () => this.#herd.waiting,
      }
    }

    #primaryAddress(): NodeAddress | undefined {
      const { primary, nodes } = this.#herd.topology
      return primary === null ? undefined : nodes.get(primary)?.address
    }

    #lender(): Lender | null {
      const { routeClients, attributes, routing } = this.#config
      if (!routeClients || attributes !== 'any') return null
      return lenderOf({
        herd: this.#herd,
        run: (kind, text, routed, attempt, then) => this.#observed(kind, text, routed, attempt, then),
        routing: this.#routing,
        scope: () => this.#causality.scope,
        written: (scope, wroteAt) => this.#causality.written(scope, wroteAt),
        readOn: ({ node }, scope) => this.#causality.readOn(node, scope),
        count: (place, routed) => this.#decisions.count(place, routed),
        poolOf: (place) => this.#poolOf(place),
        cancelOf: (client) => this.#pools.cancel(client),
        observe:
          routing === 'on'
            ? null
            : (routed, text) => this.#decisions.count(this.#herd.look(routed.target), routed, text),
      })
    }

    #accuse({ key, generation }: Node, failure: Failure): void {
      this.#herd.report({ kind: 'accused', key, generation, failure })
    }

    /** The outer pool tells the events of every node's pool as its own. */
    #relay(pool: NodePool, event: string, first: unknown, second: unknown): boolean {
      if (event === 'acquire') this.#telemetry.connection(event, pool.address, first as Client)
      if (event === 'release') {
        this.#telemetry.connection(event, pool.address, second as Client)
        this.#noticeRelease(pool, second as Client)
        return this.#tellOfClient(pool, event, first, second)
      }
      if (event !== 'error') return this.#tellOfClient(pool, event, first)
      // Connections that we gave up ourselves end as they were meant to.
      if (pool.condemned) return false
      // The herd deals with a lost idle connection. Only a single server's loss ends the process, as pg has it.
      if (this.#herd.topology.plural && this.listenerCount('error') === 0) return false
      return this.emit('error', first, second)
    }

    /** What a listener throws is uncaught, as with pg; but the pool it is told by must not lose its count of clients for that. */
    #tellOfClient({ key }: NodePool, event: string, ...values: unknown[]): boolean {
      try {
        return this.#isReplica(key) ? this.#tellOfReplica(event, ...values) : this.emit(event, ...values)
      } catch (error) {
        process.nextTick(() => {
          throw error
        })
        return true
      }
    }

    /** A listener written for one server may write, and nobody awaits what it returns. */
    #tellOfReplica(event: string, ...values: unknown[]): boolean {
      if (this.listenerCount(event) === 0) return false
      const call = () => callEach(this.rawListeners(event), this, values)
      if (event === 'connect') unharmed(call, clock)
      else call()
      return true
    }

    #noticeRelease(pool: NodePool, client: Client): void {
      const wire = wireOf(client)
      // A client without a wire to watch (the native one): it may have written while it was out.
      if (wire?.readyAt === null) {
        if (isGone(client)) this.#causality.mayHaveLost()
        else this.#causality.mayHaveWritten()
      }
      if (wire?.held !== true) return
      wire.held = false
      wire.released = true
      borrowerOf(client)?.released()
      // Left inside a transaction it would be the next holder's: with pg it is. And no session of a replica is anybody's.
      if (isLeftInTransaction(client) || isOverdue(client, wire) || wire.tainted) pool.expire(client)
    }

    /** While there is one server nobody could miss it, and nothing is read; an open transaction counts when there are more. */
    #writes(text: string | null, sentAsWrite: boolean): boolean {
      if (text === null || !this.#herd.topology.plural) return true
      if (onlyShapes(text)) return false
      const { intent, hint } = this.#routing.read(text)
      return sentAsWrite || intent !== 'read' || hint === 'primary'
    }

    #noteShown(
      { key, generation }: Node,
      position: Position,
      receiver: Receiver | null,
      required: Required,
      guess: Required | null
    ): void {
      const judged = (need: Required) => ({
        passed: position.lsn >= need.lsn,
        ageMillis: elapsed(need.takenAt, position.askedAt),
      })
      const guard = guess === null ? null : judged(guess)
      this.#herd.report({ kind: 'shown', key, generation, position, receiver, known: required.lsn, guard })
    }

    #follow(after: Topology, before: Topology, found: readonly Change[]): void {
      this.#pools.follow(after, found)
      this.#telemetry.follow(after, before, found)
      if (after.plural && !pipelines) this.#routing.tellUnpaired()
      if (this.#leavesFound) this.#tellLeft(after)
      if (after.plural && !before.plural) this.#causality.becamePlural()
      this.#noticeLegible(after)
      this.#routing.forget(clock.mono())
      if (found.length === 0) return
      this.#tellFailover(after, before)
      if (this.listenerCount('topology') === 0 && !channels.topology.hasSubscribers) return
      const now = clock.now()
      const change = { after: snapshotOf(after, now, this.#bounds), before: snapshotOf(before, now, this.#bounds) }
      channels.topology.traceSync(() => this.#tell('topology', change.after, change.before), change)
    }

    #tellLeft({ nodes }: Topology): void {
      if ([...nodes.values()].some(({ address }) => address.origin === 'shown')) this.#routing.tellNative()
    }

    #noteReplica(client: Client, first: unknown): void {
      const wire = wireOf(client)
      if (wire === undefined || wire.tainted || first === null || first === undefined) return
      const text = typeof first === 'string' ? first : (first as { readonly text?: unknown }).text
      wire.tainted = typeof text !== 'string' || this.#routing.effect(text) === 'taints'
    }

    #isReplica(key: NodeKey): boolean {
      return this.#herd.topology.nodes.get(key)?.state.kind === 'replica'
    }

    #noticeSession(legible: boolean): void {
      this.#oddSessions += legible ? -1 : 1
      this.#noticeLegible(this.#herd.topology)
    }

    #noticeLegible({ nodes }: Topology): void {
      const server = (node: Node) => node.seen?.detail?.standardConformingStrings !== false
      this.#routing.setLegible(this.#oddSessions === 0 && [...nodes.values()].every(server))
    }

    /** Our own events. What a listener throws must not stop the loop whose news it was told, nor the other listeners. */
    #tell(event: string, ...values: unknown[]): void {
      const complain = (error: unknown) =>
        this.#complain(`a listener of '${event}'`, `threw ${wordsOf(error)}. The pool goes on.`)
      for (const listener of this.rawListeners(event)) told(() => Reflect.apply(listener, this, values), complain)
    }

    #tellFailover(after: Topology, before: Topology): void {
      if (before.epoch > 0 && after.epoch !== before.epoch) {
        const now = clock.now()
        const millis = now.mono - (this.#lostAt ?? now).mono
        this.#tell('failover', { from: before.incumbent?.key ?? null, to: after.primary, millis })
      }
      if (!isLost(after)) this.#lostAt = null
      else this.#lostAt ??= clock.now()
    }

    #refuseFunction(callback: Callback): unknown {
      const text = 'Passing a function as the first parameter to pool.query is not supported'
      return this.#answer(Promise.reject(unsent(new Error(text))), callback)
    }

    /** A callback gets its answer outside any promise, so that what it throws is not ours to swallow. */
    #answer(result: Promise<unknown>, callback: Callback | ((error?: Error) => void) | null | undefined): unknown {
      if (!callback) return this.#promised(result)
      result.then(
        (value) => process.nextTick(callback, undefined, value),
        (error) => process.nextTick(callback, errorOf(error, CALLED))
      )
      return undefined
    }

    #promised<T>(result: Promise<T>): Promise<T> {
      if (this.Promise === Promise) return result
      try {
        return new this.Promise<T>((resolve, reject) => result.then(resolve, reject))
      } catch (error) {
        this.#complain('option Promise', `threw ${wordsOf(error)}. The caller gets a Promise of Node's.`)
        return result
      }
    }
  }

  return Pool as unknown as PoolConstructor & { new (): PoolType }
}
