// A replica is promoted for a test, and written to, before any probe has seen it: what its sessions show then is of a fork, and
// reaches no caller. PostgreSQL 14 and later say so with the reply; the sessions of older servers are found out by a question only.

import assert from 'node:assert/strict'
import type { Client, PoolClient } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, type Role, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn, served } from '../support/pools.js'

/** No look at a node falls due while a test runs. */
const UNWATCHED: PoolConfig = { monitorIntervalMillis: 60_000, maxLagMillis: Infinity }
const IDS = 'select id from ledger order by id'

for (const role of ['app', 'monitor'] as readonly Role[]) {
  describe(`a replica that is promoted under its readers, as ${role}`, () => {
    let cluster: Cluster
    let primary: Client
    let saysSo: boolean
    beforeEach(async () => {
      cluster = await startCluster({ replicas: 1 })
      saysSo = cluster.major >= 14
      await cluster.streaming(0, 1)
      primary = await cluster.connect(0, 'postgres')
      await primary.query('create table ledger (id int); insert into ledger values (1)')
      await primary.query('grant all on ledger to app, monitor')
      await cluster.caughtUp(1, 0)
    })
    afterEach(async () => {
      await Promise.all([endPools(), cluster.destroy()])
    })

    /** A pool whose reads the replica serves, over a session that is idle now. */
    const readingPool = async (options: PoolConfig = {}) => {
      const pool = poolOn(cluster, { ...UNWATCHED, ...options }, role)
      await pool.ready({ replicas: 1 })
      await eventually('the replica serves', async () => {
        await pool.query(IDS)
        return (served(pool)[keyOf(cluster, 1)] ?? 0) > 0
      })
      return pool
    }
    /** Row 666 is the fork's alone, and the dropped table the primary's. */
    const fork = async () => {
      await cluster.promote(1)
      const client = await cluster.connect(1, 'postgres')
      await client.query('insert into ledger select 666 from generate_series(1, 500)')
      await client.end()
    }
    /** The next statement there has a new session. */
    const cut = async () => {
      const client = await cluster.connect(1, 'postgres')
      const ours = "from pg_stat_activity where usename = $1 and application_name !~ 'probe'"
      await client.query(`select pg_terminate_backend(pid) ${ours}`, [role])
      await eventually(
        'its sessions are gone',
        async () => (await client.query(`select ${ours}`, [role])).rowCount === 0
      )
      await client.end()
    }
    const idsOf = async (reader: Pool | PoolClient, text = IDS) =>
      (await (reader as PoolClient).query(text)).rows.map(({ id }) => id)
    const isFound = (pool: Pool) =>
      eventually('the replica is known to be none', () => {
        const node = pool.topology().nodes.find(({ key }) => key === keyOf(cluster, 1))
        return node?.state === 'claimant'
      })

    it("a read of query() is the primary's, and the server is looked at", async function () {
      const pool = await readingPool()
      if (!saysSo) this.skip()
      await fork()
      assert.deepEqual(await idsOf(pool), [1])
      await isFound(pool)
      assert.equal(pool.topology().primary, keyOf(cluster, 0))
    })

    it("reads at once over many sessions are the primary's", async function () {
      const pool = await readingPool({ max: 8 })
      if (!saysSo) this.skip()
      await Promise.all(Array.from({ length: 8 }, () => pool.query('select pg_sleep(0.05) from ledger')))
      await fork()
      const all = await Promise.all(Array.from({ length: 40 }, () => idsOf(pool)))
      assert.deepEqual(
        all.filter((ids) => ids.length !== 1),
        []
      )
    })

    it('a read that runs while its server is promoted', async function () {
      const pool = await readingPool()
      if (!saysSo) this.skip()
      const read = idsOf(pool, 'with a as materialized (select pg_sleep(2)) select id from a, ledger')
      await fork()
      assert.deepEqual(await read, [1])
    })

    it('an error of the fork', async function () {
      const pool = await readingPool()
      if (!saysSo) this.skip()
      await fork()
      assert.deepEqual(await idsOf(pool, 'select 1 / (case when id = 666 then 0 else id end) as id from ledger'), [1])
    })

    it('a new session', async () => {
      const pool = await readingPool({ max: 1 })
      await fork()
      await cut()
      assert.deepEqual(await idsOf(pool), [1])
    })

    it('a read with a guard', async () => {
      const pool = await readingPool({ maxLagMillis: 60_000 })
      await pool.query('insert into ledger values (2)')
      await cluster.caughtUp(1, 0)
      await fork()
      assert.deepEqual(await idsOf(pool), [1, 2])
    })

    it('a read that a client borrows', async function () {
      const pool = await readingPool()
      if (!saysSo) this.skip()
      const client = await pool.connect()
      await fork()
      assert.deepEqual(await idsOf(client), [1])
      client.release()
    })

    it('a view of replicas with whenStale: error', async function () {
      const pool = await readingPool({ whenStale: 'error', failoverTimeoutMillis: 3000 })
      if (!saysSo) this.skip()
      const view = pool.view({ route: 'replica' })
      await fork()
      await assert.rejects(idsOf(view), { code: 'PGHERD_NO_REPLICA', outcome: 'not-sent' })
    })

    for (const [isolation, text] of [
      ['READ COMMITTED', 'begin read only'],
      ['REPEATABLE READ', 'begin isolation level repeatable read read only'],
    ] as const) {
      it(`a READ ONLY transaction, ${isolation}`, async function () {
        const pool = await readingPool()
        if (!saysSo) this.skip()
        const client = await pool.connect()
        await client.query(text)
        const before = await idsOf(client)
        await fork()
        assert.deepEqual([before, await idsOf(client), await idsOf(client)], [[1], [1], [1]])
        await client.query('commit')
        assert.deepEqual(await idsOf(client), [1])
        client.release()
      })
    }

    it('a READ ONLY transaction that has read nothing', async function () {
      const pool = await readingPool()
      if (!saysSo) this.skip()
      const client = await pool.connect()
      await client.query('begin isolation level repeatable read read only')
      await fork()
      assert.deepEqual(await idsOf(client), [1])
      await client.query('rollback')
      client.release()
    })

    it('a READ ONLY transaction with a cursor shows nothing of a fork', async function () {
      const pool = await readingPool()
      if (!saysSo) this.skip()
      const client = await pool.connect()
      await client.query('begin read only')
      await client.query('declare c cursor for select id from ledger')
      await fork()
      await assert.rejects(idsOf(client), { code: 'PGHERD_ON_REPLICA' })
      await client.query('rollback')
      assert.deepEqual(await idsOf(client), [1])
      client.release()
    })

    it('a transaction() that only reads shows nothing of a fork', async function () {
      const pool = await readingPool()
      if (!saysSo) this.skip()
      const shown: number[][] = []
      const work = async (client: PoolClient) => {
        shown.push(await idsOf(client))
        await fork()
        shown.push(await idsOf(client))
      }
      const cut = { code: 'PGHERD_ON_REPLICA', outcome: 'rolled-back' }
      await assert.rejects(pool.transaction(work, { readOnly: true }), cut)
      assert.deepEqual(shown, [[1]])
      assert.deepEqual(await pool.transaction(idsOf, { readOnly: true }), [1])
    })

    it('a transaction() with a snapshot from before goes on', async function () {
      const pool = await readingPool()
      if (!saysSo) this.skip()
      const work = async (client: PoolClient) => {
        const before = await idsOf(client)
        await fork()
        return [before, await idsOf(client), await idsOf(client)]
      }
      const shown = await pool.transaction(work, { readOnly: true, isolation: 'repeatable read' })
      assert.deepEqual(shown, [[1], [1], [1]])
    })

    it('a snapshot ends with its transaction, also where the function ends that', async function () {
      const pool = await readingPool()
      if (!saysSo) this.skip()
      const work = async (client: PoolClient) => {
        await idsOf(client)
        await fork()
        const before = idsOf(client)
        const [, , after] = await Promise.allSettled([before, client.query('commit'), idsOf(client)])
        assert.deepEqual(await before, [1])
        assert.equal(after?.status, 'rejected')
        return idsOf(client)
      }
      const cut = { code: 'PGHERD_ON_REPLICA' }
      await assert.rejects(pool.transaction(work, { readOnly: true, isolation: 'repeatable read' }), cut)
    })

    it('a transaction() that begins at a promoted server begins at the primary', async function () {
      const pool = await readingPool()
      if (!saysSo) this.skip()
      await fork()
      assert.deepEqual(await pool.transaction(idsOf, { readOnly: true, isolation: 'repeatable read' }), [1])
    })

    it('a client of a view of replicas shows nothing of a fork, in any form', async function () {
      const pool = await readingPool({ max: 4 })
      if (!saysSo) this.skip()
      const view = pool.view({ route: 'replica' })
      const clients = [await view.connect(), await view.connect(), await view.connect()] as const
      const cut = { code: 'PGHERD_ON_REPLICA' }
      const [promised, called, configured] = clients
      const told = (ask: (done: (error: unknown, result?: unknown) => void) => void) =>
        new Promise((resolve, reject) => ask((error, result) => (error ? reject(error) : resolve(result))))
      const two = { text: 'select 1', callback: () => assert.fail('the other one is called') }
      await told((done) => called.query(two as never, done as never))
      await promised.query('begin')
      await fork()
      await Promise.all([
        assert.rejects(promised.query(IDS), { ...cut, outcome: 'rolled-back' }),
        assert.rejects(
          told((done) => called.query(IDS, done)),
          { ...cut, outcome: 'rolled-back' }
        ),
        assert.rejects(
          told((callback) => (configured.query as (config: unknown) => void)({ text: IDS, callback })),
          cut
        ),
      ])
      await assert.rejects(promised.query(IDS), { ...cut, outcome: 'not-sent' })
      await promised.query('rollback')
      for (const client of clients) client.release()
    })

    it('a client of a view of replicas is not given out by a server that is known to be none', async () => {
      const pool = await readingPool()
      await fork()
      await cut()
      await assert.rejects(pool.view({ route: 'replica' }).connect(), { code: 'PGHERD_NO_REPLICA' })
    })

    it('a promotion that everybody follows costs nothing', async () => {
      const pool = await readingPool({ maxLagMillis: 5000, monitorIntervalMillis: 100 })
      await cluster.stop(0, 'immediate')
      await cluster.promote(1)
      assert.deepEqual(await idsOf(pool), [1])
      await pool.query('insert into ledger values (2)')
      assert.deepEqual(await idsOf(pool), [1, 2])
    })
  })
}
