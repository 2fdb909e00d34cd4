// What the proxy can be told, under PgBouncer's names where they mean the same: types, checks, defaults. Reads no file and no environment.

export type PoolMode = 'transaction' | 'session' | 'statement'

/** How a client proves who it is. trust: it need not, and only this machine may be listened on. */
export type AuthType = 'scram-sha-256' | 'trust'

export interface ProxyOptions {
  readonly poolMode: PoolMode
  readonly maxClientConn: number
  /** Server connections per node, user and database. */
  readonly defaultPoolSize: number
  readonly serverLifetimeMillis: number
  readonly serverIdleTimeoutMillis: number
  readonly serverConnectTimeoutMillis: number
  readonly clientLoginTimeoutMillis: number
  readonly queryWaitTimeoutMillis: number
  readonly cancelWaitTimeoutMillis: number
  readonly maxPreparedStatements: number
  /** The longest text, Bind or function call that a client may send, in bytes. */
  readonly maxPacketSize: number
  readonly authType: AuthType
  readonly authQuery: string | null
  readonly adminUsers: ReadonlySet<string>
  readonly statsUsers: ReadonlySet<string>
}

export const AUTH_QUERY =
  'SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_catalog.pg_authid ' +
  'WHERE rolname = $1 AND rolcanlogin'

export const DEFAULTS: ProxyOptions = {
  poolMode: 'transaction',
  maxClientConn: 1000,
  defaultPoolSize: 20,
  serverLifetimeMillis: 3_600_000,
  serverIdleTimeoutMillis: 600_000,
  serverConnectTimeoutMillis: 15_000,
  clientLoginTimeoutMillis: 60_000,
  queryWaitTimeoutMillis: 120_000,
  cancelWaitTimeoutMillis: 10_000,
  maxPreparedStatements: 200,
  maxPacketSize: 1 << 30,
  authType: 'scram-sha-256',
  authQuery: null,
  adminUsers: new Set(),
  statsUsers: new Set(),
}

/** One of several processes that serve the same clients. */
export interface Worker {
  /** From 0. */
  readonly slot: number
  readonly of: number
  /** So many had this slot before. */
  readonly before: number
}

/** What of a limit is this process's: the shares of all add up to it. At least 1. */
export function shareOf(total: number, worker: Worker | null): number {
  if (worker === null) return total
  const { slot, of } = worker
  return Math.max(1, Math.floor(total / of) + (slot < total % of ? 1 : 0))
}
