// One row that counts, on a primary with two replicas: what a read shows of it, and which server showed it.

import type { Pool } from '../../src/index.js'
import { type Cluster, startCluster } from './cluster.js'
import { endPools, poolOn } from './pools.js'

/** Which server answers is asked on purpose. */
export const ANYWHERE = { replicaSafeFunctions: ['inet_server_port'] }
export const READ = 'select n, inet_server_port() as port from counter where id = 1'

export interface Seen {
  readonly n: number
  readonly port: number
}

export async function read(pool: Pool, route?: 'primary'): Promise<Seen> {
  const { rows } = await pool.query<Seen>(route === undefined ? { text: READ } : { text: READ, route })
  return rows[0] as Seen
}

export async function bump(pool: Pick<Pool, 'query'>): Promise<number> {
  const { rows } = await pool.query<{ n: number }>('update counter set n = n + 1 where id = 1 returning n')
  return rows[0]?.n ?? Number.NaN
}

/** For the tests of the describe() around the call; each begins with both replicas at work and up to date. */
export function counterCluster(): () => Cluster {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
    const setter = poolOn(cluster, {}, 'app', [0])
    await setter.query('create table counter (id int primary key, n int not null)')
    await setter.query('insert into counter values (1, 0)')
    await endPools()
  })
  beforeEach(async () => {
    for (const index of [1, 2]) await cluster.caughtUp(index, 0)
  })
  afterEach(async () => {
    await endPools()
    for (const index of [1, 2]) await cluster.resumeReplay(index).catch(() => {})
  })
  after(() => cluster.destroy())
  return () => cluster
}
