import assert from 'node:assert/strict'
import type { PoolClient } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn, served } from '../support/pools.js'
import { warnings } from '../support/warnings.js'

describe('what keeps a pool from its replicas', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
    const admin = await cluster.connect(0, 'postgres')
    await admin.query(
      'create table audit (what text); grant all on audit to public; create table plain (id int); grant all on plain to public'
    )
    await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
  })
  after(() => cluster.destroy())
  afterEach(endPools)

  const READ = 'select count(*)::int as n from plain'
  const primary = () => keyOf(cluster, 0)
  const node = (pool: Pool) => pool.explain(READ).node
  const reader = (options: PoolConfig = {}) =>
    poolOn(cluster, { maxLagMillis: Infinity, readYourWrites: 'off', ...options })

  describe('a connection hook that writes', () => {
    const insert = (client: unknown) => (client as PoolClient).query("insert into audit values ('hook')")
    async function nested(client: unknown): Promise<void> {
      await new Promise((resolve) => setImmediate(resolve))
      await insert(client)
    }
    const hooks: readonly (readonly [name: string, (pool: Pool) => void, PoolConfig?])[] = [
      ['a listener that awaits nothing', (pool) => pool.on('connect', (client) => void insert(client))],
      ['an async listener', (pool) => pool.on('connect', async (client) => void (await insert(client)))],
      [
        'a listener that starts something and forgets it',
        (pool) => pool.on('connect', (client) => void nested(client)),
      ],
      [
        'a listener that does so later',
        (pool) =>
          pool.on('connect', async (client) => {
            await client.query("set application_name = 'hooked'")
            void nested(client)
            await client.query('select 1')
          }),
      ],
      [
        'a listener with a callback',
        (pool) => pool.on('connect', (client) => client.query("insert into audit values ('cb')", () => {})),
      ],
      ['a listener that catches it', (pool) => pool.on('connect', (client) => void insert(client).catch(() => {}))],
      [
        'onConnect, awaited',
        () => {},
        { onConnect: async (client: unknown) => void (await insert(client)) } as PoolConfig,
      ],
      ['onConnect, not awaited', () => {}, { onConnect: (client: unknown) => void insert(client) } as PoolConfig],
      [
        'verify',
        () => {},
        {
          verify: (client: PoolClient, done: (error?: Error) => void) => void insert(client).then(() => done(), done),
        } as PoolConfig,
      ],
      [
        'an async verify that never calls back',
        () => {},
        {
          verify: async (client: PoolClient, done: (error?: Error) => void) => {
            await insert(client)
            done()
          },
        } as PoolConfig,
      ],
    ]
    for (const [name, attach, options] of hooks) {
      it(`${name}: kills nobody, sets replicas aside, and says so once`, async () => {
        const told = await warnings(async () => {
          const pool = reader(options)
          attach(pool)
          await pool.ready({ replicas: 2 })
          await Promise.all(Array.from({ length: 20 }, () => pool.query(READ)))
          await eventually('replicas are set aside', () => node(pool) === primary())
          assert.match(pool.explain(READ).reason, /set aside: a connection hook/)
          await pool.query(READ)
        })
        assert.deepEqual(
          told.map(({ code }) => code),
          ['PGHERD_HOOK']
        )
        assert.match(told[0]?.text ?? '', /tried to write on a replica \(25006\).*run on the primary/)
      })
    }

    it('one that fails for another reason kills nobody either, and the replica serves', async () => {
      const told = await warnings(async () => {
        const pool = reader()
        pool.on('connect', (client) => void client.query('select no_such_column'))
        // On the primary it would end the process, as with pg.
        await pool.ready({ replicas: 2 })
        const { rows } = await pool.query<{ n: number }>({ text: READ, route: 'replica' })
        assert.equal(rows[0]?.n, 0)
        assert.notEqual(node(pool), primary())
      })
      assert.deepEqual(told, [])
    })
  })

  it('session settings made in hooks hold on replicas', async () => {
    const options = {
      onConnect: async (client: unknown) => void (await (client as PoolClient).query("set time zone 'Asia/Tokyo'")),
    }
    const pool = reader(options as PoolConfig)
    pool.on('connect', (client) => void client.query("set intervalstyle = 'iso_8601'"))
    await pool.ready({ replicas: 2 })
    for (let i = 0; i < 10; i++) {
      const { rows } = await pool.query(
        "select to_char(timestamptz '2026-01-01 00:00Z', 'HH24') as h, (interval '1 day')::text as d"
      )
      assert.deepEqual(rows, [{ h: '09', d: 'P1D' }])
    }
    assert.equal(served(pool)[primary()], undefined)
  })

  it('default_transaction_isolation = serializable: one read pays twice, then none', async () => {
    const admin = await cluster.connect(0, 'postgres')
    await admin.query("alter role app set default_transaction_isolation = 'serializable'")
    await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
    try {
      const told = await warnings(async () => {
        const pool = reader()
        await pool.ready({ replicas: 2 })
        for (let i = 0; i < 10; i++) assert.equal((await pool.query<{ n: number }>(READ)).rows[0]?.n, 0)
        assert.equal(node(pool), primary())
        assert.match(pool.explain(READ).reason, /set aside: default_transaction_isolation is serializable/)
        assert.deepEqual(
          pool.retriedOnPrimary().map(({ code, count }) => [code, count]),
          [['0A000', 1]]
        )
        await assert.rejects(pool.query({ text: READ, route: 'replica' }), { code: '0A000' })
      })
      assert.deepEqual(
        told.map(({ code }) => code),
        ['PGHERD_SERIALIZABLE']
      )
    } finally {
      await admin.query('alter role app reset default_transaction_isolation')
    }
  })

  describe('standard_conforming_strings = off', () => {
    it('on a server: everything runs on the primary, with one warning, until it is on again', async () => {
      const replica = await cluster.connect(2, 'postgres')
      await replica.query('alter system set standard_conforming_strings = off')
      await cluster.reload(2)
      const told = await warnings(async () => {
        const pool = reader()
        await pool.ready({ replicas: 2 })
        assert.equal(node(pool), primary())
        assert.match(pool.explain(READ).reason, /cannot be read/)
        await pool.query(READ)
        assert.deepEqual(Object.keys(served(pool)), [primary()])
        await replica.query('alter system reset standard_conforming_strings')
        await cluster.reload(2)
        await eventually('replicas serve', async () => {
          await pool.query(READ)
          return node(pool) !== primary()
        })
      })
      assert.deepEqual(
        told.map(({ code }) => code),
        ['PGHERD_STRINGS']
      )
    })

    it('in a session that a hook made so, as long as it lives', async () => {
      const told = await warnings(async () => {
        const pool = reader()
        await pool.ready({ replicas: 2 })
        const client = await pool.connect()
        await client.query('set standard_conforming_strings = off')
        assert.equal(node(pool), primary())
        await client.query('reset standard_conforming_strings')
        assert.notEqual(node(pool), primary())
        await client.query('set standard_conforming_strings = off')
        client.release(true)
        await eventually('replicas serve', () => node(pool) !== primary())
      })
      assert.deepEqual(
        told.map(({ code }) => code),
        ['PGHERD_STRINGS']
      )
    })
  })
})
