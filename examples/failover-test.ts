// A test of an application: what it has written is there after a failover. For mocha; Jest and Vitest say beforeAll() and afterAll(),
// node:test exports the four functions.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Pool } from 'pgherd'
import { type Cluster, startCluster } from 'pgherd/testing'

describe('orders', () => {
  let cluster: Cluster
  let pool: Pool

  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    pool = new Pool({ connectionString: cluster.connectionString() })
    await pool.query('create table orders (item text)')
  })
  after(async () => {
    await pool?.end()
    await cluster?.destroy()
  })

  /** A server that was killed, or was ahead, may have WAL that the new primary never had: then it starts over from a copy. */
  const follow = (node: number, upstream: number) =>
    cluster.follow(node, upstream).catch(() => cluster.reclone(node, upstream))

  it('are taken before and after a failover', async () => {
    await pool.query('insert into orders values ($1)', ['tea'])
    await cluster.caughtUp(1) // replication is asynchronous: what node 1 has not, it cannot keep
    await cluster.kill(0)
    // Of what is sent before the pool has noticed, the outcome is unknown.
    while (pool.topology().primary !== null) await once(pool, 'topology')
    // This order waits for a primary.
    await Promise.all([pool.query('insert into orders values ($1)', ['milk']), cluster.promote(1)])
    await follow(2, 1)
    const { rows } = await pool.query('select item from orders order by item')
    assert.deepEqual(rows, [{ item: 'milk' }, { item: 'tea' }])
  })

  it('are read from replicas that have them', async () => {
    await follow(0, 1) // the old primary returns
    for (const replica of [0, 2]) await cluster.pauseReplay(replica) // a wrong read would be seen
    await pool.query('insert into orders values ($1)', ['bread'])
    const { rows } = await pool.query('select item from orders')
    assert.equal(rows.length, 3)
  })
})
