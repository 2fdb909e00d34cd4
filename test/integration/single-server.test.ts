// With one server pgherd's Pool is pg.Pool: each check here runs against pg's own class first.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { type AddressInfo, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { createPool, Pool } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'

const classes: readonly (readonly [string, new (config: object) => pg.Pool])[] = [
  ['pg.Pool', pg.Pool as new (config: object) => pg.Pool],
  ['pgherd.Pool', Pool as new (config: object) => pg.Pool],
]

for (const [name, PoolClass] of classes) {
  describe(`one server, ${name}`, () => {
    let cluster: Cluster
    before(async () => {
      cluster = await startCluster({ replicas: 0, auth: 'scram-sha-256' })
    })
    after(() => cluster.destroy())

    const pools: pg.Pool[] = []
    const make = (options: object = {}) => {
      const pool = new PoolClass({ ...cluster.config(0), ...options })
      pools.push(pool)
      return pool
    }
    afterEach(async () => {
      await Promise.all(pools.splice(0).map((pool) => pool.end().catch(() => {})))
    })

    it('is a pg.Pool by instanceof and by name, and its constructor does no I/O', () => {
      const pool = new PoolClass({ host: '203.0.113.1', password: 'secret-word' })
      assert.ok(pool instanceof pg.Pool)
      assert.match(pool.constructor.name, /^(Pool|BoundPool)$/)
      assert.deepEqual(
        [pool.totalCount, pool.idleCount, pool.waitingCount, pool.ending, pool.ended],
        [0, 0, 0, false, false]
      )
      assert.ok(!JSON.stringify(pool.options).includes('secret-word'))
    })

    it('query: promise, callback, values, config, several statements', async () => {
      const pool = make()
      assert.deepEqual((await pool.query('select $1::int as n', [1])).rows, [{ n: 1 }])
      assert.deepEqual((await pool.query({ text: 'select 2 as n', rowMode: 'array' })).rows, [[2]])
      const many = (await pool.query('select 1; select 2')) as unknown as pg.QueryResult[]
      assert.equal(many.length, 2)
      const called = await new Promise((resolve) => {
        const returned = pool.query('select 3 as n', (error: Error, result: pg.QueryResult) =>
          resolve([error, result.rows])
        )
        assert.equal(returned, undefined)
      })
      assert.deepEqual(called, [undefined, [{ n: 3 }]])
      const withValues = await new Promise((resolve) => {
        pool.query('select $1::int as n', [4], (_, result: pg.QueryResult) => resolve(result.rows))
      })
      assert.deepEqual(withValues, [{ n: 4 }])
    })

    it('errors: of SQL, of arguments, and after them the pool works on', async () => {
      const pool = make()
      await assert.rejects(pool.query('select nonsense'), { code: '42703' })
      assert.equal(pool.totalCount, 0)
      await assert.rejects(pool.query(null as unknown as string), /null or undefined query/)
      assert.deepEqual((await pool.query('select 1 as n')).rows, [{ n: 1 }])
      const message = await new Promise((resolve) => {
        const first = ((error: Error) => resolve(error.message)) as unknown as string
        pool.query(first)
      })
      assert.equal(message, 'Passing a function as the first parameter to pool.query is not supported')
    })

    it('connect: promise and callback, LIFO, the same client again, double release throws', async () => {
      const pool = make()
      const client = await pool.connect()
      client.release()
      const [again, same] = await new Promise<[pg.PoolClient | undefined, boolean]>((resolve, reject) => {
        pool.connect((error, ready, release) => {
          if (error) return reject(error)
          release()
          return resolve([ready, ready === client])
        })
      })
      assert.ok(same)
      assert.throws(() => again?.release(), /already been released/)
    })

    it('events in pg order, getters while at it', async () => {
      const pool = make()
      const events: string[] = []
      for (const event of ['connect', 'acquire', 'release', 'remove'] as const) {
        pool.on(event as 'connect', () => events.push(event))
      }
      const client = await pool.connect()
      assert.deepEqual([pool.totalCount, pool.idleCount], [1, 0])
      client.release()
      assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1])
      await pool.query('select 1')
      const removed = new Promise((resolve) => pool.once('remove', resolve))
      await pool.end()
      await removed
      assert.deepEqual(events, ['connect', 'acquire', 'release', 'acquire', 'release', 'remove'])
      assert.deepEqual([pool.ending, pool.ended, pool.totalCount], [true, true, 0])
    })

    it('after end: connect and query reject, a second end rejects', async () => {
      const pool = make()
      await pool.query('select 1')
      await pool.end()
      await assert.rejects(pool.query('select 1'), /Cannot use a pool after calling end on the pool/)
      await assert.rejects(pool.connect(), /Cannot use a pool after calling end on the pool/)
      await assert.rejects(pool.end(), /Called end on pool more than once/)
    })

    it('a wrong password is 28P01, a missing database 3D000, both at once', async () => {
      await assert.rejects(make({ password: 'wrong' }).query('select 1'), { code: '28P01' })
      await assert.rejects(make({ database: 'nowhere' }).query('select 1'), { code: '3D000' })
    })

    it('a server that refuses is ECONNREFUSED at once, by address and by name', async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as AddressInfo
      await new Promise((resolve) => server.close(resolve))
      await assert.rejects(make({ port }).query('select 1'), { code: 'ECONNREFUSED' })
      await assert.rejects(make({ host: 'localhost', port }).query('select 1'), { code: 'ECONNREFUSED' })
      await assert.rejects(make({ port }).connect(), { code: 'ECONNREFUSED' })
    })

    it('a name that does not resolve is ENOTFOUND at once', async () => {
      await assert.rejects(
        make({ host: 'no-such-host.invalid' }).query('select 1'),
        (error: Error & { code?: string }) => {
          assert.match(error.code ?? '', /ENOTFOUND|EAI_AGAIN/)
          return true
        }
      )
    })

    it('a server that never answers ends with connectionTimeoutMillis and its text', async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as AddressInfo
      try {
        const pool = make({ port, connectionTimeoutMillis: 200 })
        await assert.rejects(pool.query('select 1'), /timeout/)
      } finally {
        server.close()
      }
    })

    it('a pool that is busy makes the next one wait, up to connectionTimeoutMillis', async () => {
      const pool = make({ max: 1, connectionTimeoutMillis: 100 })
      const client = await pool.connect()
      const waiting = assert.rejects(pool.query('select 1'), /^Error: timeout exceeded when trying to connect$/)
      await waiting
      client.release()
      await pool.query('select 1')
    })

    it('a server that stalls is waited for: what runs and what is held goes on when it does', async () => {
      const pool = make({ silentMillis: 200 })
      const client = await pool.connect()
      await client.query('create table if not exists stalled (id int)')
      await client.query('begin')
      await client.query('insert into stalled values (1)')
      await cluster.freeze(0)
      const going = [pool.query('insert into stalled values (2)'), client.query('commit')]
      await new Promise((resolve) => setTimeout(resolve, 900))
      await cluster.thaw(0)
      await Promise.all(going)
      client.release()
      assert.equal((await pool.query('select * from stalled')).rowCount, 2)
      await pool.query('drop table stalled')
    })

    it('a callback that is null is none', async () => {
      const pool = make()
      const none = null as unknown as () => void
      assert.deepEqual(
        (await (pool.query as (...all: unknown[]) => Promise<pg.QueryResult>)('select 1 as n', [], none)).rows,
        [{ n: 1 }]
      )
      const client = await (pool.connect as (callback: unknown) => Promise<pg.PoolClient>)(none)
      client.release()
    })

    it('hooks run for every client: onConnect and verify', async () => {
      const seen: string[] = []
      const pool = make({
        onConnect: async (client: pg.Client) => {
          await client.query("set application_name = 'hooked'")
          seen.push('onConnect')
        },
        verify: (_: pg.Client, done: () => void) => {
          seen.push('verify')
          done()
        },
      })
      const { rows } = await pool.query("select current_setting('application_name') as name")
      assert.deepEqual([rows, seen], [[{ name: 'hooked' }], ['onConnect', 'verify']])
    })
  })
}

describe('the process', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
  })
  after(() => cluster.destroy())

  const script = fileURLToPath(new URL('../support/exit-by-itself.js', import.meta.url))
  const run = (mode: string) => {
    const hosts = cluster.nodes.map(({ host, port }) => `${host}:${port}`).join(',')
    const env = { ...process.env, DATABASE_URL: `postgres://app:app@${hosts}/app` }
    return promisify(execFile)(process.execPath, ['--trace-warnings', script, mode], { env, timeout: 20_000 })
  }

  for (const mode of ['end', 'end-while-waiting', 'never-used', 'idle-exit']) {
    it(`exits by itself: ${mode}`, async () => {
      const { stdout, stderr } = await run(mode)
      assert.match(stdout, /done/)
      assert.equal(stderr, '')
    })
  }

  it('createPool binds to the copy of pg it is given', () => {
    class Copy extends pg.Pool {}
    const Bound = createPool({ ...pg, Pool: Copy, Client: pg.Client, defaults: pg.defaults })
    assert.ok(new Bound({ host: '203.0.113.1' }) instanceof Copy)
    assert.equal(Bound.name, 'Pool')
  })
})
