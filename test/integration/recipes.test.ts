// What the pages say of notifications and migrations, on real servers. The replica stands still, so that a read which may be its
// misses what is new.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import makeKnex, { type Knex } from 'knex'
import type pg from 'pg'
import type { Pool } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, poolOn } from '../support/pools.js'

const COUNT = 'select count(*)::int as n from orders'

describe('recipes', () => {
  let cluster: Cluster

  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    const admin = await cluster.connect(0)
    await admin.query('create table orders (item text)')
    await admin.end()
  })
  beforeEach(async () => {
    const admin = await cluster.connect(0)
    await admin.query('truncate orders')
    await admin.end()
    await cluster.caughtUp(1, 0)
  })
  afterEach(async () => {
    await endPools()
    await cluster.resumeReplay(1).catch(() => {})
  })
  after(() => cluster?.destroy())

  async function still(options: object = {}): Promise<Pool> {
    const pool = poolOn(cluster, { maxLagMillis: Infinity, ...options })
    await pool.ready({ replicas: 1 })
    await cluster.pauseReplay(1)
    return pool
  }

  const count = async (pool: Pool | pg.PoolClient) => (await pool.query(COUNT)).rows[0].n

  it('LISTEN on a connection of the application’s own: a read may miss the row that it was told of', async () => {
    const reader = await still()
    const own = await cluster.connect(0)
    await own.query('listen orders')
    const told = once(own, 'notification')
    const writer = poolOn(cluster)
    await writer.query("insert into orders values ('tea')")
    await writer.query('notify orders')
    await told
    assert.equal(await count(reader), 0)
  })

  it('LISTEN on a client of the pool: the read has it', async () => {
    const reader = await still()
    const client = await reader.connect()
    await client.query('listen orders')
    const told = once(client, 'notification')
    const writer = poolOn(cluster)
    await writer.query("insert into orders values ('tea')")
    await writer.query('notify orders')
    await told
    assert.equal(await count(reader), 1)
    client.release(true)
  })

  it('the writer’s token in the payload: the read has it, whatever listens', async () => {
    const reader = await still({ readYourWrites: 'session' })
    const own = await cluster.connect(0)
    await own.query('listen orders')
    const told = once(own, 'notification') as Promise<[pg.Notification]>
    const writer = poolOn(cluster, { readYourWrites: 'session' })
    await writer.session(async () => {
      await writer.query("insert into orders values ('tea')")
      await writer.query("select pg_notify('orders', $1)", [await writer.token()])
    })
    const [{ payload }] = await told
    assert.equal(await reader.session(payload ?? null, () => count(reader)), 1)
  })

  it('Knex with transaction: false behind another process’s migrations, given a view of the primary: it runs none twice', async () => {
    const names: string[] = []
    const migrations = {
      getMigrations: async () => ['one', 'two'],
      getMigrationName: (name: string) => name,
      getMigration: async (name: string) => ({
        config: { transaction: false },
        up: async () => void names.push(name),
        down: async () => {},
      }),
    }
    const first = makeKnex({ client: 'pg', connection: cluster.config(0) })
    const pool = poolOn(cluster, { maxLagMillis: Infinity })
    const second = makeKnex({ client: 'pg', connectionPool: pool.view({ route: 'primary' }) } as Knex.Config)
    try {
      await pool.ready({ replicas: 1 })
      await cluster.pauseReplay(1)
      await first.migrate.latest({ migrationSource: migrations })
      await second.migrate.latest({ migrationSource: migrations })
      assert.deepEqual(names, ['one', 'two'])
    } finally {
      await first.destroy()
      await second.destroy()
    }
  })

  it('a migration in another process, and a view of the primary: it sees what is there', async () => {
    const pool = await still()
    const other = await cluster.connect(0)
    await other.query('create table migrations (name text)')
    await other.query("insert into migrations values ('first')")
    const done = 'select name from migrations'
    const migrating = pool.view({ route: 'primary' })
    assert.equal((await migrating.query(done)).rows.length, 1)
    const client = await migrating.connect()
    assert.equal((await client.query(done)).rows.length, 1)
    client.release()
    assert.equal((await migrating.transaction((inner) => inner.query(done))).rows.length, 1)
  })
})
