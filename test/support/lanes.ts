// Reads that share a connection of a replica, held up and let go as a test says.

import assert from 'node:assert/strict'
import type { Client, PoolClient } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from './cluster.js'
import { eventually, poolOn } from './pools.js'

/** waits(k) ends when no lock on k is held on its server; both tell by whom they were run. */
const FUNCTIONS = `create function waits(k int) returns int stable language plpgsql as
    $$ begin perform pg_advisory_lock_shared(k); perform pg_advisory_unlock_shared(k); return pg_backend_pid(); end $$;
  create function says(words text) returns int stable language plpgsql as
    $$ begin raise notice '%', words; return pg_backend_pid(); end $$;
  create table numbers as select n from generate_series(1, 5000) as n;
  grant all on numbers to public`

let told = 0

/** A read that tells which connection it has. None has the shape of another: where the machine is busy a read is slow at times. */
export function who(): string {
  return `select pg_backend_pid() as pid, 1 as c${told++}`
}

const FREE: PoolConfig = {
  maxLagMillis: Infinity,
  readYourWrites: 'off',
  replicaSafeFunctions: ['pg_backend_pid', 'inet_server_port', 'pg_sleep'],
}

/** A primary and a replica. */
export class Lanes {
  readonly cluster: Cluster
  readonly onPrimary: Client
  readonly onReplica: Client

  private constructor(cluster: Cluster, onPrimary: Client, onReplica: Client) {
    this.cluster = cluster
    this.onPrimary = onPrimary
    this.onReplica = onReplica
  }

  static async start(replicas = 1): Promise<Lanes> {
    const cluster = await startCluster({ replicas })
    await cluster.streaming(0, replicas)
    const lanes = new Lanes(cluster, await cluster.connect(0, 'postgres'), await cluster.connect(1, 'postgres'))
    await lanes.onPrimary.query(FUNCTIONS)
    for (let i = 1; i <= replicas; i++) await cluster.caughtUp(i, 0)
    return lanes
  }

  async pool(options: PoolConfig = {}): Promise<Pool> {
    const pool = poolOn(this.cluster, { ...FREE, ...options })
    await pool.ready({ replicas: 1 })
    return pool
  }

  /** One whose reads have one lane on the replica, and nothing else. */
  async narrow(
    options: PoolConfig = {}
  ): Promise<{ readonly pool: Pool; readonly held: PoolClient; readonly pid: number }> {
    const pool = await this.pool({ max: 2, ...options })
    const held = await pool.view({ route: 'replica' }).connect()
    return { pool, held, pid: await pidOf(pool) }
  }

  /** waits(k) waits from now on; gives what lets it go. */
  async gate(k: number): Promise<() => Promise<unknown>> {
    await this.onReplica.query('select pg_advisory_lock($1)', [k])
    return () => this.onReplica.query('select pg_advisory_unlock($1)', [k])
  }

  /** Resolves when so many wait there. */
  async waiting(k: number, many = 1): Promise<void> {
    const text = "select count(*)::int as n from pg_locks where locktype = 'advisory' and objid = $1 and not granted"
    await eventually(`${many} wait at gate ${k}`, async () => {
      return (await this.onReplica.query<{ n: number }>(text, [k])).rows[0]?.n === many
    })
  }

  /** Every lock of the test is given up. */
  open(): Promise<unknown> {
    return this.onReplica.query('select pg_advisory_unlock_all()')
  }
}

export async function pidOf(on: Pool | PoolClient, query: string | object = who()): Promise<number> {
  const { rows } = await (on as PoolClient).query<{ pid: number }>(query as string)
  assert.equal(rows.length, 1)
  return rows[0]?.pid as number
}

/** Has it been settled? */
export function settling(work: Promise<unknown>): { isOver: boolean } {
  const state = { isOver: false }
  const over = () => {
    state.isOver = true
  }
  work.then(over, over)
  return state
}
