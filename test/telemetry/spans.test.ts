import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { trace } from '@opentelemetry/api'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, poolOn } from '../support/pools.js'
import { type Sdk, startSdk, treeOf } from './sdk.js'

const OURS = ['pgherd.role', 'pgherd.intent', 'pgherd.attempts']

describe('spans', () => {
  let cluster: Cluster
  let sdk: Sdk
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    const client = await cluster.connect(0)
    await client.query('create table items (id int primary key, name text)')
    await client.query("insert into items values (1, 'tea')")
    await client.query(`create function touch() returns int language sql as
      $$ insert into items values (2, 'touched') on conflict (id) do nothing returning 1 $$`)
    await cluster.caughtUp(1, 0)
  })
  after(() => cluster.destroy())
  afterEach(async () => {
    await endPools()
    await sdk.end()
  })

  const names = (port: unknown) => (Number(port) === cluster.node(0).port ? 'primary' : 'replica')
  const tree = (shown: readonly string[] = OURS) => treeOf(sdk.spans(), names, shown)

  /** Its connections to both are open, and what happened so far is forgotten. */
  async function warm(options: PoolConfig = {}): Promise<Pool> {
    const pool = poolOn(cluster, { max: 1, readYourWrites: 'off', ...options })
    await pool.ready({ replicas: 1 })
    await pool.query('select 1 as warm')
    await pool.query('select pg_notify($1, $2)', ['warm', ''])
    sdk.reset()
    return pool
  }

  describe('without instrumentation of pg', () => {
    beforeEach(() => {
      sdk = startSdk()
    })

    it('a read', async () => {
      const pool = await warm()
      await pool.query('select * from items where id = $1', [1])
      assert.deepEqual(tree(), ['SELECT items CLIENT replica replica read 1'])
      const [span] = sdk.spans()
      const { 'pgherd.lag_ms': lag, 'pgherd.wait_ms': wait, ...rest } = span?.attributes ?? {}
      assert.ok(Number(lag) < 1000 && Number(wait) < 1000)
      assert.deepEqual(rest, {
        'db.system.name': 'postgresql',
        'db.namespace': 'app',
        'db.operation.name': 'SELECT',
        'db.query.summary': 'SELECT items',
        'server.address': '127.0.0.1',
        'server.port': cluster.node(1).port,
        'pgherd.role': 'replica',
        'pgherd.intent': 'read',
        'pgherd.reason': 'only reads',
        'pgherd.choice': 'proven',
        'pgherd.attempts': 1,
      })
    })

    it('a write, in whatever form it is called', async () => {
      const pool = await warm()
      await pool.query("update items set name = 'milk' where id = 1")
      await pool.query({ text: 'update items set name = $1', values: ['tea'] })
      await new Promise((resolve) => pool.query('delete from items where id = 7', resolve))
      assert.deepEqual(tree(), [
        'UPDATE items CLIENT primary primary write 1',
        'UPDATE items CLIENT primary primary write 1',
        'DELETE items CLIENT primary primary write 1',
      ])
    })

    it('a statement that a replica refused, and the primary ran', async () => {
      const pool = await warm({ replicaSafeFunctions: ['touch'] })
      await pool.query('select touch()')
      assert.deepEqual(tree(), ['SELECT CLIENT primary primary read 2', '* pgherd.retry replica replica role 25006'])
    })

    it('a read that no replica was fit for', async () => {
      const pool = await warm()
      await cluster.pauseReplay(1)
      try {
        await pool.query("update items set name = 'milk' where id = 1")
        await eventually('the replica is too far behind', () => (pool.topology().nodes[1]?.lagMillis ?? 0) > 50)
        sdk.reset()
        await pool.query({ text: 'select * from items', maxLagMillis: 20 })
      } finally {
        await cluster.resumeReplay(1)
      }
      const [line, ...events] = tree(['pgherd.choice'])
      assert.equal(line, 'SELECT items CLIENT primary no-replica-qualifies')
      // One guess is fair, if the replica was quicker so far: it showed its position, and that was behind.
      const GUESSED =
        /^\* pgherd.refused replica (too-far-behind|unproven)(,\* pgherd.retry replica replica stale PGHERD_STALE)?$/
      assert.match(String(events), GUESSED)
    })

    it('a borrowed read, and what a client does itself', async () => {
      const pool = await warm()
      const client = await pool.connect()
      await client.query('select * from items')
      await client.query("update items set name = 'tea'")
      client.release()
      assert.deepEqual(tree(), ['SELECT items CLIENT replica replica read 1'])
    })

    it('a transaction that only reads', async () => {
      const pool = await warm()
      await pool.transaction((client) => client.query('select * from items'), { readOnly: true })
      assert.deepEqual(tree(), ['pgherd.transaction INTERNAL replica replica read 1'])
      sdk.reset()
      const client = await pool.connect()
      for (const text of ['begin read only', 'select * from items', 'commit']) await client.query(text)
      client.release()
      assert.deepEqual(tree(), ['pgherd.borrow INTERNAL replica replica read 1'])
    })

    it("what the pool does by itself belongs to nobody, though somebody's statement began it", async () => {
      const pool = poolOn(cluster)
      const requests = new AsyncLocalStorage<string>()
      const told: unknown[] = []
      pool.on('topology', () => told.push(trace.getActiveSpan(), requests.getStore()))
      await trace.getTracer('test').startActiveSpan('request', async (request) => {
        await requests.run('request', () => pool.ready({ replicas: 1 }))
        request.end()
      })
      assert.ok(told.length > 2)
      assert.deepEqual(
        told.filter((each) => each !== undefined),
        []
      )
    })

    it('an aborted statement ends with its caller, though it stands in line for a connection', async () => {
      const pool = await warm()
      const client = await pool.connect()
      const asked = new AbortController()
      const answer = pool.query({ text: 'delete from items where id = 9', signal: asked.signal })
      setTimeout(() => asked.abort(), 10)
      await assert.rejects(answer, { name: 'AbortError' })
      assert.deepEqual(tree(), ['DELETE items CLIENT primary primary write 1 ! AbortError'])
      client.release()
      await pool.query('delete from items where id = 9')
      assert.equal(tree().length, 2)
    })

    it('an error by its code, without a word of its message', async () => {
      const pool = await warm()
      await assert.rejects(pool.query('select * from items where id = $1', ['hunter2']), /hunter2/)
      await assert.rejects(pool.query("insert into items values (1, 'hunter2')"), { code: '23505' })
      await assert.rejects(pool.transaction(() => Promise.reject(new TypeError('hunter2'))))
      assert.deepEqual(tree(['db.response.status_code', 'pgherd.outcome']), [
        'SELECT items CLIENT replica 22P02 rolled-back ! 22P02',
        'INSERT items CLIENT primary 23505 rolled-back ! 23505',
        'pgherd.transaction INTERNAL primary rolled-back ! TypeError',
      ])
    })

    it('a text without its values, where it was asked for', async () => {
      const pool = await warm({ traceQueryText: true })
      await pool.query("select * from items where name = 'hunter2' and id = $1", [1])
      assert.equal(sdk.spans()[0]?.attributes['db.query.text'], 'select * from items where name = ? and id = ?')
    })

    it('tells no password, though a URL stands where the name of the database should', async () => {
      const pool = poolOn(cluster, { database: 'postgres://app:sesame@db/app' }, 'app', [0])
      await assert.rejects(pool.query('select 1'), { code: '3D000' })
      const told = sdk.spans().map(({ name, attributes }) => ({ name, attributes }))
      assert.equal(told.length, 1)
      assert.doesNotMatch(JSON.stringify([told, await sdk.points()]), /sesame/)
    })

    it('tells no literal, though the session reads backslashes in another way', async () => {
      const options = '-c standard_conforming_strings=off -c escape_string_warning=off'
      const pool = poolOn(cluster, { options, traceQueryText: true })
      await pool.query("select 'it\\' from sesame, sesame' as a")
      const told = sdk.spans().map(({ name, attributes }) => ({ name, attributes }))
      assert.equal(told.length, 1)
      assert.doesNotMatch(JSON.stringify([told, await sdk.points()]), /sesame/)
    })

    it('tells no password and no value', async () => {
      const pool = await warm({ password: 'sesame-open' })
      await pool.query('select $1::text', ['sesame-value'])
      await pool.query("select * from items where name = 'sesame-literal'")
      await assert.rejects(pool.query("insert into items values ('sesame-error', 'x')"))
      await assert.rejects(pool.query('select $1::int', ['sesame-wrong']))
      const client = await pool.connect()
      await client.query('select $1::text', ['sesame-borrowed'])
      client.release()
      const told = sdk.spans().map(({ name, attributes, events, status }) => ({ name, attributes, events, status }))
      assert.equal(told.length, 5)
      const points = await sdk.points()
      assert.ok(points.length > 10)
      assert.doesNotMatch(JSON.stringify([told, points]), /sesame/)
    })
  })

  describe('with instrumentation of pg', () => {
    beforeEach(() => {
      sdk = startSdk({ instrumented: true })
    })

    it('a read, on a new connection and on one that is open', async () => {
      const pool = poolOn(cluster, { max: 1, maxLagMillis: Infinity })
      await pool.ready({ replicas: 1 })
      sdk.reset()
      await pool.query('select * from items')
      await pool.query('select * from items')
      assert.deepEqual(tree(['pgherd.role']), [
        'SELECT items CLIENT replica replica',
        '  pg-pool.connect CLIENT replica',
        '    pg.connect CLIENT replica',
        '  pg.query:SELECT app CLIENT replica',
        'SELECT items CLIENT replica replica',
        '  pg-pool.connect CLIENT replica',
        '  pg.query:SELECT app CLIENT replica',
      ])
    })

    it('a write', async () => {
      const pool = await warm()
      await pool.query("update items set name = 'milk'")
      assert.deepEqual(tree(), [
        'UPDATE items CLIENT primary primary write 1',
        '  pg-pool.connect CLIENT primary',
        '  pg.query:UPDATE app CLIENT primary',
      ])
    })

    it('a statement that a replica refused, and the primary ran', async () => {
      const pool = await warm({ replicaSafeFunctions: ['touch'] })
      await pool.query('select touch()')
      assert.deepEqual(tree(), [
        'SELECT CLIENT primary primary read 2',
        '* pgherd.retry replica replica role 25006',
        '  pg-pool.connect CLIENT replica',
        '  pg.query:SELECT app CLIENT replica',
        "  * exception PostgreSQL error of type 'error' occurred (code: 25006)",
        '  pg-pool.connect CLIENT primary',
        '  pg.query:SELECT app CLIENT primary',
      ])
    })

    it('a borrowed read, and what a client does itself', async () => {
      const pool = await warm()
      const client = await pool.connect()
      await client.query('select * from items')
      await client.query("update items set name = 'tea'")
      client.release()
      assert.deepEqual(tree(), [
        'pg-pool.connect CLIENT primary',
        'SELECT items CLIENT replica replica read 1',
        '  pg-pool.connect CLIENT replica',
        '  pg.query:SELECT app CLIENT replica',
        'pg.query:UPDATE app CLIENT primary',
      ])
    })

    it('a transaction that only reads', async () => {
      const pool = await warm()
      await pool.transaction((client) => client.query('select * from items'), { readOnly: true })
      assert.deepEqual(tree(), [
        'pgherd.transaction INTERNAL replica replica read 1',
        '  pg-pool.connect CLIENT replica',
        '  pg.query:BEGIN app CLIENT replica',
        '  pg.query:SELECT app CLIENT replica',
        '  pg.query:COMMIT app CLIENT replica',
      ])
    })

    it('each statement stays in the context of its caller, however many wait for a connection', async () => {
      const pool = await warm({ max: 2 })
      const tracer = trace.getTracer('test')
      const ask = (i: number) =>
        tracer.startActiveSpan(`request ${i}`, async (span) => {
          const text = i % 3 === 0 ? `update items set name = 'x' where id = ${i}` : `select ${i} from items`
          if (i % 2 === 0) await pool.query(text)
          else {
            await new Promise<void>((resolve) =>
              pool.query(text, () => {
                assert.equal(trace.getActiveSpan(), span)
                resolve()
              })
            )
          }
          assert.equal(trace.getActiveSpan(), span)
          span.end()
        })
      await Promise.all(Array.from({ length: 200 }, (_, i) => ask(i)))
      // A connection that was made for one is a part of its tree; most find one open.
      const lines = tree([]).filter(
        (line) => !line.endsWith('pg.connect CLIENT primary') && !line.endsWith('pg.connect CLIENT replica')
      )
      const shapes = new Map<string, number>()
      for (const text of lines.join('\n').split(/^(?=request)/m)) {
        const kind = text.replace(/request \d+/, 'request').trimEnd()
        shapes.set(kind, (shapes.get(kind) ?? 0) + 1)
      }
      const shape = (verb: string, node: string) =>
        [
          'request INTERNAL',
          `  ${verb} items CLIENT ${node}`,
          `    pg-pool.connect CLIENT ${node}`,
          `    pg.query:${verb} app CLIENT ${node}`,
        ].join('\n')
      assert.equal(shapes.get(shape('UPDATE', 'primary')), 67, [...shapes.keys()].join('\n'))
      // Reads that share a connection ask for none.
      const alone = shape('SELECT', 'replica')
      const sharing = alone.replace(/.*pg-pool.*\n/, '')
      assert.equal((shapes.get(alone) ?? 0) + (shapes.get(sharing) ?? 0), 133, [...shapes.keys()].join('\n'))
    })
  })
})
