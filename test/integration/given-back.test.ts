// What a caller leaves in a session of a replica, or takes out of any, is not there for the next one.

import assert from 'node:assert/strict'
import type { Client, PoolClient, QueryResult } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { settled } from '../support/entries.js'
import { failed } from '../support/failed.js'
import { endOracles, oracleOn } from '../support/oracle.js'
import { play, type Step } from '../support/play.js'
import { endPools, eventually, keyOf, poolOn, served } from '../support/pools.js'

const OPTIONS: PoolConfig = {
  maxLagMillis: Infinity,
  readYourWrites: 'off',
  max: 1,
  replicaSafeFunctions: ['current_setting', 'inet_server_port'],
}
const LOCK = 7707

/** What a session is, as far as reads can tell. */
const STATE = `select current_user::text as role, nullif(current_setting('app.tenant', true), '') as tenant,
  current_setting('search_path') as path, current_setting('timezone') as zone, drink,
  current_setting('default_transaction_isolation') as isolation, inet_server_port() as port from drinks`
const DEFAULTS = { role: 'app', tenant: null, path: '"$user", public', drink: 'tea', isolation: 'read committed' }

/** Each leaves something in its session, if it is allowed to. */
const LEAVES = [
  'set search_path = aside',
  "set time zone 'Asia/Tokyo'",
  "set app.tenant = 'b'",
  'set role other',
  "select set_config('app.tenant', 'b', false)",
  "select set_config('app.tenant', 'b', not true)",
  "select set_config('app.tenant', 'b', false and true)",
  'set session characteristics as transaction isolation level repeatable read',
  `select pg_advisory_lock(${LOCK})`,
  `select set_config('app.tenant', 'b', false), pg_advisory_lock_shared(${LOCK}) from drinks`,
  'prepare kept as select 1',
] as const

describe('a connection that is given back', () => {
  let cluster: Cluster
  let admin: Client
  let onReplica: Client
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    admin = await cluster.connect(0, 'postgres')
    onReplica = await cluster.connect(1, 'postgres')
    await admin.query(`create table drinks as select 'tea' as drink; create schema aside; create role other;
      create table aside.drinks as select 'salt' as drink; grant other to app; grant usage on schema aside to public;
      grant all on public.drinks, aside.drinks to public`)
    await cluster.caughtUp(1, 0)
  })
  afterEach(() => Promise.all([endPools(), endOracles()]))
  after(() => cluster.destroy())

  async function ready(options: PoolConfig = {}): Promise<Pool> {
    const pool = poolOn(cluster, { ...OPTIONS, ...options })
    await pool.ready({ replicas: 1 })
    return pool
  }
  const ports = () => cluster.nodes.map(({ port }) => port)
  const view = (pool: Pool) => pool.view({ route: 'replica' })
  const stateOf = async (on: Pick<Pool, 'query'>, more: object = {}) => {
    const { rows } = await on.query({ text: STATE, ...more })
    return rows[0] as Record<string, unknown>
  }
  const locks = async () => {
    const { rowCount } = await onReplica.query('select 1 from pg_locks where locktype = $1 and objid = $2', [
      'advisory',
      LOCK,
    ])
    return rowCount
  }

  describe('by whoever had a session of a replica', () => {
    const holding = async (client: PoolClient, ...texts: readonly string[]) => {
      for (const text of texts) await settled(() => client.query(text))
      client.release()
    }
    const WAYS: Readonly<Record<string, (pool: Pool, text: string) => Promise<unknown>>> = {
      'query() of a view': (pool, text) => settled(() => view(pool).query(text)),
      'a client of a view': async (pool, text) => holding(await view(pool).connect(), text),
      'a transaction on a client of a view': async (pool, text) =>
        holding(await view(pool).connect(), 'begin read only', text, 'commit'),
      'transaction({ readOnly: true })': (pool, text) =>
        settled(() => pool.transaction((client) => client.query(text), { readOnly: true })),
      'a transaction that a client borrowed': async (pool, text) =>
        holding(await pool.connect(), 'begin read only', text, 'commit'),
    }
    for (const [way, leave] of Object.entries(WAYS)) {
      for (const text of LEAVES) {
        it(`${way}: ${text}`, async () => {
          const pool = await ready()
          const { zone } = await stateOf(pool)
          await leave(pool, text)
          const expected = { ...DEFAULTS, zone, port: ports()[1] }
          for (let i = 0; i < 2; i++) assert.deepEqual(await stateOf(pool), expected, 'query()')
          assert.deepEqual(await stateOf(view(pool)), expected, 'query() of a view')
          const client = await view(pool).connect()
          assert.deepEqual(await stateOf(client), expected, 'a client of a view')
          assert.equal((await failed(client.query('execute kept'))).code, '26000')
          client.release()
          await eventually('nobody has its lock any more', async () => (await locks()) === 0)
        })
      }
    }
  })

  describe('inside of a transaction', () => {
    for (const text of ['begin', 'begin isolation level repeatable read', 'begin read only', 'begin; select 1']) {
      it(`query('${text}') of a view: reads of others see what is there`, async () => {
        const pool = await ready()
        await settled(() => view(pool).query(text))
        await settled(() => view(pool).query('select drink from drinks'))
        await admin.query("update drinks set drink = 'milk'")
        await cluster.caughtUp(1, 0)
        try {
          for (let i = 0; i < 2; i++) {
            const { drink, port } = await stateOf(pool)
            assert.deepEqual([drink, port], ['milk', ports()[1]])
          }
          const client = await view(pool).connect()
          assert.equal(client.getTransactionStatus(), 'I')
          client.release()
          const open = "select 1 from pg_stat_activity where usename = 'app' and state like 'idle in transaction%'"
          await eventually('no transaction is open', async () => (await onReplica.query(open)).rowCount === 0)
        } finally {
          await admin.query("update drinks set drink = 'tea'")
          await cluster.caughtUp(1, 0)
        }
      })
    }
  })

  describe('after DISCARD ALL, with what a connection hook had set', () => {
    const SET = "set app.tenant = 'a'"
    const HOOKS: Readonly<Record<string, () => Promise<Pool>>> = {
      onConnect: () => ready({ onConnect: async (client) => void (await client.query(SET)) }),
      'a connect listener': async () => {
        const pool = poolOn(cluster, OPTIONS)
        pool.on('connect', (client) => void client.query(SET))
        await pool.ready({ replicas: 1 })
        return pool
      },
    }
    const discarding = async (client: PoolClient, text: string) => {
      await client.query(text)
      client.release()
    }
    const WAYS: Readonly<Record<string, (pool: Pool, text: string) => Promise<unknown>>> = {
      'query()': (pool, text) => pool.query(text),
      'a client': async (pool, text) => discarding(await pool.connect(), text),
      'query() of a view of replicas': (pool, text) => view(pool).query(text),
      'a client of a view of replicas': async (pool, text) => discarding(await view(pool).connect(), text),
    }
    for (const [hook, make] of Object.entries(HOOKS)) {
      for (const [way, discard] of Object.entries(WAYS)) {
        for (const text of ['discard all', '/* done */ DISCARD ALL;', 'reset all', 'RESET app.Tenant']) {
          it(`${hook}, ${way}: ${text}`, async () => {
            const pool = await make()
            const tenants = async () => {
              const client = await pool.connect()
              const seen = [
                (await stateOf(pool)).tenant,
                (await stateOf(client)).tenant,
                (await stateOf(client, { route: 'primary' })).tenant,
              ]
              client.release()
              return [...seen, (await stateOf(pool, { route: 'primary' })).tenant]
            }
            assert.deepEqual(await tenants(), ['a', 'a', 'a', 'a'])
            await discard(pool, text)
            assert.deepEqual(await tenants(), ['a', 'a', 'a', 'a'])
          })
        }
      }
    }
  })

  describe('to its own holder', () => {
    const TENANT = "select current_setting('app.tenant', true) as tenant"
    for (const text of LEAVES.filter((each) => each.includes('app.tenant') && !each.includes('advisory'))) {
      const steps: readonly Step[] = [text, TENANT, 'begin read only', TENANT, 'commit', TENANT]
      it(`a session of the primary is as with pg: ${text}`, async () => {
        assert.deepEqual(await play(await ready(), steps), await play(oracleOn(cluster, { max: 1 }), steps))
      })
      const inside: readonly Step[] = ['begin read only', text, TENANT, 'commit', TENANT]
      it(`and one that is left in a READ ONLY transaction: ${text}`, async () => {
        assert.deepEqual(await play(await ready(), inside), await play(oracleOn(cluster, { max: 1 }), inside))
      })
    }
  })

  describe('after 25006', () => {
    const pidOf = (client: PoolClient) => (client as unknown as { readonly processID: number }).processID
    const INSERT = "insert into drinks values ('water')"
    const READ_ONLY = 'set default_transaction_read_only = on'

    for (const [title, before] of [
      ['default_transaction_read_only', [READ_ONLY]],
      ['SESSION CHARACTERISTICS', ['set session characteristics as transaction read only']],
      ['default_transaction_read_only, and BEGIN', [READ_ONLY, 'begin']],
    ] as const) {
      it(`outside of a READ ONLY transaction it is not kept: ${title}`, async () => {
        const pool = await ready()
        const client = await pool.connect()
        const pid = pidOf(client)
        for (const text of before) await client.query(text)
        assert.equal((await failed(client.query(INSERT))).code, '25006')
        await client.query('rollback')
        client.release()
        await pool.ready({ replicas: 1 })
        const next = await pool.connect()
        assert.notEqual(pidOf(next), pid)
        assert.equal(((await next.query(`begin; ${INSERT}; rollback`)) as unknown as QueryResult[]).length, 3)
        next.release()
      })
    }

    it('of a READ ONLY transaction it is kept', async () => {
      const pool = await ready()
      const client = await pool.connect()
      const pid = pidOf(client)
      for (const begin of ['begin read only', 'begin transaction read only, isolation level serializable']) {
        await client.query(begin)
        assert.equal((await failed(client.query(INSERT))).code, '25006')
        await client.query('rollback')
      }
      client.release()
      await assert.rejects(
        pool.transaction((each) => each.query(INSERT), { readOnly: true }),
        { code: '25006' }
      )
      const next = await pool.connect()
      assert.equal(pidOf(next), pid)
      next.release()
      assert.ok((served(pool)[keyOf(cluster, 1)] ?? 0) > 0)
    })
  })

  it('a client that listened, or that tried to on a replica, leaves no news to the next one', async () => {
    const pool = await ready()
    assert.equal((await failed(view(pool).query('listen news'))).code, '25006')
    const client = await view(pool).connect()
    assert.equal((await failed(client.query('listen news'))).code, '25006')
    client.release()
    const borrower = await pool.connect()
    const heard: string[] = []
    borrower.on('notification', ({ payload = '' }) => heard.push(payload))
    await borrower.query('begin read only')
    await borrower.query('select drink from drinks')
    await borrower.query('listen news')
    await borrower.query('commit')
    await admin.query("notify news, 'fresh'")
    await eventually('its holder hears of it', () => heard.length === 1)
    borrower.release()
    assert.equal((await stateOf(pool)).drink, 'tea')
  })

  it('what pg refuses to send leaves no client on the primary', async () => {
    const pool = await ready()
    const client = await pool.connect()
    assert.equal((await stateOf(client)).port, ports()[1])
    assert.match((await failed(client.query({} as { text: string }))).message, /must have either text or a name/)
    assert.equal((await stateOf(client)).port, ports()[1])
    client.release()
  })
})
