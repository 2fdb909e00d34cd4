// The Pool as TypeScript users see it: pg's own type, plus what pgherd adds.

import type pg from 'pg'
import type { HerdOptions } from '../config/options.js'
import type { Freshness, Health, Readiness } from '../herd/herd.js'
import type { Explanation, TopologySnapshot } from '../report/types.js'
import type { TokenLost } from '../router/causality.js'
import type { Decision } from '../router/decisions.js'
import type { Repair } from '../router/repairs.js'
import type { Route, RouteOptions as Wishes } from '../router/statement.js'
import type { SessionOptions, Tokens } from '../router/tokens.js'
import type { TransactionOptions } from './transaction.js'

/** pg.Pool's options, and pgherd's. */
export interface PoolConfig extends Omit<pg.PoolConfig, 'host' | 'port'>, HerdOptions {}

/** What one statement may ask for beside pg's own query config: `pool.query({ text, values, route, maxLagMillis })`. */
export interface StatementOptions {
  /**
   * Where it runs, whatever its text says. With 'replica', what is not taken for a read never runs on the primary: it fails with the
   * replica's own 25006, or with PGHERD_NO_REPLICA.
   */
  route?: Route
  /** This read's own lag bound, in milliseconds. */
  maxLagMillis?: number
  /** Aborted, it rejects the statement with its reason at once, and has the server cancel it. */
  signal?: AbortSignal
}

export interface ReadyOptions {
  /** Wait for a primary that takes writes. Default true. */
  primary?: boolean
  /** Wait for this many replicas that are proven to be within maxLagMillis. Default 0. */
  replicas?: number
  /** Default: failoverTimeoutMillis. */
  timeoutMillis?: number
}

export interface Failover {
  /** `host:port` of the primary before. */
  readonly from: string | null
  /** `host:port` of the primary now. */
  readonly to: string | null
  /** From the first sign of trouble to the new primary, in milliseconds. */
  readonly millis: number
}

export interface Pool extends pg.Pool {
  /** The present picture: which nodes are known, which one is the primary, how far each replica is. */
  topology(): TopologySnapshot
  /** Where this statement would go now, and why; nothing is run. Takes what query() takes first: a text, or a config. */
  explain(query: string | (pg.QueryConfig<never> & StatementOptions)): Explanation
  /**
   * The same pool, whose statements go where `route` says and are as old as `maxLagMillis` allows, unless they say otherwise
   * themselves. connect() with `route: 'replica'` gives a client of a replica; with one server, one of that server which runs only
   * reads, and rejects what is none with PGHERD_NO_REPLICA. end() ends the view only.
   */
  view(wishes?: Wishes): Pool
  /** Statements that were taken for reads, that a replica refused, and that ran on the primary instead: each cost a trip. */
  retriedOnPrimary(): readonly Repair[]
  /**
   * Resolves when the wanted nodes are there, and the catalogue is read, which reads on replicas need; rejects with PGHERD_NO_PRIMARY
   * or PGHERD_NO_REPLICA after the timeout. Where no replicas are wanted it waits two seconds at most for the catalogue, and its
   * result says whether that has been read.
   */
  ready(options?: ReadyOptions): Promise<Readiness>
  /**
   * Runs `work` in a session: everything that it calls, however deep, sees the session's own writes, and its reads do not go
   * backwards: they stay with one replica while that qualifies. With a token it also sees what that stands for. Gives what
   * `work` gives. Sessions in sessions see their own writes; what they write, the outer ones have written, too.
   */
  session<T>(work: () => T): T
  session<T>(token: Tokens, work: () => T, options?: SessionOptions): T
  /**
   * A short text, fit for a URL, a cookie or a header, that stands for all that this session has written and seen, or outside
   * of any for what this pool has written: `session(token, ...)` in another process sees that. null: nothing to carry.
   */
  token(): Promise<string | null>
  /** How reads fared that asked for a replica, counted since the pool was made. */
  freshness(): Freshness
  /** What could be done now, for readiness probes: no statement is run, nothing is awaited. */
  health(): Health & { readonly primary: string | null }
  /**
   * For maintenance of a server (`host:port`): it gets no new statements, and this resolves when those that run there are over,
   * clients have been given back and its connections are closed. A primary's statements wait meanwhile, as in a failover.
   * Rejects with PGHERD_BUSY after `timeoutMillis` (default: never); the server is left alone until resume().
   */
  drain(node: string, options?: { readonly timeoutMillis?: number }): Promise<void>
  /** Ends what drain() began. */
  resume(node: string): void
  /** Where statements went so far, or with `routing: 'observe'` would have gone, and why. The most frequent first. */
  decisions(): readonly Decision[]

  /**
   * Begins on a client of its own, runs `work`, commits; rolls back if that throws; gives the client back in any case. With
   * `readOnly` a replica may have it.
   */
  transaction<T>(work: (client: PoolClient) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** As pg's; `signal` ends the wait for a client. */
  connect: Connect
  [Symbol.asyncDispose](): Promise<void>

  query: pg.Pool['query'] & RoutedQuery
  on(event: 'topology', listener: (after: TopologySnapshot, before: TopologySnapshot) => void): this
  on(event: 'failover', listener: (failover: Failover) => void): this
  on(event: 'tokenLost', listener: (lost: TokenLost) => void): this
  on(event: 'error' | 'release', listener: (error: Error, client: PoolClient) => void): this
  on(event: 'connect' | 'acquire' | 'remove', listener: (client: PoolClient) => void): this
}

/** A client of connect() or transaction(): pg's, whose query() takes a statement's own options as that of the pool does. */
export interface PoolClient extends pg.PoolClient {
  query: pg.PoolClient['query'] & RoutedQuery
}

interface Connect {
  (): Promise<PoolClient>
  (options: { readonly signal: AbortSignal }): Promise<PoolClient>
  (callback: (error: Error | undefined, client: PoolClient | undefined, done: Release) => void): void
}

/** As pg declares it. */
type Release = Parameters<Parameters<pg.Pool['connect']>[0]>[2]

/** pg's query configs with a statement's own options; every other form is pg's. */
export interface RoutedQuery {
  <R extends pg.QueryResultRow = Record<string, unknown>, I = unknown[]>(
    config: pg.QueryConfig<I> & StatementOptions,
    values?: pg.QueryConfigValues<I>
  ): Promise<pg.QueryResult<R>>
  <R extends unknown[] = unknown[], I = unknown[]>(
    config: pg.QueryArrayConfig<I> & StatementOptions,
    values?: pg.QueryConfigValues<I>
  ): Promise<pg.QueryArrayResult<R>>
  <R extends pg.QueryResultRow = Record<string, unknown>, I = unknown[]>(
    config: pg.QueryConfig<I> & StatementOptions,
    callback: (error: Error, result: pg.QueryResult<R>) => void
  ): void
}

/** A class as pg.Pool is, with what that inherits. */
export interface PoolConstructor extends Omit<typeof pg.Pool, 'prototype'> {
  new (config?: PoolConfig): Pool
  readonly prototype: Pool
}
