import assert from 'node:assert/strict'
import pg, { type QueryResult } from 'pg'
import { PgherdError, Pool } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn, served } from '../support/pools.js'

describe('routing', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
  })
  after(() => cluster.destroy())
  afterEach(endPools)

  const port = (index: number) => String(cluster.node(index).port)
  /** Asks the serving node for its name, past the classifier. */
  const where = { text: "select current_setting('port') as port" }

  it('finds the primary wherever it stands in the list', async () => {
    const pool = poolOn(cluster, {}, 'app', [2, 1, 0])
    await pool.query('create table if not exists found (id int)')
    assert.equal(pool.topology().primary, keyOf(cluster, 0))
  })

  it('every read after an awaited write sees it, and most reads go to replicas once writes pause', async () => {
    const pool = poolOn(cluster)
    await pool.query('create table own (id int)')
    for (let i = 1; i <= 200; i++) {
      await pool.query('insert into own values ($1)', [i])
      const { rows } = await pool.query<{ n: number }>('select count(*)::int as n from own')
      assert.equal(rows[0]?.n, i)
    }
    await pool.ready({ replicas: 2 })
    await eventually('a read is proven on a replica', async () => {
      await pool.query('select id from own limit 1')
      return pool.explain('select id from own').node !== keyOf(cluster, 0)
    })
    const before = served(pool)[keyOf(cluster, 0)] ?? 0
    for (let i = 0; i < 1000; i++) await pool.query('select id from own limit 1')
    const onPrimary = (served(pool)[keyOf(cluster, 0)] ?? 0) - before
    assert.ok(onPrimary <= 50, `${onPrimary} of 1000 reads on the primary`)
    await eventually('both replicas have served', async () => {
      await pool.query('select id from own limit 1')
      return [1, 2].every((index) => (served(pool)[keyOf(cluster, index)] ?? 0) > 50)
    })
  })

  it('sees writes made on checked-out clients and in transactions', async () => {
    const pool = poolOn(cluster)
    await pool.query('create table held (id int)')
    await pool.ready({ replicas: 2 })
    for (let i = 1; i <= 50; i++) {
      const client = await pool.connect()
      await client.query('begin')
      await client.query('insert into held values ($1)', [i])
      await client.query('commit')
      client.release()
      const { rows } = await pool.query<{ n: number }>('select count(*)::int as n from held')
      assert.equal(rows[0]?.n, i)
    }
  })

  it('sees asynchronous commits, also where the session alone made them so', async () => {
    const pool = poolOn(cluster)
    await pool.query('create table lazy (id int)')
    await pool.ready({ replicas: 2 })
    const client = await pool.connect()
    await client.query('set synchronous_commit = off')
    for (let i = 1; i <= 50; i++) {
      await client.query('insert into lazy values ($1)', [i])
      const { rows } = await pool.query<{ n: number }>('select count(*)::int as n from lazy')
      assert.equal(rows[0]?.n, i)
    }
    client.release(true)
  })

  it('sees asynchronous commits that a transaction asked for with SET LOCAL, or by a parameter', async () => {
    const admin = await cluster.connect(0, 'postgres')
    await admin.query("alter system set wal_writer_delay = '2s'")
    await cluster.reload(0)
    const texts = ["select set_config($1, 'off', true)", 'set local synchronous_commit = off']
    for (const text of texts) {
      const pool = poolOn(cluster)
      await pool.query('drop table if exists lazier; create table lazier (id int)')
      await pool.ready({ replicas: 2 })
      const client = await pool.connect()
      for (let i = 1; i <= 50; i++) {
        await client.query('begin')
        await client.query(text, text.includes('$1') ? ['synchronous_commit'] : [])
        await client.query('insert into lazier values ($1)', [i])
        await client.query('commit')
        const { rows } = await pool.query<{ n: number }>('select count(*)::int as n from lazier')
        assert.equal(rows[0]?.n, i)
      }
      client.release()
    }
    await admin.query('alter system reset wal_writer_delay')
    await cluster.reload(0)
  })

  it('a notification received counts as a write of whoever sent it', async () => {
    const pool = poolOn(cluster)
    await pool.query('create table told (id int)')
    await pool.ready({ replicas: 2 })
    const listener = await pool.connect()
    await listener.query('listen news')
    const sender = await cluster.connect(0)
    for (let i = 1; i <= 30; i++) {
      const heard = new Promise((resolve) => listener.once('notification', resolve))
      await sender.query(`begin; insert into told values (${i}); notify news; commit`)
      await heard
      assert.equal((await pool.query<{ n: number }>('select count(*)::int as n from told')).rows[0]?.n, i)
    }
    listener.release()
  })

  it('what a CALL or DO committed before it failed is not called rolled back', async () => {
    const pool = poolOn(cluster)
    await pool.ready()
    const text = "do $$ begin create table half (id int); commit; raise exception 'no'; end $$"
    await assert.rejects(pool.query(text), { code: 'P0001', outcome: 'unknown' })
    await assert.rejects(pool.query('insert into half values (1, 2)'), { code: '42601', outcome: 'rolled-back' })
  })

  it("what a user's listener throws stops nothing", async () => {
    const pool = poolOn(cluster)
    const warned: string[] = []
    const listen = ({ message }: Error) => void warned.push(message)
    process.on('warning', listen)
    try {
      let told = 0
      pool.on('topology', () => {
        throw new Error('in a listener')
      })
      pool.on('topology', () => void told++)
      await pool.ready({ replicas: 2 })
      await eventually('the process was warned', () => warned.length > 0)
      assert.match(warned[0] ?? '', /^a listener of 'topology' threw Error: in a listener/)
      assert.equal(warned.length, 1)
      assert.ok(told > 1, 'the other listener was told')
    } finally {
      process.off('warning', listen)
    }
    await pool.query('create table if not exists thrown (id int)')
  })

  it('route per statement beats the classifier; a write sent to a replica shows 25006', async () => {
    const pool = poolOn(cluster)
    await pool.ready({ replicas: 2 })
    const on = async (route: 'primary' | 'replica' | 'auto') => (await pool.query({ ...where, route })).rows[0]?.port
    assert.equal(await on('primary'), port(0))
    assert.ok([port(1), port(2)].includes(String(await on('replica'))))
    await pool.query('create table if not exists routed (id int)')
    await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
    await assert.rejects(pool.query({ text: 'insert into routed values (1)', route: 'replica' }), { code: '25006' })
    await assert.rejects(
      pool.query({ text: 'select 1', route: 'somewhere' as 'auto' }),
      /route must be 'primary', 'replica' or 'auto'/
    )
    assert.ok(
      pool.topology().nodes.every(({ suspect }) => !suspect),
      'the user is not the node'
    )
  })

  it('maxLagMillis 0 reads the primary, for the pool and for one statement', async () => {
    const pool = poolOn(cluster)
    await pool.ready({ replicas: 2 })
    const before = served(pool)[keyOf(cluster, 0)] ?? 0
    for (let i = 0; i < 20; i++) await pool.query({ text: 'select 1', maxLagMillis: 0 })
    assert.equal((served(pool)[keyOf(cluster, 0)] ?? 0) - before, 20)
    const strict = poolOn(cluster, { maxLagMillis: 0 })
    for (let i = 0; i < 20; i++) await strict.query('select 1')
    assert.deepEqual(Object.keys(served(strict)), [keyOf(cluster, 0)])
  })

  it('connect() gives a client of the primary', async () => {
    const pool = poolOn(cluster)
    const client = await pool.connect()
    assert.equal((await client.query(where)).rows[0]?.port, port(0))
    client.release()
  })

  it('target_session_attrs: primary sends reads there, standby sends everything to replicas', async () => {
    const primary = poolOn(cluster, { targetSessionAttrs: 'primary' })
    for (let i = 0; i < 10; i++) assert.equal((await primary.query(where)).rows[0]?.port, port(0))
    const standby = poolOn(cluster, { targetSessionAttrs: 'standby' })
    for (let i = 0; i < 10; i++) assert.notEqual((await standby.query(where)).rows[0]?.port, port(0))
    await assert.rejects(standby.query('create table never (id int)'), { code: '25006' })
    const client = await standby.connect()
    assert.notEqual((await client.query(where)).rows[0]?.port, port(0))
    client.release()
  })

  it('view({ route, maxLagMillis }) is the same pool with wishes of its own', async () => {
    const pool = poolOn(cluster)
    await pool.ready({ replicas: 2 })
    const replicas = pool.view({ route: 'replica' })
    const primary = pool.view({ route: 'primary' })
    const on = async (from: typeof pool, more = {}) => String((await from.query({ ...where, ...more })).rows[0]?.port)
    assert.ok([port(1), port(2)].includes(await on(replicas)))
    assert.equal(await on(primary), port(0))
    assert.equal(await on(pool.view({ route: 'replica' }).view({ route: 'primary' })), port(0))
    // The nearest word counts: the statement's, then its hint, then the view's.
    assert.equal(await on(replicas, { route: 'primary' }), port(0))
    assert.equal(await on(replicas, { route: 'auto' }), port(0), 'current_setting answers for its server')
    assert.equal(await on(replicas, { text: `/* pgherd:primary */ ${where.text}` }), port(0))
    assert.ok([port(1), port(2)].includes(await on(primary, { text: `/* pgherd:replica */ ${where.text}` })))
    assert.equal(pool.view({ maxLagMillis: 0 }).explain('select 1').node, keyOf(cluster, 0))
    assert.equal(replicas.explain("select current_setting('port')").reason, 'a replica was asked for')

    const client = await replicas.connect()
    assert.ok([port(1), port(2)].includes((await client.query(where)).rows[0]?.port ?? ''))
    client.release()
    await new Promise<void>((resolve, reject) => {
      replicas.query(where.text, (error: Error, result: QueryResult<{ port: string }>) => {
        if (error) reject(error)
        else resolve(assert.ok([port(1), port(2)].includes(result.rows[0]?.port ?? '')))
      })
    })
    // pg.Pool answers a submittable with a promise, whatever its types say.
    const { rows } = (await (replicas.query(new pg.Query(where.text)) as unknown)) as QueryResult<{ port: string }>
    assert.ok([port(1), port(2)].includes(rows[0]?.port ?? ''), 'a submittable too')
  })

  it('a view passes for the pool, and ending it ends nothing else', async () => {
    const pool = poolOn(cluster)
    const view = pool.view({ route: 'replica' })
    assert.ok(view instanceof pg.Pool && view instanceof Pool)
    assert.equal(view.constructor.name, 'Pool')
    assert.equal(
      view.on('error', () => {}),
      view
    )
    assert.equal(pool.listenerCount('error'), 1)
    await view.ready({ replicas: 2 })
    await view.query('select 1')
    assert.equal(view.totalCount, pool.totalCount)
    await view.end()
    await assert.rejects(view.query('select 1'), /Cannot use a pool after calling end on the pool/)
    await assert.rejects(view.connect(), /Cannot use a pool after calling end on the pool/)
    await pool.query('select 1')
    assert.throws(() => pool.view({ route: 'somewhere' as 'auto' }), /route must be 'primary', 'replica' or 'auto'/)
    assert.throws(() => pool.view({ maxLagMillis: -1 }), /maxLagMillis must be/)
  })

  it("routing: 'observe' reports by the shape of statements, without their values", async () => {
    const pool = poolOn(cluster, { routing: 'observe' })
    await pool.ready({ replicas: 2 })
    for (let i = 0; i < 5; i++)
      await pool.query(`select relname from pg_class where oid = ${i} or relname = 'secret ${i}'`)
    await pool.query("select nextval('hidden')").catch(() => {})
    const told = new Map<string, number>()
    for (const { statement, role, reason, count } of pool.decisions()) {
      const line = `${statement}: ${role}, ${reason}`
      told.set(line, (told.get(line) ?? 0) + count)
    }
    assert.deepEqual(Object.fromEntries(told), {
      'select relname from pg_class where oid = ? or relname = ?: replica, only reads': 5,
      'select nextval(?): primary, advances or reads a sequence, or remembers its value in the session': 1,
    })
  })

  it("routing: 'observe' sends everything to the primary and counts what would have gone where", async () => {
    const pool = poolOn(cluster, { routing: 'observe' })
    await pool.ready({ replicas: 2 })
    const { rows } = await pool.query<{ n: number }>('select count(*)::int as n from pg_class')
    assert.ok((rows[0]?.n ?? 0) > 0)
    const client = await cluster.connect(1, 'postgres')
    const text = "select 1 from pg_stat_activity where usename = 'app' and application_name <> 'pgherd probe'"
    assert.equal((await client.query(text)).rowCount, 0)
    assert.ok(pool.decisions().some(({ role, count }) => role === 'replica' && count > 0))
  })

  it('explain() names the node, the deciding word, and why each other node is refused', async () => {
    const pool = poolOn(cluster)
    await pool.ready({ replicas: 2 })
    const write = pool.explain("insert into t values ('secret')")
    assert.deepEqual([write.intent, write.node], ['write', keyOf(cluster, 0)])
    assert.match(write.word, /insert/i)
    const read = pool.explain('select 1')
    assert.equal(read.intent, 'read')
    assert.ok([keyOf(cluster, 1), keyOf(cluster, 2)].includes(read.node ?? ''))
    assert.equal(read.refused[keyOf(cluster, 0)], 'it is the primary')
  })

  it('ready() resolves when the nodes are there, and says what is missing when they are not', async () => {
    const pool = poolOn(cluster)
    await pool.ready({ primary: true, replicas: 2, timeoutMillis: 5000 })
    await assert.rejects(pool.ready({ replicas: 3, timeoutMillis: 50 }), (error: PgherdError) => {
      assert.ok(error instanceof PgherdError)
      assert.equal(error.code, 'PGHERD_NO_REPLICA')
      assert.match(error.message, new RegExp(`${keyOf(cluster, 1)}: replica`))
      return true
    })
  })
})
