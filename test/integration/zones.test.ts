// Reads stay in the zone of the process while a replica there may serve them, and are shared by weight.

import assert from 'node:assert/strict'
import { type Pool, replication } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn, served, tracked } from '../support/pools.js'

const READ = 'select value from state'

describe('zones and weights', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
    const client = await cluster.connect(0)
    await client.query('create table state (value int not null)')
    await client.query('insert into state values (0)')
    await client.end()
    for (const index of [1, 2]) await cluster.caughtUp(index, 0)
  })
  afterEach(endPools)
  after(() => cluster.destroy())

  /** A bound that no replica misses by chance: only what the test does to one matters. */
  const calm = { maxLagMillis: 10_000 }
  const zoned = { ...calm, zone: 'here', zones: ['there', 'here', 'there'] }
  const on = (pool: Pool, index: number) => served(pool)[keyOf(cluster, index)] ?? 0
  const wouldRunOn = (pool: Pool) => pool.explain(READ).node
  const reads = async (pool: Pool, count: number) => {
    for (let i = 0; i < count; i++) await pool.query(READ)
  }

  it('all reads run on the replica of the own zone, and explain() says why', async () => {
    const pool = poolOn(cluster, zoned)
    await pool.ready({ replicas: 2 })
    await reads(pool, 100)
    assert.deepEqual([on(pool, 1), on(pool, 2)], [100, 0])
    assert.match(pool.explain(READ).refused[keyOf(cluster, 2)] ?? '', /in another zone/)
    const shown = pool.topology().nodes.map(({ key, zone, refused }) => [key, zone, refused])
    assert.deepEqual(shown, [
      [keyOf(cluster, 0), 'there', null],
      [keyOf(cluster, 1), 'here', null],
      [keyOf(cluster, 2), 'there', null],
    ])
  })

  it('they run in the other zone while that replica lags, see what was written, and come back', async () => {
    const pool = poolOn(cluster, zoned)
    await pool.ready({ replicas: 2 })
    await cluster.pauseReplay(1)
    try {
      await pool.query('update state set value = value + 1')
      const { rows } = await pool.query<{ value: number }>('select value from state')
      await cluster.caughtUp(2, 0)
      await eventually('the other zone is proven', () => wouldRunOn(pool) === keyOf(cluster, 2))
      const before = [0, 1, 2].map((index) => on(pool, index))
      for (let i = 0; i < 100; i++) {
        assert.deepEqual((await pool.query<{ value: number }>(READ)).rows, rows)
      }
      assert.deepEqual(
        [0, 1, 2].map((index) => on(pool, index) - (before[index] ?? 0)),
        [0, 0, 100]
      )
    } finally {
      await cluster.resumeReplay(1)
    }
    await eventually('the own zone serves again', async () => {
      await pool.query(READ)
      return wouldRunOn(pool) === keyOf(cluster, 1)
    })
  })

  it('they run in the other zone while that replica is down, without an error, and come back', async () => {
    const pool = poolOn(cluster, zoned)
    await pool.ready({ replicas: 2 })
    await reads(pool, 10)
    await cluster.stop(1, 'immediate')
    try {
      await reads(pool, 100)
      assert.deepEqual([on(pool, 1) <= 11, on(pool, 2) >= 99], [true, true])
    } finally {
      await cluster.start(1)
    }
    const before = on(pool, 1)
    await eventually(
      'the own zone serves again',
      async () => {
        await pool.query(READ)
        return on(pool, 1) > before
      },
      30_000
    )
  })

  it('by weight, in a connection string', async () => {
    const { user, password, database } = cluster.config(0)
    const hosts = cluster.nodes.map(({ host, port }) => `${host}:${port}`).join()
    const url = new URL('postgres://all/')
    Object.assign(url, { username: user, password: password ?? '', pathname: `/${database}` })
    const connectionString = `${url}?weights=1,3,1`.replace('all', hosts)
    const pool = tracked({ connectionString, ...calm })
    await pool.ready({ replicas: 2 })
    await reads(pool, 400)
    const share = on(pool, 1) / (on(pool, 1) + on(pool, 2))
    assert.equal(on(pool, 1) + on(pool, 2), 400)
    // The chance of less or more is one in 200,000.
    assert.ok(share > 0.65 && share < 0.85, `${share}`)
  })

  it('weight 0: the replica serves nothing while another server can', async () => {
    const pool = poolOn(cluster, { ...calm, weights: [1, 0, 1] })
    await pool.ready({ replicas: 2 })
    await reads(pool, 50)
    assert.deepEqual([on(pool, 1), on(pool, 2)], [0, 50])
    const pair = poolOn(cluster, { ...calm, weights: '1,0' }, 'app', [0, 1])
    await pair.ready({ replicas: 1 })
    await reads(pair, 10)
    assert.deepEqual([on(pair, 0), on(pair, 1)], [10, 0])
    const strict = poolOn(cluster, { ...calm, weights: '1,0', whenStale: 'error' }, 'app', [0, 1])
    await strict.ready({ replicas: 1 })
    await reads(strict, 10)
    assert.deepEqual([on(strict, 0), on(strict, 1)], [0, 10])
  })

  it('a discovered server has the weight and the zone that its address came with', async () => {
    const address = ({ name }: { readonly name: string }) => {
      const { host, port } = cluster.node(Number(name.slice(1)))
      return { host, port, zone: name === 'n1' ? 'here' : 'there', weight: 2 }
    }
    const discovery = replication({ address })
    const pool = poolOn(cluster, { ...calm, zone: 'here', discovery }, 'monitor', [0])
    await pool.ready({ replicas: 2 })
    const nodes = pool.topology().nodes.map(({ key, weight, zone }) => `${key} ${weight} ${zone}`)
    const expected = [`${keyOf(cluster, 0)} 1 null`, `${keyOf(cluster, 1)} 2 here`, `${keyOf(cluster, 2)} 2 there`]
    assert.deepEqual(nodes.sort(), expected.sort())
    await reads(pool, 50)
    assert.deepEqual([on(pool, 1), on(pool, 2)], [50, 0])
  })
})
