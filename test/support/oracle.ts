// pg's own pool on the primary of a test cluster: what it answers is what pgherd must answer. Ended after each test, whatever
// happened in it.

import pg, { type PoolClient } from 'pg'
import type { Cluster, Role } from './cluster.js'

const open = new Map<pg.Pool, Set<PoolClient>>()

export function oracleOn(cluster: Cluster, options: pg.PoolConfig = {}, role: Role = 'app'): pg.Pool {
  const pool = new pg.Pool({ ...cluster.config(0, role), ...options })
  const out = new Set<PoolClient>()
  const ignore = () => {}
  pool.on('connect', (client) => client.on('error', ignore))
  pool.on('error', ignore)
  pool.on('acquire', (client) => out.add(client))
  pool.on('release', (_, client) => out.delete(client))
  open.set(pool, out)
  return pool
}

export async function endOracles(): Promise<void> {
  const pools = [...open]
  open.clear()
  for (const [, out] of pools) for (const client of [...out]) client.release(true)
  await Promise.all(pools.map(([pool]) => (pool.ending ? undefined : pool.end())))
}
