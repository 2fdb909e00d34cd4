// What a text given to query() leaves in its session: with one connection it is there for the next statement, as with pg; with
// several it may be or not, so that the process is warned once.

import assert from 'node:assert/strict'
import type pg from 'pg'
import type { Client, QueryConfig } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { settled } from '../support/entries.js'
import { endOracles, oracleOn } from '../support/oracle.js'
import { endPools, eventually, poolOn } from '../support/pools.js'

const OPTIONS: PoolConfig = {
  maxLagMillis: Infinity,
  readYourWrites: 'off',
  replicaSafeFunctions: ['current_setting'],
}
const CODE = 'PGHERD_SESSION_STATE'

/** DISCARD ALL leaves an empty one in the session that had it. */
const TENANT = "select nullif(current_setting('app.tenant', true), '') as tenant"

/** What leaves state behind, and a read that shows it. */
const STATE: Readonly<Record<string, { readonly leave: string | QueryConfig; readonly read: string }>> = {
  'set role': { leave: 'set role other', read: 'select current_user as role' },
  'set session authorization': { leave: 'set session authorization app', read: 'select session_user as role' },
  'set search_path': { leave: 'set search_path = aside', read: 'select drink from drinks' },
  'set time zone': {
    leave: "set time zone 'Asia/Tokyo'",
    read: "select to_char(timestamptz '2026-01-01 00:00Z', 'HH24') as hour",
  },
  'set_config() for the session': {
    leave: "select set_config('app.tenant', 'b', false)",
    read: TENANT,
  },
  'set_config() with values': {
    leave: { text: 'select set_config($1, $2, false)', values: ['app.tenant', 'b'] },
    read: TENANT,
  },
  'set_config(), not local': {
    leave: "select set_config('app.tenant', 'b', not true)",
    read: TENANT,
  },
  'a temporary table': {
    leave: "create temp table drinks as select 'water' as drink",
    read: 'select drink from drinks',
  },
  'SESSION CHARACTERISTICS': {
    leave: 'set session characteristics as transaction isolation level repeatable read',
    read: "select current_setting('transaction_isolation') as isolation",
  },
  'a prepared statement': { leave: "prepare kept as select 'milk' as drink", read: 'execute kept' },
  'an advisory lock': { leave: 'select pg_advisory_lock(7711)', read: 'select pg_advisory_unlock(7711) as was' },
  'a cursor WITH HOLD': {
    leave: "declare kept cursor with hold for select 'milk' as drink",
    read: 'fetch all from kept',
  },
}

/** What leaves nothing behind, or takes it away. */
const STATELESS: readonly string[] = [
  'select drink from drinks',
  "insert into drinks values ('salt')",
  'create table made (n int); drop table made',
  "select set_config('app.tenant', 'b', true)",
  'begin; set local app.tenant = 7; commit',
  'show search_path',
  'select pg_advisory_xact_lock(7711)',
  'discard all',
]

describe('state that query() leaves in its session', () => {
  let cluster: Cluster
  let admin: Client
  const warned: Error[] = []
  const listen = (warning: Error) => void warned.push(warning)
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    admin = await cluster.connect(0, 'postgres')
    await admin.query(`create table drinks as select 'tea' as drink; create schema aside; create role other;
      create table aside.drinks as select 'salt' as drink; grant other to app; grant usage, create on schema public, aside to app;
      grant all on public.drinks, aside.drinks to public`)
    await cluster.caughtUp(1, 0)
    process.on('warning', listen)
  })
  afterEach(async () => {
    warned.length = 0
    await Promise.all([endPools(), endOracles()])
    await admin.query("delete from drinks where drink = 'salt'")
  })
  after(async () => {
    process.off('warning', listen)
    await cluster.destroy()
  })

  async function ready(options: PoolConfig = {}): Promise<Pool> {
    const pool = poolOn(cluster, { ...OPTIONS, ...options })
    await pool.ready({ replicas: 1 })
    return pool
  }
  const told = () => warned.filter((warning) => (warning as { readonly code?: string }).code === CODE)

  for (const [title, { leave, read }] of Object.entries(STATE)) {
    it(`${title}: with one connection the next reads follow it, as with pg`, async () => {
      const seenOn = async (pool: pg.Pool) => {
        const seen: unknown[] = []
        for (const query of [read, leave, read, read, 'discard all', read]) {
          const answer = await settled(() => pool.query(query as string))
          seen.push('error' in answer ? String(answer.error) : (answer.value as pg.QueryResult).rows)
        }
        return seen
      }
      assert.deepEqual(await seenOn(await ready({ max: 1 })), await seenOn(oracleOn(cluster, { max: 1 })))
    })

    it(`${title}: the process is warned, once for a pool`, async () => {
      for (let pools = 1; pools <= 2; pools++) {
        const pool = await ready({ max: 4 })
        for (let i = 0; i < 3; i++) await pool.query(leave as string).catch(() => {})
        await eventually('the process is warned', () => told().length === pools, 2000)
      }
      await new Promise(setImmediate)
      assert.equal(told().length, 2)
      for (const { name, message } of told()) {
        assert.equal(name, 'PgherdWarning')
        // Values are the caller's own.
        assert.doesNotMatch(message, /'b'|7711/)
      }
    })
  }

  it('a view, a callback and a second text count to the same pool', async () => {
    const pool = await ready({ max: 4 })
    await pool.view({ route: 'primary' }).query("set time zone 'UTC'")
    await new Promise<void>((resolve, reject) => {
      pool.query('set role other', (error: Error | undefined) => (error ? reject(error) : resolve()))
    })
    await pool.query("create temp table mine as select 'milk' as drink")
    await eventually('the process is warned', () => told().length > 0, 2000)
    await new Promise(setImmediate)
    assert.equal(told().length, 1)
  })

  it('nobody is warned of what leaves nothing, nor of what the holder of a client does', async () => {
    const pool = await ready({ max: 4 })
    for (const text of STATELESS) await pool.query(text)
    const client = await pool.connect()
    await client.query('set role other')
    await client.query('reset role')
    client.release(true)
    await pool.transaction((each) => each.query("set time zone 'UTC'"))
    await new Promise(setImmediate)
    assert.deepEqual(told(), [])
  })

  it('nor where a connection hook sets it up', async () => {
    const pool = await ready({ max: 4, onConnect: async (client) => void (await client.query('set role other')) })
    assert.deepEqual((await pool.query('select current_user as role')).rows, [{ role: 'other' }])
    await new Promise(setImmediate)
    assert.deepEqual(told(), [])
  })
})
