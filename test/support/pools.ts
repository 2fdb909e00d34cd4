// Pools over a test cluster, ended after each test whatever happened in it.

import { setTimeout as pause } from 'node:timers/promises'
import type { PoolClient } from 'pg'
import { Pool, type PoolConfig } from '../../src/index.js'
import type { Cluster, Role } from './cluster.js'

/** Each with its clients that are checked out. */
const open = new Set<Pool>()

/** A pool that names every node of the cluster, or only those given. */
export function poolOn(
  cluster: Cluster,
  options: PoolConfig = {},
  role: Role = 'app',
  nodes?: readonly number[]
): Pool {
  const chosen = (nodes ?? cluster.nodes.map(({ index }) => index)).map((index) => cluster.config(index, role))
  const [first] = chosen
  if (first === undefined) throw new Error('no nodes')
  const { user, password, database, ssl } = first
  return tracked({
    user,
    password,
    database,
    ssl,
    host: chosen.map(({ host }) => host),
    port: chosen.map(({ port }) => port),
    ...options,
  })
}

/** Any other pool, ended all the same. */
export function tracked(options: PoolConfig): Pool {
  const pool = new Pool(options)
  open.add(pool)
  return pool
}

/** end() waits for clients that are checked out, and a test that failed gives none back: it is done for it then. */
const KEPT_MILLIS = 5000

function giveBack(pool: Pool): void {
  const { _clients } = pool as unknown as { readonly _clients: readonly PoolClient[] }
  for (const client of [..._clients]) {
    try {
      client.release(true)
    } catch {
      // Its own statement gave it back.
    }
  }
}

export async function endPools(): Promise<void> {
  const pools = [...open]
  open.clear()
  const ended = pools.map(async (pool) => {
    // A pool that its own test has ended says so; that is as it should be.
    const end = pool.end().catch(() => {})
    const patience = new AbortController()
    const late = pause(KEPT_MILLIS, null, { signal: patience.signal }).then(
      () => giveBack(pool),
      () => {}
    )
    await end
    patience.abort()
    await late
  })
  await Promise.all(ended)
}

/** Resolves when `test` holds; asks every few milliseconds, and says what it waited for when `millis` are over. */
export async function eventually(what: string, test: () => boolean | Promise<boolean>, millis = 10_000): Promise<void> {
  const deadline = Date.now() + millis
  while (!(await test())) {
    if (Date.now() > deadline) throw new Error(`waited ${millis} ms in vain until ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** `host:port` of a node, as pgherd names it. */
export function keyOf(cluster: Cluster, index: number): string {
  const { host, port } = cluster.node(index)
  return `${host}:${port}`
}

/** Reads served per node so far. */
export function served(pool: Pool): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const { node, count } of pool.decisions()) if (node !== null) counts[node] = (counts[node] ?? 0) + count
  return counts
}
