// The pools that are measured, each with ten connections to a server. A contender is opened for one row and closed after it.

import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { Pool, type PoolConfig } from 'pgherd'
import postgres from 'postgres'
import type { Cluster } from '../test/support/cluster.js'
import { startPgBouncer } from '../test/support/pgbouncer.js'
import { startPgpool } from '../test/support/pgpool.js'
import type { Target } from './forms.js'
import { microsOf } from './processor.js'

export const CONNECTIONS = 10

export interface Contender {
  readonly name: string
  readonly target: Target
  /** Of the process between pool and servers, with its children. */
  elsewhereMicros?(): number
  /** Statements so far that pgherd gave to replicas, and all. */
  decided?(): Decided
  close(): Promise<void>
}

export interface Decided {
  readonly replicas: number
  readonly all: number
}

/** `own`: options of pgherd's alone. */
export type Opener = (cluster: Cluster, own?: PoolConfig) => Promise<Contender>

/** Of pg.Pool and pgherd alike: an idle connection stays. */
const SAME = { max: CONNECTIONS, idleTimeoutMillis: 0 }

function plain(name: string, options: pg.PoolConfig): Contender {
  const target = new pg.Pool({ ...options, ...SAME })
  return { name, target, close: () => target.end() }
}

export const pgPool: Opener = async (cluster) => plain('pg.Pool', cluster.config(0))

export function herd(name = 'pgherd', Build: typeof Pool = Pool): Opener {
  return async (cluster, own = {}) => {
    const nodes = cluster.nodes.map(({ index }) => cluster.config(index))
    const { user, password, database } = cluster.config(0)
    const [host, port] = [nodes.map((node) => node.host), nodes.map((node) => node.port)]
    const options = { user, password, database, ssl: false, ...SAME, ...own }
    const alone = nodes.length === 1
    const target = new Build(alone ? { ...options, ...cluster.config(0) } : { ...options, host, port })
    await target.ready({ replicas: nodes.length - 1 })
    return { name, target, decided: () => decidedBy(target), close: () => target.end() }
  }
}

function decidedBy(pool: Pool): Decided {
  const decisions = pool.decisions()
  const count = (rows: typeof decisions) => rows.reduce((sum, row) => sum + row.count, 0)
  return { replicas: count(decisions.filter(({ role }) => role === 'replica')), all: count(decisions) }
}

/** With the defaults of its own otherwise: it prepares its statements. */
export const postgresJs: Opener = async (cluster) => {
  const { host, port, user, password, database } = cluster.config(0)
  const sql = postgres({ host, port, user, password, database, max: CONNECTIONS, onnotice: () => {} })
  const query = async (text: string, values: unknown[] = []) =>
    sql.unsafe(text, values as postgres.ParameterOrJSON<never>[], { prepare: true })
  const refuse = () => Promise.reject(new Error('postgres.js has other clients'))
  const end = () => sql.end()
  // One client and ten of them look the same from here.
  return { name: 'postgres.js', target: { query, connect: refuse, end }, close: end }
}

/** In transaction mode, before the primary: it knows of no replica. */
export const pgBouncer: Opener = async (cluster) => {
  const { host, port, pid, close } = await startPgBouncer(cluster.node(0), 'transaction', { poolSize: CONNECTIONS })
  const pool = plain('pg.Pool by PgBouncer', { ...cluster.config(0), host, port })
  return { ...pool, elsewhereMicros: () => microsOf(pid), close: () => pool.close().then(close) }
}

/** It parses each statement, and gives reads to the replica. */
export const pgpool: Opener = async (cluster) => {
  const { host, port, pid, close } = await startPgpool(cluster.nodes, CONNECTIONS)
  const pool = plain('pg.Pool by pgpool-II', { ...cluster.config(0), host, port })
  return { ...pool, elsewhereMicros: () => microsOf(pid), close: () => pool.close().then(close) }
}

const BUILD = fileURLToPath(new URL('../', import.meta.url))

/** What `use` gives, called with the Pool of the build whose index.js is at `path`: a copy beside this build, so that both use one pg. */
export async function withBuild<T>(path: string, use: (Build: typeof Pool) => Promise<T>): Promise<T> {
  const copy = mkdtempSync(join(BUILD, 'build-'))
  try {
    cpSync(dirname(resolve(path)), copy, { recursive: true })
    const { Pool: Build }: { Pool: typeof Pool } = await import(join(copy, 'index.js'))
    return await use(Build)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}
