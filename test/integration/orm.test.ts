// examples/orm on real servers: what each library's statements came to is read from the servers' own logs.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text, withReplicas } from 'drizzle-orm/pg-core'
import { Kysely, PostgresDialect } from 'kysely'
import Cursor from 'pg-cursor'
import { withDrizzle } from '../../examples/orm/drizzle.js'
import { withKnex } from '../../examples/orm/knex.js'
import { type Shop, withKysely } from '../../examples/orm/kysely.js'
import { withPrisma } from '../../examples/orm/prisma.js'
import { dataSourceWith, poolOf, withTypeorm } from '../../examples/orm/typeorm.js'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, keyOf, poolOn, served } from '../support/pools.js'

const NAME = 'shop'
const TABLE = `
  drop table if exists orders;
  create table orders (id int generated always as identity primary key, item text not null, price int not null)`

/** A commit is acknowledged once the replica shows it, so no read has to be proven. */
const ANY_REPLICA: PoolConfig = { maxLagMillis: Infinity, readYourWrites: 'off' }
const EXPECTED = { items: ['tea', 'jam'], found: 3, raised: 4, total: 9 }

const READ_ONLY = ['begin read only', 'select', 'commit']
const TRANSACTION = ['begin', 'update', 'select', 'commit']

interface Library {
  /** Uses the pool, and ends it if the library does. */
  readonly run: (pool: Pool) => Promise<object>
  readonly primary: readonly string[]
  readonly replica: readonly string[]
}

const GIVEN_A_POOL: Readonly<Record<string, Library>> = {
  drizzle: {
    run: withDrizzle,
    primary: ['insert', ...TRANSACTION],
    replica: ['select', 'select', ...READ_ONLY],
  },
  kysely: {
    run: withKysely,
    primary: ['insert', ...TRANSACTION],
    replica: ['select', 'select', ...READ_ONLY],
  },
  knex: {
    run: withKnex,
    primary: ['insert', ...TRANSACTION],
    replica: ['select', 'select', ...READ_ONLY],
  },
  prisma: {
    run: withPrisma,
    primary: ['insert', 'begin', 'set', 'update', 'select', 'commit'],
    replica: ['select', 'select', 'select'],
  },
}

const TYPEORM = {
  primary: ['begin', 'insert', 'commit', ...TRANSACTION],
  replica: ['select', 'select', ...READ_ONLY],
}

/** Of a statement: its first word, and of one that begins a transaction whether that only reads. */
function kindOf(text: string): string {
  const [word = ''] = text.toLowerCase().split(/[^a-z]/, 1)
  if (word !== 'begin' && word !== 'start') return word
  return /read only/i.test(text) ? 'begin read only' : 'begin'
}

describe('ORMs', () => {
  let cluster: Cluster
  let logged: number[] = []

  before(async () => {
    cluster = await startCluster({
      replicas: 1,
      synchronous: 'ANY 1 (*)',
      settings: { synchronous_commit: 'remote_apply', log_statement: 'all', log_line_prefix: '%a|%p|' },
    })
    await cluster.streaming(0, 1)
  })
  after(() => cluster.destroy())
  beforeEach(async () => {
    const admin = await cluster.connect(0)
    await admin.query(TABLE)
    await admin.end()
  })
  afterEach(endPools)

  const notice = () => {
    logged = cluster.nodes.map(({ index }) => cluster.log(index).length)
  }

  /** What the node was asked since notice(), as far as it is a transaction's, or about orders: [session, kind]. */
  function asked(index: number): readonly (readonly [session: string, kind: string])[] {
    const line = new RegExp(`^${NAME}\\|(\\d+)\\|LOG: {2}(?:statement|execute [^:]*): (.*)$`, 'gm')
    const found = [...cluster.log(index).slice(logged[index]).matchAll(line)]
    return found
      .map(([, session = '', text = '']) => ({ session, text, kind: kindOf(text) }))
      .filter(({ text, kind }) => /\borders\b/.test(text) || /^(?:begin|commit|rollback|set)/.test(kind))
      .map(({ session, kind }) => [session, kind] as const)
  }

  const kinds = (index: number) => asked(index).map(([, kind]) => kind)

  function oneSessionPerTransaction(index: number): void {
    let session: string | null = null
    for (const [asker, kind] of asked(index)) {
      if (kind.startsWith('begin')) session = asker
      if (session !== null) assert.equal(asker, session, `${kind} of a transaction in a session of its own`)
      if (kind === 'commit') session = null
    }
  }

  function wentWhereTheyBelong({ primary, replica }: Pick<Library, 'primary' | 'replica'>): void {
    assert.deepEqual({ primary: kinds(0), replica: kinds(1) }, { primary, replica })
    for (const index of [0, 1]) oneSessionPerTransaction(index)
  }

  /** With the defaults a read may be the primary's; the writes and transactions are so in any case. */
  function neverWroteOnTheReplica({ primary, replica }: Pick<Library, 'primary' | 'replica'>): void {
    const all = [...kinds(0), ...kinds(1)]
    assert.deepEqual(all.toSorted(), [...primary, ...replica].toSorted())
    const reading = new Set(['select', ...READ_ONLY])
    assert.deepEqual(
      kinds(1).filter((kind) => !reading.has(kind)),
      []
    )
    for (const index of [0, 1]) oneSessionPerTransaction(index)
  }

  const replicaServed = (pool: Pool) => served(pool)[keyOf(cluster, 1)] ?? 0
  const units = (replica: readonly string[]) => replica.filter((kind) => kind === 'select').length

  for (const [name, library] of Object.entries(GIVEN_A_POOL)) {
    it(`${name}: reads on the replica, writes and transactions on the primary`, async () => {
      const pool = poolOn(cluster, { ...ANY_REPLICA, application_name: NAME })
      await pool.ready({ replicas: 1 })
      notice()
      assert.deepEqual(await library.run(pool), EXPECTED)
      wentWhereTheyBelong(library)
      // A transaction is one decision, and so is each read outside of one.
      assert.ok(replicaServed(pool) >= units(library.replica), JSON.stringify(pool.decisions()))
      if (!pool.ending) await pool.end()
    })

    it(`${name}: right with the defaults`, async () => {
      const pool = poolOn(cluster, { application_name: NAME })
      notice()
      assert.deepEqual(await library.run(pool), EXPECTED)
      neverWroteOnTheReplica(library)
      if (!pool.ending) await pool.end()
    })
  }

  async function typeorm(options: PoolConfig) {
    const { user, password, database } = cluster.config(0)
    const host = cluster.nodes.map((node) => node.host)
    const port = cluster.nodes.map((node) => node.port)
    const own = { user, password, database, host, port, application_name: NAME }
    const source = await dataSourceWith({ ...own, ...options }).initialize()
    return { source, pool: poolOf(source) }
  }

  it('typeorm: reads on the replica, writes and transactions on the primary', async () => {
    const { source, pool } = await typeorm(ANY_REPLICA)
    try {
      await pool.ready({ replicas: 1 })
      notice()
      assert.deepEqual(await withTypeorm(source), EXPECTED)
      wentWhereTheyBelong(TYPEORM)
      assert.ok(replicaServed(pool) >= units(TYPEORM.replica), JSON.stringify(pool.decisions()))
    } finally {
      await source.destroy()
    }
    assert.equal(pool.ended, true)
  })

  it('typeorm: right with the defaults', async () => {
    const { source } = await typeorm({})
    try {
      notice()
      assert.deepEqual(await withTypeorm(source), EXPECTED)
      neverWroteOnTheReplica(TYPEORM)
    } finally {
      await source.destroy()
    }
  })

  it('routeClients: false keeps all that is done on a client on the primary', async () => {
    for (const run of [withKysely, withKnex]) {
      const pool = poolOn(cluster, { ...ANY_REPLICA, routeClients: false, application_name: NAME })
      await pool.ready({ replicas: 1 })
      notice()
      await run(pool)
      assert.deepEqual(kinds(1), [])
      assert.deepEqual(kinds(0), ['insert', 'select', 'select', ...TRANSACTION, ...READ_ONLY])
    }
  })

  it('kysely: a stream is the primary’s, or of a view of replicas a replica’s', async () => {
    const pool = poolOn(cluster, { ...ANY_REPLICA, application_name: NAME })
    await pool.ready({ replicas: 1 })
    for (const [index, given] of [pool.view(), pool.view({ route: 'replica' })].entries()) {
      const db = new Kysely<Shop>({ dialect: new PostgresDialect({ pool: given, cursor: Cursor }) })
      notice()
      for await (const _ of db.selectFrom('orders').selectAll().stream()) assert.fail('there are none')
      assert.deepEqual([kinds(index), kinds(1 - index)], [['select'], []])
      await db.destroy()
    }
    assert.equal(pool.ending, false, 'a view ends alone')
  })

  it('drizzle: withReplicas() over two views', async () => {
    const pool = poolOn(cluster, { ...ANY_REPLICA, application_name: NAME })
    await pool.ready({ replicas: 1 })
    const orders = pgTable('orders', { item: text('item'), price: integer('price') })
    const client = (route: 'primary' | 'replica') => drizzle({ client: pool.view({ route }) })
    const db = withReplicas(client('primary'), [client('replica')])
    notice()
    await db.insert(orders).values({ item: 'tea', price: 3 })
    assert.deepEqual(await db.select().from(orders), [{ item: 'tea', price: 3 }])
    assert.equal((await db.$primary.select().from(orders)).length, 1)
    await db.transaction((tx) => tx.update(orders).set({ price: 4 }))
    wentWhereTheyBelong({ primary: ['insert', 'select', 'begin', 'update', 'commit'], replica: ['select'] })
  })

  it('prisma: an adapter for each view', async () => {
    const pool = poolOn(cluster, { ...ANY_REPLICA, application_name: NAME })
    await pool.ready({ replicas: 1 })
    const plain = (sql: string) => ({ sql, args: [], argTypes: [] })
    const adapter = (route: 'primary' | 'replica') => new PrismaPg(pool.view({ route })).connect()
    const [primary, replica] = await Promise.all([adapter('primary'), adapter('replica')])
    notice()
    await primary.executeRaw(plain("insert into orders (item, price) values ('tea', 3)"))
    for (const each of [primary, replica]) {
      assert.deepEqual((await each.queryRaw(plain('select item from orders'))).rows, [['tea']])
    }
    await assert.rejects(replica.executeRaw(plain('delete from orders')), /read-only transaction/)
    wentWhereTheyBelong({ primary: ['insert', 'select'], replica: ['select', 'delete'] })
    for (const each of [primary, replica]) await each.dispose()
    assert.equal(pool.ending, false)
  })

  it('typeorm: what save() reads first is a replica’s, and in a transaction the primary’s', async () => {
    const { source, pool } = await typeorm(ANY_REPLICA)
    try {
      await pool.ready({ replicas: 1 })
      const [first] = await source.getRepository('orders').save([{ item: 'tea', price: 3 }])
      assert.ok(first)
      notice()
      await source.getRepository('orders').save({ ...first, price: 4 })
      assert.deepEqual([kinds(0), kinds(1)], [['begin', 'update', 'commit'], ['select']])
      notice()
      await source.transaction((manager) => manager.save('orders', { ...first, price: 5 }))
      assert.deepEqual([kinds(0), kinds(1)], [['begin', 'select', 'update', 'commit'], []])
    } finally {
      await source.destroy()
    }
  })

  for (const name of [...Object.keys(GIVEN_A_POOL), 'typeorm']) {
    it(`${name}: the process ends by itself`, async () => {
      const { user, password, database } = cluster.config(0)
      const hosts = cluster.nodes.map((node) => `${node.host}:${node.port}`).join(',')
      const DATABASE_URL = `postgres://${user}:${password}@${hosts}/${database}`
      const program = fileURLToPath(new URL('../../examples/orm/run.js', import.meta.url))
      const options = { env: { ...process.env, DATABASE_URL }, timeout: 20_000 }
      const { stdout } = await promisify(execFile)(process.execPath, [program, name], options)
      assert.match(stdout, /total: 9/)
    })
  }
})
