// Statements that are prepared by name on a connection which is lent: the names of one client are not those of another, and a plan
// that an ALTER TABLE has made stale fails once at most.

import assert from 'node:assert/strict'
import type pg from 'pg'
import type { Client, PoolClient, QueryConfig } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { settled } from '../support/entries.js'
import { endOracles, oracleOn } from '../support/oracle.js'
import { endPools, keyOf, poolOn, served } from '../support/pools.js'

const OPTIONS: PoolConfig = { maxLagMillis: Infinity, readYourWrites: 'off' }

type Querying = Pick<PoolClient, 'query'>

describe('statements with a name', () => {
  let cluster: Cluster
  let admin: Client
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    admin = await cluster.connect(0, 'postgres')
  })
  beforeEach(async () => {
    await admin.query(
      "create table plans (a int); insert into plans values (7); create table drinks as select 'tea' as b"
    )
    await admin.query('grant all on plans, drinks to public')
    await cluster.caughtUp(1, 0)
  })
  afterEach(async () => {
    await Promise.all([endPools(), endOracles()])
    await admin.query('drop table plans, drinks')
  })
  after(() => cluster.destroy())

  async function ready(options: PoolConfig): Promise<Pool> {
    const pool = poolOn(cluster, { ...OPTIONS, ...options })
    await pool.ready({ replicas: 1 })
    return pool
  }
  const onReplica = (pool: Pool) => served(pool)[keyOf(cluster, 1)] ?? 0

  describe('of two clients, on a connection that both have borrowed', () => {
    const PLANS: QueryConfig = { name: 'same', text: 'select a from plans' }
    const DRINKS: QueryConfig = { name: 'same', text: 'select b from drinks where b = $1', values: ['tea'] }
    const rowsOf = async (client: Querying, config: QueryConfig) => {
      const seen = await settled(() => client.query(config))
      return 'error' in seen ? String(seen.error) : (seen.value as pg.QueryResult).rows
    }
    const inside = async (client: PoolClient, ...configs: readonly QueryConfig[]) => {
      await client.query('begin read only')
      const seen: unknown[] = []
      for (const config of configs) seen.push(await rowsOf(client, config))
      await client.query('commit')
      return seen
    }
    /** Each has its own connection with pg, where `second` is out while `first` is. */
    const PROGRAMS: Readonly<
      Record<string, (pool: pg.Pool, first: PoolClient, second: PoolClient) => Promise<unknown>>
    > = {
      'two texts, one after the other': async (_, first, second) => [
        await inside(first, PLANS),
        await inside(second, DRINKS),
        await inside(first, PLANS),
        await inside(second, DRINKS),
      ],
      'two texts, at the same time, and in turns': async (_, first, second) => {
        const together = [await Promise.all([inside(first, PLANS), inside(second, DRINKS)])]
        for (let i = 0; i < 4; i++) together.push(await Promise.all([inside(second, DRINKS), inside(first, PLANS)]))
        return together
      },
      'one text': async (_, first, second) => [
        await inside(first, PLANS, PLANS),
        await inside(second, PLANS),
        await inside(first, PLANS),
      ],
      'a text of query(), and another one of a client': async (pool, first) => [
        await rowsOf(pool as unknown as Querying, PLANS),
        await inside(first, DRINKS),
        await rowsOf(pool as unknown as Querying, PLANS),
      ],
      'a text that moves with its transaction': async (_, first, second) => {
        await first.query('begin read only')
        const before = await rowsOf(first, PLANS)
        await first.query('show transaction_read_only')
        const after = await rowsOf(first, PLANS)
        await first.query('commit')
        return [before, after, await inside(second, DRINKS), await inside(first, PLANS)]
      },
      'a statement that fails, and its name again': async (_, first, second) => {
        await first.query('begin read only')
        const error = await rowsOf(first, { name: 'same', text: 'select a / 0 from plans' })
        await first.query('rollback')
        return [error, await inside(second, DRINKS)]
      },
    }
    for (const [title, program] of Object.entries(PROGRAMS)) {
      it(title, async () => {
        const play = async (pool: pg.Pool) => {
          const [first, second] = [await pool.connect(), await pool.connect()]
          const seen = await program(pool, first, second)
          first.release()
          second.release()
          return seen
        }
        const pool = await ready({ max: 3 })
        assert.deepEqual(await play(pool), await play(oracleOn(cluster, { max: 3 })))
        assert.ok(onReplica(pool) > 0, 'a replica was borrowed')
      })
    }

    it('where the replica has one connection', async () => {
      const pool = await ready({ max: 2 })
      const held = await pool.view({ route: 'replica' }).connect()
      const [first, second] = [await pool.connect(), await pool.connect()]
      for (let i = 0; i < 2; i++) {
        assert.deepEqual(await inside(first, PLANS), [[{ a: 7 }]])
        assert.deepEqual(await inside(second, DRINKS), [[{ b: 'tea' }]])
      }
      for (const client of [first, second, held]) client.release()
    })
  })

  describe('whose plan is stale', () => {
    const ALL: QueryConfig = { name: 'all', text: 'select * from plans' }
    const rows = async (client: Querying) => (await client.query(ALL)).rows

    const begun = async (client: PoolClient) => {
      await client.query('begin read only')
      try {
        return await rows(client)
      } finally {
        await client.query('rollback')
      }
    }
    /** Runs on a client, and gives it back: with its error, or as if there had been none. */
    const held = (connect: (pool: Pool) => Promise<PoolClient>, work: (client: PoolClient) => Promise<unknown>) => {
      return (keepsSilent: boolean) => async (pool: Pool) => {
        const client = await connect(pool)
        try {
          const answer = await work(client)
          client.release()
          return answer
        } catch (error) {
          client.release(keepsSilent ? undefined : (error as Error))
          throw error
        }
      }
    }
    const CLIENTS: Readonly<Record<string, ReturnType<typeof held>>> = {
      'a borrowed transaction': held((pool) => pool.connect(), begun),
      'a client of the primary': held((pool) => pool.connect(), rows),
      'a client of a view of replicas': held((pool) => pool.view({ route: 'replica' }).connect(), rows),
      'a transaction on a client of a view of replicas': held(
        (pool) => pool.view({ route: 'replica' }).connect(),
        begun
      ),
    }
    const WAYS: Readonly<Record<string, (pool: Pool) => Promise<unknown>>> = {
      'query()': rows as (pool: Pool) => Promise<unknown>,
      'query() of a view of the primary': (pool) => rows(pool.view({ route: 'primary' }) as unknown as Querying),
      'query() of a view of replicas': (pool) => rows(pool.view({ route: 'replica' }) as unknown as Querying),
      'transaction()': (pool) => pool.transaction(rows),
      'transaction({ readOnly: true })': (pool) => pool.transaction(rows, { readOnly: true }),
      ...Object.fromEntries(
        Object.entries(CLIENTS).flatMap(([title, way]) => [
          [`${title}, given back with its error`, way(false)],
          [`${title}, given back without a word`, way(true)],
        ])
      ),
    }
    const isStale = (error: unknown) => {
      assert.equal((error as { readonly code?: string }).code, '0A000')
      return 'stale'
    }
    for (const [title, run] of Object.entries(WAYS)) {
      it(`${title}: fails once at most`, async () => {
        const pool = await ready({ max: 1 })
        assert.deepEqual(await run(pool), [{ a: 7 }])
        await admin.query("alter table plans add column b text default 'tea'")
        await cluster.caughtUp(1, 0)
        const first = await run(pool).catch(isStale)
        assert.ok(first === 'stale' || Array.isArray(first))
        for (let i = 0; i < 5; i++) assert.deepEqual(await run(pool).catch(isStale), [{ a: 7, b: 'tea' }], `run ${i}`)
      })
    }

    it('a client that is kept out begins its next transaction without it', async () => {
      const pool = await ready({ max: 1 })
      const client = await pool.connect()
      assert.deepEqual(await begun(client), [{ a: 7 }])
      await admin.query("alter table plans add column b text default 'tea'")
      await cluster.caughtUp(1, 0)
      await begun(client).catch(isStale)
      for (let i = 0; i < 3; i++) assert.deepEqual(await begun(client).catch(isStale), [{ a: 7, b: 'tea' }], `run ${i}`)
      client.release()
    })
  })

  for (const text of ['discard all', 'deallocate all', 'deallocate prepare kept', 'DEALLOCATE "kept"']) {
    it(`are prepared anew for the next holder when the server has forgotten them: ${text}`, async () => {
      const pool = await ready({ max: 1 })
      const [kept, other] = ['kept', 'other'].map((name) => ({ name, text: 'select a from plans' }))
      for (let i = 0; i < 2; i++) {
        const client = await pool.connect()
        for (const each of [kept, other]) assert.deepEqual((await client.query(each as QueryConfig)).rows, [{ a: 7 }])
        await client.query(text)
        client.release()
      }
    })
  }
})
