import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import pg, { type PoolClient, type QueryConfig } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn, served } from '../support/pools.js'

describe('transactions, signals and dispose', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    const admin = await cluster.connect(0, 'postgres')
    await admin.query('create table t (id int primary key); grant all on t to public')
    await cluster.caughtUp(1, 0)
  })
  after(() => cluster.destroy())
  afterEach(endPools)

  async function ready(options: PoolConfig = {}): Promise<Pool> {
    const pool = poolOn(cluster, { maxLagMillis: Infinity, ...options })
    await pool.ready({ replicas: 1 })
    return pool
  }
  const inRecovery = async (client: PoolClient) =>
    (await client.query<{ r: boolean }>('select pg_is_in_recovery() as r')).rows[0]?.r
  const count = async (pool: Pool) => (await pool.query<{ n: number }>('select count(*)::int as n from t')).rows[0]?.n
  const idle = (pool: Pool) => assert.equal(pool.idleCount, pool.totalCount, 'every client has come back')

  it('transaction() commits what its function did, and gives its result', async () => {
    const pool = await ready()
    const result = await pool.transaction(async (client) => {
      assert.equal(await inRecovery(client), false)
      await client.query('insert into t values (1)')
      return 'done'
    })
    assert.deepEqual([result, await count(pool)], ['done', 1])
    idle(pool)
  })

  it('rolls back what it threw, and throws it', async () => {
    const pool = await ready()
    const before = await count(pool)
    const mine = new Error('mine')
    const failing = pool.transaction(async (client) => {
      await client.query('insert into t values (2)')
      throw mine
    })
    await assert.rejects(failing, (error) => error === mine)
    await assert.rejects(
      pool.transaction((client) => client.query('insert into t values (1)')),
      { code: '23505' }
    )
    assert.equal(await count(pool), before)
    idle(pool)
  })

  it('gives its client back, whatever was thrown', async () => {
    const pool = await ready({ max: 1 })
    const refuse = (): never => {
      throw new Error('trap')
    }
    const getter = Object.defineProperty({}, 'outcome', { get: refuse })
    const proxy = new Proxy({}, { get: refuse, has: refuse, getPrototypeOf: refuse, isExtensible: refuse })
    for (const thrown of [undefined, null, 'text', Object.freeze(new Error('frozen')), getter, proxy]) {
      await pool
        .transaction(() => Promise.reject(thrown))
        .then(
          () => assert.fail('it did not fail'),
          (error) => assert.ok(Object.is(error, thrown))
        )
      idle(pool)
    }
  })

  for (const [where, busy] of [
    ['at once', false],
    ['in its turn', true],
  ] as const) {
    it(`a signal aborted with a reason that is nothing is no success, ${where}`, async () => {
      const pool = await ready()
      const client = await pool.connect()
      try {
        for (const reason of [null, 0, '']) {
          const controller = new AbortController()
          if (!busy) controller.abort(reason)
          const running = client.query({ text: 'select pg_sleep(20)', signal: controller.signal } as QueryConfig)
          if (busy) setTimeout(() => controller.abort(reason), 20)
          const settled = await running.then(
            () => 'resolved',
            () => 'rejected'
          )
          assert.equal(settled, 'rejected')
        }
      } finally {
        client.release(true)
      }
    })
  }

  it('does not call committed what the server would roll back', async () => {
    const pool = await ready()
    const swallowing = pool.transaction(async (client) => {
      await client.query('insert into t values (3)')
      await client.query('select 1/0').catch(() => {})
    })
    await assert.rejects(swallowing, { code: 'PGHERD_ROLLED_BACK', outcome: 'rolled-back' })
    idle(pool)
  })

  it('readOnly runs on a replica, in any isolation that it has', async () => {
    const pool = await ready({ readYourWrites: 'off' })
    const on = (options: object) => pool.transaction(inRecovery, options)
    assert.equal(await on({ readOnly: true }), true)
    assert.equal(await on({ readOnly: true, isolation: 'repeatable read' }), true)
    assert.equal(await on({ readOnly: true, isolation: 'serializable' }), false)
    assert.equal(await on({ isolation: 'serializable' }), false)
    assert.equal(await on({ readOnly: true, maxLagMillis: 0 }), false)
    assert.equal(await pool.view({ route: 'primary' }).transaction(inRecovery, { readOnly: true }), false)
    const level = pool.transaction(
      async (client) => (await client.query('show transaction_isolation')).rows[0]?.transaction_isolation,
      { isolation: 'repeatable read' }
    )
    assert.equal(await level, 'repeatable read')
    await assert.rejects(
      pool.transaction((client) => client.query('insert into t values (9)'), { readOnly: true }),
      { code: '25006' }
    )
    await assert.rejects(
      pool.transaction(inRecovery, { isolation: 'snapshot' as 'serializable' }),
      /isolation must be one of/
    )
    idle(pool)
  })

  it('a broken connection rejects, and nothing of the client is left', async () => {
    const pool = await ready()
    const admin = await cluster.connect(0, 'postgres')
    const broken = pool.transaction(async (client) => {
      const { rows } = await client.query('select pg_backend_pid() as pid')
      await admin.query('select pg_terminate_backend($1)', [rows[0]?.pid])
      await client.query('insert into t values (4)')
    })
    await assert.rejects(broken)
    await eventually('the client is gone', () => pool.idleCount === pool.totalCount)
  })

  it('a READ ONLY transaction of a held client borrows a replica, and ends as one', async () => {
    const pool = await ready({ readYourWrites: 'off', max: 1 })
    const client = await pool.connect()
    const before = served(pool)[keyOf(cluster, 1)] ?? 0
    for (const begin of ['begin read only', 'START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;']) {
      await client.query(begin)
      assert.equal(client.getTransactionStatus(), 'T')
      await client.query('select id from t')
      await client.query('commit')
      assert.equal(client.getTransactionStatus(), 'I')
    }
    assert.equal((served(pool)[keyOf(cluster, 1)] ?? 0) - before, 2)
    client.release()
    idle(pool)
  })

  it('what a view asks for holds for its clients too', async () => {
    const pool = await ready({ replicaSafeFunctions: ['pg_is_in_recovery'], readYourWrites: 'off' })
    const on = async (view: Pool) => {
      const client = await view.connect()
      const plain = await inRecovery(client)
      await client.query('begin read only')
      const inside = await inRecovery(client)
      await client.query('commit')
      client.release()
      return [plain, inside]
    }
    assert.deepEqual(await on(pool), [true, true])
    assert.deepEqual(await on(pool.view({ route: 'primary' })), [false, false])
    assert.deepEqual(await on(pool.view({ maxLagMillis: 0 })), [false, false])
    assert.deepEqual(await on(pool), [true, true])
  })

  it("routing: 'observe' lends nothing, and tells what it would have lent", async () => {
    const pool = await ready({ routing: 'observe', readYourWrites: 'off' })
    const client = await pool.connect()
    await client.query('select id from t where id = 7')
    await client.query('begin read only')
    assert.equal(await inRecovery(client), false)
    await client.query('commit')
    client.release()
    const told = pool.decisions().map(({ statement, role, count }) => [statement, role, count])
    assert.deepEqual(told.sort(), [
      ['begin read only', 'replica', 1],
      ['select id from t where id = ?', 'replica', 1],
    ])
  })

  it('a client that is closed takes its borrowed read with it', async () => {
    const pool = await ready({ readYourWrites: 'off' })
    const client = await pool.connect()
    const reading = client.query('select pg_sleep(100)')
    await eventually('it runs', () => (served(pool)[keyOf(cluster, 1)] ?? 0) > 0)
    client.release(true)
    await assert.rejects(reading, /^Error: Connection terminated$/)
    await pool.end()
  })

  it('a client that is out when the pool ends goes on alone', async () => {
    const pool = await ready()
    const client = await pool.connect()
    const ended = pool.end()
    assert.equal((await client.query('select 7 as n')).rows[0]?.n, 7)
    await client.query('begin read only')
    assert.equal(await inRecovery(client), false)
    await client.query('commit')
    client.release()
    await ended
  })

  it('what a holder left in line is over before the connection is used again', async () => {
    const pool = await ready({ max: 1, readYourWrites: 'off' })
    for (let i = 0; i < 20; i++) {
      const client = await pool.connect()
      for (const text of ['select id from t', 'begin', 'insert into t values (60)', 'rollback']) void client.query(text)
      client.release()
      const inserts = Array.from({ length: 10 }, (_, j) => pool.query('insert into t values ($1)', [1000 + 10 * i + j]))
      await Promise.all(inserts)
    }
    const { rows } = await pool.query<{ n: number }>({
      text: 'select count(*)::int as n from t where id >= 1000',
      route: 'primary',
    })
    assert.equal(rows[0]?.n, 200)
  })

  it('a client given back inside a transaction that a replica runs keeps its connection to the primary', async () => {
    const pool = await ready({ max: 1, readYourWrites: 'off' })
    const client = await pool.connect()
    await client.query('begin read only')
    await client.query('select 1')
    client.release()
    assert.deepEqual(
      pool.decisions().map(({ node }) => node),
      [keyOf(cluster, 1)]
    )
    const next = await pool.connect()
    assert.deepEqual([next === client, next.getTransactionStatus()], [true, 'I'])
    next.release()
  })

  it('a client given back inside a transaction, even behind an error, is nobody else’s', async () => {
    const pool = await ready({ max: 1 })
    const client = await pool.connect()
    await client.query('begin')
    await client.query('select 1/0').catch(() => client.release())
    const next = await pool.connect()
    assert.equal(next.getTransactionStatus(), 'I')
    next.release()
  })

  it('session state keeps a client on the primary, also what query() left there, and none of a replica’s is kept', async () => {
    const pool = await ready({ max: 1, readYourWrites: 'off' })
    const admin = await cluster.connect(0, 'postgres')
    await admin.query('create schema aside; create table aside.t (id int); insert into aside.t values (-7)')
    await admin.query('grant usage on schema aside to public; grant select on aside.t to public')
    await cluster.caughtUp(1, 0)
    const first = async (client: PoolClient) => (await client.query('select min(id) as id from t')).rows[0]?.id
    await pool.transaction((client) => client.query('set search_path = aside'), { readOnly: true })
    let client = await pool.connect()
    assert.notEqual(await first(client), -7)
    client.release()
    await pool.query('set search_path = aside')
    client = await pool.connect()
    assert.equal(await first(client), -7)
    await client.query('begin')
    await assert.rejects(client.query('discard all'), { code: '25001' })
    await client.query('rollback')
    assert.equal(await first(client), -7, 'a DISCARD ALL that failed discards nothing')
    client.release(true)
  })

  it('what needs the primary is refused where its transaction cannot move there any more', async () => {
    const pool = await ready({ readYourWrites: 'off' })
    const client = await pool.connect()
    await client.query('begin isolation level repeatable read, read only')
    await client.query('select id from t')
    await assert.rejects(client.query('select pg_try_advisory_xact_lock(1)'), { code: 'PGHERD_ON_REPLICA' })
    await assert.rejects(client.query('insert into t values (70)'), { code: '25006' })
    await client.query('rollback')
    client.release()
  })

  it('routeClients: false leaves clients alone', async () => {
    const pool = await ready({ routeClients: false })
    const client = await pool.connect()
    await client.query('select id from t')
    await client.query('begin read only')
    assert.equal(await inRecovery(client), false)
    await client.query('rollback')
    client.release()
    assert.equal(served(pool)[keyOf(cluster, 1)], undefined)
  })

  describe('a signal', () => {
    const running = async (index: number, text: string) => {
      const client = await cluster.connect(index, 'postgres')
      const { rowCount } = await client.query('select 1 from pg_stat_activity where query = $1 and state = $2', [
        text,
        'active',
      ])
      await client.end()
      return rowCount === 1
    }
    for (const [where, index, text] of [
      ['on a replica', 1, 'select pg_sleep(100)'],
      ['on the primary', 0, 'select pg_sleep(100) for update'],
    ] as const) {
      it(`ends a statement ${where}: for its caller at once, and on its server`, async () => {
        const pool = await ready({ readYourWrites: 'off' })
        const stop = new AbortController()
        const waiting = pool.query({ text, signal: stop.signal })
        await eventually('it runs', () => running(index, text))
        const why = new Error('enough')
        stop.abort(why)
        await assert.rejects(waiting, (error) => error === why)
        await eventually('it does not run any more', async () => !(await running(index, text)))
        await eventually('its client is no more in use', () => pool.idleCount === pool.totalCount)
        assert.equal(
          (await pool.query({ text: 'select 7 as n', route: index === 0 ? 'primary' : 'auto' })).rows[0]?.n,
          7
        )
      })
    }

    it('that comes late hits no other statement', async () => {
      const pool = await ready({ max: 1, readYourWrites: 'off' })
      const backend = async () =>
        (await pool.query({ text: 'select pg_backend_pid() as pid', route: 'primary' })).rows[0]?.pid
      const before = await backend()
      const stopped = new AbortController()
      const sleeping = pool.query({ text: 'select pg_sleep(100)', route: 'primary', signal: stopped.signal })
      await eventually('it runs', () => running(0, 'select pg_sleep(100)'))
      stopped.abort()
      await assert.rejects(sleeping, { name: 'AbortError' })
      assert.notEqual(await backend(), before, 'its connection is not used again')
      for (let i = 0; i < 50; i++) {
        const stop = new AbortController()
        const aborted = pool.query({ text: 'select pg_sleep(0.001)', signal: stop.signal }).catch(() => {})
        const innocent = pool.query('select id from t')
        setImmediate(() => stop.abort())
        await Promise.all([aborted, innocent])
      }
    })

    it('is told again to a server that had nothing to cancel yet', async () => {
      const pool = await ready({ readYourWrites: 'off' })
      const connection = pg.Connection.prototype as unknown as { cancel(...key: unknown[]): void }
      const { cancel } = connection
      let asked = 0
      connection.cancel = function (...key) {
        if (asked++ > 0) cancel.apply(this, key)
      }
      try {
        const client = await pool.connect()
        for (const on of [pool, client]) {
          const stop = new AbortController()
          const text = `/* ${asked} */ select pg_sleep(100) for update`
          const waiting = on.query({ text, signal: stop.signal } as QueryConfig)
          await eventually('it runs', () => running(0, text))
          stop.abort()
          await assert.rejects(waiting, { name: 'AbortError' })
          await eventually('it does not run any more', async () => !(await running(0, text)))
          asked = 0
        }
        assert.equal((await client.query('select 7 as n for update')).rows[0]?.n, 7)
        client.release()
      } finally {
        connection.cancel = cancel
      }
    })

    it('of a held client ends its statement, and the client goes on', async () => {
      const pool = await ready()
      const client = await pool.connect()
      const stop = new AbortController()
      const query = { text: '/* pgherd:primary */ select pg_sleep(100)', signal: stop.signal }
      const waiting = client.query(query)
      await eventually('it runs', () => running(0, query.text))
      stop.abort()
      await assert.rejects(waiting, { name: 'AbortError' })
      assert.equal((await client.query('select 7 as n')).rows[0]?.n, 7)
      client.release()
    })

    it('that was aborted before sends nothing', async () => {
      const pool = await ready()
      await assert.rejects(pool.query({ text: 'insert into t values (50)', signal: AbortSignal.abort() }), {
        name: 'AbortError',
      })
      await assert.rejects(pool.connect({ signal: AbortSignal.abort() }), { name: 'AbortError' })
      assert.deepEqual((await pool.query('select 1 from t where id = 50')).rows, [])
      await assert.rejects(
        pool.query({ text: 'select 1', signal: 'no' as unknown as AbortSignal }),
        /signal must be an AbortSignal/
      )
    })

    it('that many share has one listener, and none in the end', async () => {
      const pool = await ready({ max: 2 })
      const stop = new AbortController()
      const { signal } = stop
      const texts = Array.from({ length: 40 }, (_, i) => (i % 2 ? 'select 1' : 'select 1 for update'))
      const all = texts.map((text) => pool.query({ text, signal }))
      assert.equal(getEventListeners(signal, 'abort').length, 1)
      await Promise.all(all)
      assert.equal(getEventListeners(signal, 'abort').length, 0)
      const stopped = texts.map((text) => pool.query({ text, signal }).catch(({ name }: Error) => name))
      stop.abort()
      for (const each of await Promise.all(stopped)) assert.equal(each, 'AbortError')
    })

    it('ends the wait for a client of a full pool, which keeps the client', async () => {
      const pool = await ready({ max: 1 })
      const held = await pool.connect()
      const stop = new AbortController()
      const waiting = [
        pool.connect({ signal: stop.signal }),
        pool.query({ text: 'insert into t values (51)', signal: stop.signal }),
      ]
      stop.abort()
      for (const each of waiting) await assert.rejects(each, { name: 'AbortError' })
      held.release()
      await eventually('nobody waits', () => pool.waitingCount === 0)
      assert.deepEqual((await pool.query('select 1 from t where id = 51')).rows, [])
      idle(pool)
    })

    it('ends the wait for a primary, and the place in the queue', async () => {
      const { host, port } = cluster.node(1)
      const pool = poolOn(cluster, { host: [host, host], port: [port, 9] })
      const stop = new AbortController()
      const waiting = pool.query({ text: 'select 1 for update', signal: stop.signal })
      await eventually('it waits', () => pool.totalCount + pool.waitingCount === 1)
      stop.abort()
      await assert.rejects(waiting, { name: 'AbortError' })
      assert.equal(pool.totalCount + pool.waitingCount, 0)
    })
  })

  it('await using ends the pool', async () => {
    const pool = await ready()
    {
      await using used = pool
      await used.query('select 1')
    }
    assert.equal(pool.ended, true)
    await pool[Symbol.asyncDispose]()
    const other = await ready()
    await other.view()[Symbol.asyncDispose]()
    await other.query('select 1')
  })
})
