// class Pool extends pg.Pool: pg's contract on the outside. It inherits for identity and surface only: no connection is its own, and
// all that it does core.ts does.

import type { EventEmitter } from 'node:events'
import type { PoolClient } from 'pg'
import { keyOf } from '../core/cluster/address.js'
import { argumentError, endedError } from '../errors.js'
import type { Herd, Readiness } from '../herd/herd.js'
import { abilitiesOf, type PgLike } from '../pg/abilities.js'
import type { InnerPool } from '../pg/internals.js'
import type { ClientClass } from '../pg/weak-auth.js'
import { INSPECT, type Inspect, type InspectOptions, inspected } from '../report/inspect.js'
import { NO_OPTIONS, queryArgs, type RouteOptions, routeOptions } from '../router/statement.js'
import type { SessionOptions, Tokens } from '../router/tokens.js'
import { type Clock, systemClock } from '../runtime/clock.js'
import { warnOfMisspelt } from '../runtime/misspelt.js'
import { type ConnectOptions, Core, configOf, type OnConnect } from './core.js'
import { describe } from './describe.js'
import type { TransactionOptions } from './transaction.js'
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

const READY_OPTIONS: ReadonlySet<string> = new Set(['primary', 'replicas', 'timeoutMillis'])
const NOTHING: InnerPool['_clients'] = []

const HERDS = new WeakMap<object, Herd>()

/** What a pool knows of its servers, for the command line, which finds out more than its pool does. */
export function herdOf(pool: object): Herd {
  return HERDS.get(pool) as Herd
}

/** Binds the class to one copy of pg, so that `instanceof` of that copy holds. */
export function createPool(pg: PgLike, clock: Clock = systemClock): PoolConstructor {
  const abilities = abilitiesOf(pg)
  const Base = pg.Pool as BaseClass

  // Libraries recognise a pool by this very name as well as by instanceof.
  class Pool extends Base {
    readonly #core: Core

    constructor(options?: object) {
      const resolved = configOf(options, pg, abilities)
      super(options)
      this.#core = new Core(this, resolved, pg, abilities, clock)
      HERDS.set(this, this.#core.router.herd)
      describe(this.options, this.#core.config.seeds, () => this.#core.router.primaryAddress)
    }

    query(query: unknown, second?: unknown, third?: unknown): unknown {
      return this.#core.query(NO_OPTIONS, query, second, third)
    }

    connect(callback?: OnConnect | ConnectOptions | null): unknown {
      return this.#core.connect(NO_OPTIONS, callback, false)
    }

    end(callback?: ((error?: Error) => void) | null): unknown {
      return this.#core.end(callback)
    }

    async transaction<T>(work: (client: PoolClient) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
      return this.#core.transaction(NO_OPTIONS, work, options)
    }

    session<T>(first: Tokens | (() => T), second?: () => T, options?: SessionOptions): T {
      const [tokens, work] = typeof first === 'function' ? [null, first] : [first, second]
      if (typeof work !== 'function') throw argumentError('session() must be given a function, alone or after a token')
      return this.#core.router.causality.session(tokens, work, options)
    }

    async token(): Promise<string | null> {
      return this.#core.router.causality.token()
    }

    freshness() {
      return this.#core.router.herd.freshness
    }

    topology() {
      return this.#core.topology()
    }

    explain(query: unknown) {
      return this.#core.explain(NO_OPTIONS, query)
    }

    view(options: RouteOptions = {}): unknown {
      return this.#view(routeOptions(options))
    }

    #view(options: RouteOptions): unknown {
      const core = this.#core
      let ended = false
      const over = () => Promise.reject(endedError())
      const isEnding = () => ended || core.ending
      const isEnded = () => ended || core.ended
      return viewOf(this, {
        get ending() {
          return isEnding()
        },
        get ended() {
          return isEnded()
        },
        query: (query: unknown, second: unknown, third: unknown) =>
          ended
            ? core.answer(over(), queryArgs(query, second, third).callback)
            : core.query(options, query, second, third),
        connect: (callback?: OnConnect | ConnectOptions | null) => core.connect(options, callback, ended),
        [Symbol.asyncDispose]: () => {
          ended = true
          return Promise.resolve()
        },
        transaction: <T>(work: (client: PoolClient) => Promise<T>, given: TransactionOptions = {}) =>
          ended ? over() : core.transaction(options, work, given),
        explain: (query: unknown) => core.explain(options, query),
        view: (inner: RouteOptions = {}) => this.#view(merged(options, routeOptions(inner))),
        end: (callback?: (error?: Error) => void) => {
          ended = true
          return core.answer(Promise.resolve(), callback)
        },
      })
    }

    retriedOnPrimary() {
      return this.#core.router.routing.repairs.list()
    }

    decisions() {
      return this.#core.router.decisions.list()
    }

    async ready(options: ReadyOptions = {}): Promise<Readiness> {
      const { config, router } = this.#core
      warnOfMisspelt(options, READY_OPTIONS, 'ready()')
      const { primary = true, replicas = 0, timeoutMillis = config.failoverTimeoutMillis } = options
      return router.herd.ready({ primary, replicas, maxLagMillis: config.maxLagMillis }, timeoutMillis)
    }

    health() {
      const { herd } = this.#core.router
      return Object.freeze({ ...herd.health, primary: herd.topology.primary })
    }

    async drain(node: string, { timeoutMillis = Infinity }: { readonly timeoutMillis?: number } = {}): Promise<void> {
      return this.#core.drain(node, timeoutMillis)
    }

    resume(node: string): void {
      this.#core.resume(node)
    }

    /** Not what it is made of: the password is among that. */
    [INSPECT](depth: number | null, options: InspectOptions, inspect: Inspect): string {
      if (!(#core in this)) return 'Pool {}'
      const { seeds, client } = this.#core.config
      const { totalCount, idleCount, waitingCount } = this
      const { user, database } = client
      const fields = { hosts: seeds.map(keyOf), user, database, totalCount, idleCount, waitingCount }
      return inspected(this.constructor.name, { ...fields, topology: this.topology() }, depth, options, inspect)
    }

    /** Node's `await using`. */
    [Symbol.asyncDispose](): Promise<void> {
      return this.#core.ending ? Promise.resolve() : (this.end() as Promise<void>)
    }

    get totalCount(): number {
      return this.#core.pools.sum('totalCount') + this.#core.connecting
    }

    get idleCount(): number {
      return this.#core.pools.sum('idleCount')
    }

    get waitingCount(): number {
      const { pools, router, connecting } = this.#core
      return pools.sum('waitingCount') + router.herd.waiting - connecting
    }

    get expiredCount(): number {
      return this.#core.pools.sum('expiredCount')
    }

    // Libraries and tests reach into these. They are the primary's, but for the clients, which are all, the primary's last; pg-pool's
    // constructor assigns them before there is a primary.
    get _clients(): readonly unknown[] {
      return this.#core.pools.clients(this.#core.router.herd.topology.primary)
    }
    set _clients(_: unknown) {}
    get _idle(): readonly unknown[] {
      return this.#primary?._idle ?? NOTHING
    }
    set _idle(_: unknown) {}
    get _pendingQueue(): readonly unknown[] {
      return this.#primary?._pendingQueue ?? NOTHING
    }
    set _pendingQueue(_: unknown) {}
    get #primary(): InnerPool | undefined {
      const { pools, router } = this.#core
      return pools.primary(router.herd.topology.primary)?.inner
    }
    get ending(): boolean {
      return this.#core.ending
    }
    set ending(_: unknown) {}
    get ended(): boolean {
      return this.#core.ended
    }
    set ended(_: unknown) {}
  }

  return Pool as unknown as PoolConstructor & { new (): PoolType }
}
