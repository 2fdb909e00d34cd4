// What a pool is made of: the router, the connections, the events, and how a call of pg.Pool's becomes a request. One for each pool;
// the class that callers see (pool.ts) hands on to it.

import type { EventEmitter } from 'node:events'
import type { PoolClient } from 'pg'
import type { Config } from '../config/config.js'
import { resolveConfig, withoutDiscovered } from '../config/config.js'
import { clientConfigFor } from '../config/dial.js'
import type { NodeKey } from '../core/cluster/address.js'
import { aloneOf } from '../core/cluster/alone.js'
import type { Change } from '../core/cluster/changes.js'
import type { Topology } from '../core/cluster/topology.js'
import { errorOf, wordsOf } from '../core/thrown.js'
import { argumentError, busyError, endedError, unsent } from '../errors.js'
import { type Attempt, namedSo } from '../herd/herd.js'
import type { Abilities, PgLike } from '../pg/abilities.js'
import type { InnerPoolClass } from '../pg/internals.js'
import type { ClientClass } from '../pg/weak-auth.js'
import { snapshotOf } from '../report/snapshot.js'
import type { Bounds, Explanation, TopologySnapshot } from '../report/types.js'
import { Router } from '../router/router.js'
import {
  type Callback,
  queryArgs,
  type RouteOptions,
  routeOptions,
  type Statement,
  signalOf,
} from '../router/statement.js'
import type { Alarm, Clock } from '../runtime/clock.js'
import { complaints } from '../runtime/complaints.js'
import { warnOf } from '../runtime/misspelt.js'
import { Events } from './events.js'
import { NodePools } from './node-pools.js'
import { Sessions } from './sessions.js'
import { beginOf, committed, type TransactionOptions } from './transaction.js'

/** The pool as callers have it. */
export interface Outer extends EventEmitter {
  readonly options: Record<string, unknown>
  readonly Client: ClientClass
  Promise: PromiseConstructor
}

/** What connect() may be asked beyond pg's callback. */
export interface ConnectOptions {
  readonly signal?: AbortSignal
}

type Release = (error?: Error | boolean) => void
export type OnConnect = (error: Error | undefined, client: PoolClient | undefined, release: Release) => void
type OnEnd = ((error?: Error) => void) | null | undefined

const CALLED = 'a function of the application'

/** The options as they are used, and whether servers that are found would be, if this copy of pg could keep the password from them. */
export function configOf(options: object | undefined, pg: PgLike, { speaks }: Abilities) {
  const resolved = resolveConfig(options ?? {}, process.env, pg.defaults)
  return {
    config: speaks ? resolved : withoutDiscovered(resolved),
    leavesFound: !speaks && resolved.replication.use,
  }
}

export class Core {
  readonly config: Config
  readonly router: Router
  readonly pools: NodePools
  readonly #outer: Outer
  readonly #clock: Clock
  readonly #events: Events
  readonly #bounds: Bounds
  readonly #complain = complaints()
  readonly #lacks: { readonly pairs: boolean; readonly found: boolean }
  ending = false
  ended = false

  constructor(
    outer: Outer,
    { config, leavesFound }: ReturnType<typeof configOf>,
    pg: PgLike,
    can: Abilities,
    clock: Clock
  ) {
    this.config = config
    this.#outer = outer
    this.#clock = clock
    for (const { asked, meant } of config.misspelt) warnOf(asked, meant, 'new Pool()')
    this.#bounds = { ...config, alone: aloneOf(config) }
    this.#lacks = { pairs: !can.pipelines, found: leavesFound }
    this.#events = new Events(outer, clock, this.#complain, this.#bounds)
    const { max, min } = outer.options
    this.router = new Router(config, {
      clock,
      complain: this.#complain,
      scopes: new Sessions(),
      busy: () => this.pools.held,
      sessions: (key) => this.pools.sessionsOf(key),
      connections: () => this.pools.connections(),
      sharesSession: () => this.pools.sharesSession(this.router.herd.topology.primary),
      limits: { max: Number(max), min: Number(min), namespace: namespaceOf(config) },
      tokenLost: (lost) => this.#events.tell('tokenLost', lost),
    })
    this.pools = new NodePools({
      clock,
      router: this.router,
      PoolClass: pg.Pool as InnerPoolClass,
      Client: outer.Client,
      pipelines: can.pipelines && config.pipelineReads,
      requireAuth: config.requireAuth,
      complain: this.#complain,
      hasHooks: typeof outer.options.onConnect === 'function' || typeof outer.options.verify === 'function',
      isHeard: () => outer.listenerCount('acquire') > 0 || outer.listenerCount('release') > 0,
      clientConfig: (node) => clientConfigFor(config, node.address),
      relay: (pool, event, first, second) => this.#events.relay(this.router, pool, event, first, second),
      freed: (key) => this.pools.freed(key),
      poolOf: (place) => this.#poolOf(place),
      cancel: (client) => this.pools.cancel(client),
      takePrimary: () => this.#open({ route: 'primary' }, undefined),
    })
    this.router.herd.subscribe((after, before, found) => this.#follow(after, before, found))
  }

  #follow(after: Topology, before: Topology, found: readonly Change[]): void {
    this.pools.follow(after, found)
    const { warnings } = this.router.routing
    if (after.plural && this.#lacks.pairs) warnings.unpaired()
    if (this.#lacks.found && [...after.nodes.values()].some(({ address }) => address.origin === 'shown')) {
      warnings.native()
    }
    this.router.follow(after, before, found)
    if (found.length > 0) this.#events.follow(after, before)
  }

  #poolOf({ node }: Attempt) {
    return this.pools.of(node, this.router.herd.topology)
  }

  query(options: RouteOptions, query: unknown, second: unknown, third: unknown): unknown {
    if (typeof query === 'function') return this.#refuseFunction(query as Callback)
    try {
      if (this.ending) throw endedError()
      const statement = this.router.statement(options, query, second, third)
      let kept: Statement | null = null
      const answer = this.router.run(statement, (place, reading) => {
        // What its caller does with the values between two attempts changes nothing of it.
        if (place.race !== null) kept ??= statement.kept
        return this.#poolOf(place).query(place, kept ?? statement, reading)
      })
      return this.answer(answer, statement.callback)
    } catch (error) {
      return this.answer(Promise.reject(unsent(error)), queryArgs(query, second, third).callback)
    }
  }

  connect(options: RouteOptions, asked: OnConnect | ConnectOptions | null | undefined, isEnded: boolean): unknown {
    const callback = typeof asked === 'function' ? asked : undefined
    const signal = typeof asked === 'object' && asked !== null ? signalOf(asked) : undefined
    const client = isEnded || this.ending ? Promise.reject(endedError()) : this.#open(options, signal)
    if (!callback) return this.promised(client)
    client.then(
      (ready) => process.nextTick(callback, undefined, ready, ready.release),
      (error) => process.nextTick(callback, errorOf(error, CALLED), undefined, () => {})
    )
    return undefined
  }

  #open(options: RouteOptions, signal: AbortSignal | undefined): Promise<PoolClient> {
    const open = (place: Attempt) => this.#poolOf(place).connect(place, options)
    return this.router.connect(options, signal, open, (late) => late.release())
  }

  async transaction<T>(
    view: RouteOptions,
    work: (client: PoolClient) => Promise<T>,
    given: TransactionOptions | null
  ): Promise<T> {
    if (this.ending) throw endedError()
    if (typeof work !== 'function') {
      throw argumentError('transaction() must be given a function (client) => ...')
    }
    const { readOnly = false, isolation, maxLagMillis } = given ?? {}
    const text = beginOf(given ?? {})
    const own = routeOptions({ maxLagMillis: maxLagMillis ?? view.maxLagMillis })
    const options = { ...view, maxLagMillis: own.maxLagMillis }
    const lagMillis = options.maxLagMillis ?? this.config.maxLagMillis
    const mayMove = readOnly && options.route !== 'replica' && this.config.attributes === 'any'
    const begin = { text, isolation: isolation ?? null, lagMillis, mayMove }
    return this.router.transaction(
      options,
      { text, readOnly, isSerializable: isolation === 'serializable' },
      async (place) => this.#poolOf(place).begin(place, options, begin),
      (client) => committed(client, work)
    )
  }

  explain(options: RouteOptions, query: unknown): Explanation {
    return this.router.explain(this.router.statement(options, query))
  }

  topology(): TopologySnapshot {
    return snapshotOf(this.router.herd.topology, this.#clock.now(), this.#bounds)
  }

  end(callback: OnEnd): unknown {
    if (this.ending) return this.answer(Promise.reject(new Error('Called end on pool more than once')), callback)
    this.ending = true
    return this.answer(this.#end(), callback)
  }

  async #end(): Promise<void> {
    const { herd, telemetry } = this.router
    const reason = endedError()
    this.pools.finish(reason)
    const finished = herd.finish()
    if (finished !== null) await finished
    herd.end()
    await this.pools.end(reason)
    herd.close()
    telemetry.end()
    this.ended = true
  }

  async drain(node: string, timeoutMillis: number): Promise<void> {
    const { herd } = this.router
    const startedAt = this.#clock.mono()
    const keys = this.#known(node) ?? (await herd.resolved(node, timeoutMillis)) ?? this.#unknown(node)
    for (const key of keys) herd.report({ kind: 'drained', key })
    let alarm: Alarm | undefined
    const late = new Promise<true>((resolve) => {
      const millis = Math.max(0, timeoutMillis - (this.#clock.mono() - startedAt))
      if (timeoutMillis !== Infinity) alarm = this.#clock.alarm(millis, () => resolve(true), 'process')
    })
    const left = Promise.all(keys.map((key) => this.pools.left(key)))
    const isLate = (await Promise.race([left, late])) === true
    alarm?.cancel()
    const busy = keys.reduce((sum, key) => sum + this.pools.busy(key), 0)
    if (isLate) throw busyError(node, busy, timeoutMillis)
  }

  resume(node: string): void {
    for (const key of this.#known(node) ?? this.#unknown(node)) this.router.herd.report({ kind: 'resumed', key })
  }

  /** The node of this name, or all that a host leads to which was named so; null: there is none, or none yet. */
  #known(node: string): readonly NodeKey[] | null {
    const { herd } = this.router
    // A caller that names a server before the first statement means one that the pool was given.
    if (!this.ending) herd.open()
    const found = namedSo(herd.topology, node)
    return found.length === 0 ? null : found
  }

  #unknown(node: string): never {
    const known = [...this.router.herd.topology.nodes.keys()].join(', ') || 'none yet'
    throw argumentError(`there is no node ${node}: known are ${known}`)
  }

  /** Before the first look at the servers, waiting callers count as connecting clients, as in pg.Pool. */
  get connecting(): number {
    const { isCold, waiting } = this.router.herd
    return isCold ? Math.min(waiting, Number(this.#outer.options.max)) : 0
  }

  #refuseFunction(callback: Callback): unknown {
    const text = 'Passing a function as the first parameter to pool.query is not supported'
    return this.answer(Promise.reject(unsent(new Error(text))), callback)
  }

  /** A callback gets its answer outside any promise, so that what it throws is not ours to swallow. */
  answer(result: Promise<unknown>, callback: Callback | OnEnd): unknown {
    if (!callback) return this.promised(result)
    result.then(
      (value) => process.nextTick(callback, undefined, value),
      (error) => process.nextTick(callback, errorOf(error, CALLED))
    )
    return undefined
  }

  /** Of the class that the application has set for promises. */
  promised<T>(result: Promise<T>): Promise<T> {
    const { Promise: Class } = this.#outer
    if (Class === Promise) return result
    try {
      return new Class<T>((resolve, reject) => result.then(resolve, reject))
    } catch (error) {
      this.#complain('option Promise', `threw ${wordsOf(error)}. The caller gets a Promise of Node's.`)
      return result
    }
  }
}

/** The database, else the user, that the options or the environment name. A URL in the place of a name has a password in it. */
function namespaceOf({ client: { database, user } }: Config): string | null {
  const { PGDATABASE, PGUSER } = process.env
  const named = [database, PGDATABASE, user, PGUSER].find((name) => typeof name === 'string' && name !== '')
  return typeof named === 'string' && !named.includes('://') ? named : null
}
