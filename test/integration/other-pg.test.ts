import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import pg from 'pg'
import pgherd, { createPool } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { eventually, keyOf, served } from '../support/pools.js'

/** Another copy of pg, as a duplicated install or a fork has it: none of its classes is the first one's. */
function anotherPg(): typeof pg {
  const require = createRequire(import.meta.url)
  const ours = Object.keys(require.cache).filter((path) =>
    /node_modules\/(?:pg|pg-pool|pg-protocol|pg-types)\//.test(path)
  )
  const kept = ours.map((path) => [path, require.cache[path]] as const)
  for (const path of ours) delete require.cache[path]
  try {
    return require('pg') as typeof pg
  } finally {
    for (const [path, module] of kept) require.cache[path] = module
  }
}

describe('createPool binds to the copy of pg that it is given', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
  })
  after(() => cluster.destroy())

  it('its Pool, its clients, its errors', async () => {
    const other = anotherPg()
    assert.notEqual(other.Pool, pg.Pool)
    const OtherPool = createPool(other)
    const { user, database, host, port } = cluster.config(0)
    const pool = new OtherPool({ user, database, host: [host, host], port: [port, cluster.config(1).port] })
    try {
      const is = (value: unknown, type: unknown) => value instanceof (type as typeof Object)
      assert.deepEqual([is(pool, other.Pool), is(pool, pg.Pool)], [true, false])
      await pool.ready({ replicas: 1 })
      const client = await pool.connect()
      assert.ok(is(client, other.Client))
      client.release()
      await assert.rejects(pool.query('selec 1'), (error) => error instanceof other.DatabaseError)
      await eventually('a replica serves', async () => {
        await pool.query('select 1')
        return (served(pool)[keyOf(cluster, 1)] ?? 0) > 0
      })
    } finally {
      await pool.end()
    }
  })

  it('one that cannot pipeline: warned once, and what is proven is as proven as ever', async () => {
    class Client extends pg.Client {
      constructor(config?: pg.ClientConfig) {
        super(config)
        Reflect.set(this, 'pipeline', undefined)
      }
    }
    const warned: string[] = []
    const listen = (warning: Error) => void warned.push(String(Reflect.get(warning, 'code')))
    process.on('warning', listen)
    const { user, database, host, port } = cluster.config(0)
    const Pool = createPool({ ...pg, Client })
    const pool = new Pool({ user, database, host: [host, host], port: [port, cluster.config(1).port], Client })
    try {
      await pool.ready({ replicas: 1 })
      await pool.query('create table plain (n int)')
      for (let n = 1; n <= 50; n++) {
        await pool.query('insert into plain values ($1)', [n])
        assert.deepEqual((await pool.query('select max(n) as n from plain')).rows, [{ n }])
      }
      await eventually('a replica serves', async () => {
        await pool.query('select 1')
        return (served(pool)[keyOf(cluster, 1)] ?? 0) > 0
      })
      assert.equal(pool.freshness().positionsCaptured, 0)
      assert.deepEqual(warned, ['PGHERD_PIPELINE'])
    } finally {
      process.off('warning', listen)
      await pool.end()
    }
  })

  it('pg.native, where pg-native is installed', async function () {
    if (pgherd.native === null) return this.skip()
    const { user, database, host, port } = cluster.config(0)
    const pool = new pgherd.native.Pool({ user, database, host, port, discovery: 'dns', max: 1 })
    try {
      const client = await pool.connect()
      assert.ok(client instanceof pgherd.native.Client)
      await client.query('begin')
      client.release()
      assert.equal(pool.totalCount, 0)
      for (let i = 0; i < 2; i++) {
        const next = await pool.connect()
        assert.notEqual(next, client)
        await assert.rejects(next.query('selec 1'), { code: '42601' })
        next.release()
      }
      const [stop, startedAt] = [new AbortController(), performance.now()]
      const sleeping = pool.query({ text: 'select pg_sleep(10)', signal: stop.signal })
      setTimeout(() => stop.abort(), 100)
      await assert.rejects(sleeping, { name: 'AbortError' })
      assert.deepEqual((await pool.query('select 1 as n')).rows, [{ n: 1 }])
      assert.ok(performance.now() - startedAt < 5000)
    } finally {
      await pool.end()
    }
  })
})
