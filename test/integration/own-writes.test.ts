// What a pool wrote its next read sees, in whatever way it was written. The replicas stand still, so that only the primary can
// show it, or they follow closely, so that a wrong proof would be believed.

import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import type { Pool, PoolConfig } from '../../src/index.js'
import type { Cluster } from '../support/cluster.js'
import { ANYWHERE, bump, counterCluster, read } from '../support/counter.js'
import { poolOn } from '../support/pools.js'

describe('own writes', () => {
  const counter = counterCluster()
  let cluster: Cluster
  before(() => {
    cluster = counter()
  })

  /** Reading from both replicas, whose replay then stands still. */
  async function paused(options: PoolConfig = {}): Promise<Pool> {
    const pool = poolOn(cluster, { ...ANYWHERE, maxLagMillis: Infinity, ...options })
    await pool.ready({ replicas: 2 })
    for (const index of [1, 2]) await cluster.pauseReplay(index)
    await read(pool)
    return pool
  }

  it('of a statement that failed, what it had committed before', async () => {
    const pool = await paused()
    const { n } = await read(pool)
    const text = "do $$ begin update counter set n = n + 1; commit; raise exception 'enough'; end $$"
    await assert.rejects(pool.query(text), /enough/)
    assert.equal((await read(pool)).n, n + 1)
  })

  it('of a commit that begins the next transaction, also when that is rolled back', async () => {
    const pool = await paused()
    for (const text of ['commit and chain', '/* c */ end and chain', 'commit; begin']) {
      const client = await pool.connect()
      await client.query('begin')
      const n = await bump(client)
      await client.query(text)
      assert.equal((await read(pool)).n, n, text)
      await client.query('rollback')
      assert.equal((await read(pool)).n, n, `${text}, rolled back`)
      client.release()
    }
  })

  it('of a text that makes its own commit asynchronous, from the first such text on', async () => {
    for (let n = 1001; n <= 1010; n++) {
      const pool = poolOn(cluster, { ...ANYWHERE, maxLagMillis: Infinity })
      await pool.ready({ replicas: 2 })
      await read(pool)
      await pool.query(`begin; set local synchronous_commit to off; update counter set n = ${n}; commit`)
      assert.equal((await read(pool)).n, n)
      await pool.end()
    }
  })

  it('of what looks like a read, on a client, where a hint asks for the primary', async () => {
    const setter = poolOn(cluster, {}, 'app', [0])
    await setter.query(`create function bump() returns int language sql volatile as
      $$ update counter set n = n + 1 where id = 1 returning n $$;
      create function secretly() returns int language plpgsql stable as $$ begin return bump(); end $$`)
    const pool = await paused()
    const client = await pool.connect()
    const { rows } = await client.query<{ n: number }>('/* pgherd:primary */ select secretly() as n')
    client.release()
    assert.equal((await read(pool)).n, rows[0]?.n)
  })

  it('of a role that is made to commit asynchronously while the pool is at work', async () => {
    const admin = await cluster.connect(0, 'postgres')
    const pool = poolOn(cluster, { ...ANYWHERE, maxLagMillis: Infinity, idleTimeoutMillis: 1 })
    try {
      await admin.query("alter system set wal_writer_delay = '5s'")
      await cluster.reload(0)
      await pool.ready({ replicas: 2 })
      await read(pool)
      await admin.query('alter role app set synchronous_commit = off')
      // The primary is asked for what changes slowly every three seconds.
      for (let i = 0; i < 9; i++) {
        await read(pool)
        await setTimeout(500)
      }
      const client = await pool.connect()
      const n = await bump(client)
      client.release()
      assert.equal((await read(pool)).n, n)
    } finally {
      await admin.query('alter role app reset synchronous_commit')
      await admin.query('alter system reset wal_writer_delay')
      await cluster.reload(0)
    }
  })

  it('of long ago, while no replica gets there: reads do not pay for trying each time', async () => {
    const pool = await paused()
    const n = await bump(pool)
    const until = performance.now() + 1000
    let reads = 0
    for (; performance.now() < until; reads++) assert.equal((await read(pool)).n, n)
    const { guardsFailed } = pool.freshness()
    assert.ok(guardsFailed < reads / 4, `${guardsFailed} of ${reads}`)
  })

  it('on a new connection, on which a hook has sent something that nobody awaits', async () => {
    const pool = await paused()
    pool.on('connect', (client) => void client.query('set lock_timeout to 0'))
    const n = await bump(pool)
    assert.equal((await read(pool)).n, n)
  })
})
