// What callers do around a statement: no callback in a callback's place, a config that is used again, a listener that is missing, an
// abort in the line. Each is as on a connection of pg's own.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import pg, { type Client, type PoolClient } from 'pg'
import Cursor from 'pg-cursor'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endOracles, oracleOn } from '../support/oracle.js'
import { endPools, poolOn } from '../support/pools.js'

const OPTIONS: PoolConfig = {
  maxLagMillis: Infinity,
  readYourWrites: 'off',
  replicaSafeFunctions: ['current_setting', 'inet_server_port'],
}
type Loose = (first: unknown, second?: unknown, third?: unknown) => Promise<pg.QueryResult>
const loose = (client: PoolClient) => client.query.bind(client) as unknown as Loose
const PORT = 'select inet_server_port() as port'
const TENANT = "select current_setting('app.tenant', true) as tenant"
const SET = "select set_config('app.tenant', $1, true)"

describe('around a statement', () => {
  let cluster: Cluster
  let admin: Client
  let pool: Pool
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    admin = await cluster.connect(0, 'postgres')
    await admin.query('create table t (n int); insert into t values (1); grant all on t to public')
    await cluster.caughtUp(1, 0)
  })
  beforeEach(async () => {
    pool = poolOn(cluster, { ...OPTIONS, max: 2 })
    await pool.ready({ replicas: 1 })
  })
  afterEach(() => Promise.all([endPools(), endOracles()]))
  after(() => cluster.destroy())

  /** The same on a client of pg.Pool, and on one of pgherd's. */
  async function alike(program: (query: Loose, client: PoolClient) => Promise<unknown>): Promise<void> {
    const seen: unknown[] = []
    for (const each of [oracleOn(cluster), pool]) {
      const client = await each.connect()
      seen.push(await program(loose(client), client))
      client.release()
    }
    assert.deepEqual(seen[1], seen[0])
  }

  for (const none of [null, false, 0, ''] as const) {
    it(`${JSON.stringify(none)} in the place of a callback is none`, async () => {
      await alike(async (query, client) => {
        await query('begin read only', [], none)
        await query(SET, ['b'], none)
        const { rows } = await query(TENANT, [], none)
        const first = query('select pg_sleep(0.1)').then(() => 'first')
        const second = query('select 2', [], none).then(() => 'second')
        const order = await Promise.race([first, second])
        await Promise.all([first, second])
        await query('commit', [], none)
        return [rows, order, client.getTransactionStatus()]
      })
    })
  }

  it('a config, or values, that the caller uses again are sent as they were when it called', async () => {
    await alike(async (query) => {
      const config = { text: 'select $1::int as n', values: [1] }
      const answers = [query(config)]
      config.values = [2]
      answers.push(query(config))
      config.text = 'select $1::int as m'
      config.values = [3]
      answers.push(query(config))
      config.values = [4]
      return (await Promise.all(answers)).map(({ rows }) => rows)
    })
  })

  it('and so are they where a transaction moves', async () => {
    await alike(async (query, client) => {
      const config = { text: 'begin read only', values: [] as unknown[] }
      await query(config)
      const values = ['b']
      const setting = query(SET, values)
      values[0] = 'a'
      await setting
      config.text = 'select 1'
      await query(config)
      config.text = 'select pg_current_wal_lsn() is not null as is'
      const { rows } = await query(config)
      const status = client.getTransactionStatus()
      const tenant = (await query(TENANT)).rows
      const readOnly = (await query('show transaction_read_only')).rows
      await query('commit')
      return [rows, status, tenant, readOnly]
    })
  })

  it('a snapshot that has shown rows does not move, whatever else the statement did', async () => {
    const client = await pool.connect()
    await client.query('begin isolation level repeatable read read only')
    await client.query("select n, set_config('app.tenant', 'b', true) from t")
    await assert.rejects(loose(client)({ text: PORT, route: 'primary' }), { code: 'PGHERD_ON_REPLICA' })
    await client.query('rollback')
    client.release()
  })

  it('what submits itself, and fails with no listener, keeps no other statement from its answer', async () => {
    // As with pg, what an `error` event without a listener throws is uncaught: the program takes it, and goes on.
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', () => {})
    try {
      const client = await pool.connect()
      await client.query('begin isolation level repeatable read read only')
      await client.query('select n from t')
      client.query(new pg.Query('/* pgherd:primary */ select 1'))
      assert.equal((await client.query('rollback')).command, 'ROLLBACK')
      await client.query('begin read only')
      client.query(new pg.Query('select 1/0'))
      assert.equal((await client.query('rollback')).command, 'ROLLBACK')
      client.release()
      assert.equal((await pool.query({ text: 'select 7 as n', route: 'primary' } as pg.QueryConfig)).rows[0]?.n, 7)
    } finally {
      process.removeAllListeners('uncaughtException')
      for (const each of listeners) process.on('uncaughtException', each)
    }
  })

  it('COMMIT AND CHAIN that submits itself is answered', async () => {
    const client = await pool.connect()
    await client.query('begin read only')
    await client.query('select n from t')
    const chain = new pg.Query('commit and chain')
    const ended = once(chain, 'end')
    client.query(chain)
    await ended
    assert.equal(client.getTransactionStatus(), 'T')
    assert.equal((await client.query('show transaction_read_only')).rows[0]?.transaction_read_only, 'on')
    await client.query('commit')
    client.release()
  })

  for (const begin of [null, 'begin read only']) {
    it(`a cursor that is closed as its client is released ends, ${begin ?? 'outside of a transaction'}`, async () => {
      for (const isLate of [false, true]) {
        const client = await pool.connect()
        if (begin !== null) await client.query(begin)
        const cursor = client.query(new Cursor('select generate_series(1, 1000) as n'))
        await cursor.read(2)
        const closed = isLate ? null : cursor.close()
        client.release()
        await (closed ?? cursor.close())
        if (begin !== null || isLate) continue
        const again = await pool.connect()
        assert.equal(again, client, 'its Close was on its way: the connection is as good as any')
        again.release()
      }
      assert.equal((await pool.query('select 7 as n')).rows[0]?.n, 7)
    })
  }

  for (const begin of [null, 'begin read only']) {
    it(`an abort reaches the caller while its statement waits in line, ${begin ?? 'outside of a transaction'}`, async () => {
      const client = await pool.connect()
      if (begin !== null) await client.query(begin)
      let isOver = false
      const slow = client.query('select pg_sleep(1)').then(() => {
        isOver = true
      })
      const stop = new AbortController()
      const waiting = loose(client)({ text: 'select 1', signal: stop.signal })
      const reason = new Error('enough')
      stop.abort(reason)
      await assert.rejects(waiting, (error) => error === reason)
      assert.equal(isOver, false)
      await slow
      assert.deepEqual((await client.query('select 7 as n')).rows, [{ n: 7 }])
      if (begin !== null) await client.query('commit')
      client.release()
    })
  }

  it('a signal that is null is none', async () => {
    assert.equal((await (pool.query as unknown as Loose)({ text: 'select 7 as n', signal: null })).rows[0]?.n, 7)
  })

  it('a hook that throws on the replica only leaves the client its own connection', async () => {
    const replica = cluster.node(1).port
    const onConnect = async (each: object) => {
      if ((each as Client).port === replica) throw new Error('no')
    }
    const hooked = poolOn(cluster, { ...OPTIONS, min: 0, onConnect } as PoolConfig)
    await hooked.ready({ replicas: 1 })
    const client = await hooked.connect()
    const own = String(cluster.node(0).port)
    const seen = [String((await client.query(PORT)).rows[0]?.port)]
    await client.query('begin read only')
    seen.push(String((await client.query(PORT)).rows[0]?.port))
    await client.query('commit')
    client.release()
    assert.deepEqual(seen, [own, own])
  })
})
