// What pg and pg-pool have and their published types do not name.

import type { EventEmitter } from 'node:events'
import type { Client, PoolClient } from 'pg'
import type { Closable } from '../runtime/sockets.js'

export type Release = (error?: Error | boolean) => void

export type Notice = (message: unknown) => void

export type Connected = (error: Error | undefined, client: PoolClient | undefined, release: Release) => void

/** The parts of pg-pool that a pool over pools needs, published or not. */
export interface InnerPool {
  readonly totalCount: number
  readonly idleCount: number
  readonly waitingCount: number
  readonly expiredCount: number
  Promise: PromiseConstructor
  readonly _clients: readonly Client[]
  readonly _idle: readonly { readonly client: Client }[]
  readonly _pendingQueue: { readonly callback: Connected; readonly timedOut?: boolean }[]
  readonly ending: boolean
  /** Its own copy. */
  readonly options: {
    max: number
    readonly maxUses?: number
    readonly allowExitOnIdle?: boolean
    readonly connectionTimeoutMillis?: unknown
    readonly password?: unknown
  }
  _pulseQueue(): void
  /** Clients whose time is up: release() removes them. */
  readonly _expired?: { add(client: Client): void; has(client: Client): boolean }
  connect(callback: Connected): void
  end(): Promise<void>
  listenerCount(event: string): number
  emit: (event: string, first?: unknown, second?: unknown) => boolean
}

/** pg.Client with its query() as loosely typed as its overloads are in truth. */
export type QueryableClass = new (
  config?: object
) => {
  query(first: unknown, second?: unknown, third?: unknown): unknown
  /** The native client has none. */
  getTransactionStatus?(): string | null
  _errorAllQueries(error: unknown): void
  _handleErrorMessage?(message: unknown): void
  _handleReadyForQuery?(message: unknown): void
  _getPassword?(done: () => void): void
  end(callback?: unknown): unknown
}

export type InnerPoolClass = new (options: object) => InnerPool

/** What pg's client has, and its types do not name. */
export interface Internals {
  /** The native client has none. */
  readonly connection?: EventEmitter & { readonly stream?: Socket }
  /** Nothing is under way; false from the sending of a statement to the server's ReadyForQuery. */
  readonly readyForQuery?: boolean
  /** The native client's way to say the same. */
  _hasActiveQuery?(): boolean
  readonly _queryQueue: readonly unknown[]
  /** Pipelined: sent, and not answered yet. */
  readonly _sentQueryQueue?: readonly unknown[]
  readonly _queryable: boolean
  readonly _ending: boolean
  readonly _types: unknown
  readonly _activeQuery?: unknown
  readonly connectionParameters?: { readonly query_timeout?: unknown }
  readonly pipeline?: boolean
  /** In a transaction or not, as the server said last. */
  readonly _txStatus?: unknown
}

export interface Socket extends Closable {
  readonly bytesRead?: number
  readonly bytesWritten?: number
}
