// `route: 'replica'` on a text that is not taken for a read never runs on the primary, whatever else is known or not.

import assert from 'node:assert/strict'
import type pg from 'pg'
import Cursor from 'pg-cursor'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, poolOn } from '../support/pools.js'

const REFUSED: ReadonlySet<string> = new Set(['PGHERD_NO_REPLICA', '25006'])
const WRITE = "insert into marks values ('written')"
const TWO = `select 1; ${WRITE}`
/** Declared VOLATILE, so it is no read. */
const HIDDEN = 'select mark()'

type Attempt = (pool: Pool) => Promise<unknown>

async function onClient(pool: Pool, work: (client: pg.PoolClient) => Promise<unknown>): Promise<unknown> {
  const client = await pool.connect()
  try {
    return await work(client)
  } finally {
    client.release(true)
  }
}

const replicas = (pool: Pool) => pool.view({ route: 'replica' })

const ATTEMPTS: Readonly<Record<string, Attempt>> = {
  'query() with route': (pool) => pool.query({ text: WRITE, route: 'replica' } as never),
  'query() with its hint': (pool) => pool.query(`/* pgherd:replica */ ${WRITE}`),
  'query() with its hint behind white space, in capitals': (pool) => pool.query(` \n/*PGHERD:REPLICA*/ ${WRITE}`),
  'a view': (pool) => replicas(pool).query(WRITE),
  'a view of a view': (pool) => replicas(pool).view({ maxLagMillis: 5000 }).query(WRITE),
  'several statements in one text': (pool) => replicas(pool).query(TWO),
  'a function that writes': (pool) => replicas(pool).query(HIDDEN),
  'a named statement': (pool) => replicas(pool).query({ name: 'mark', text: WRITE }),
  'COPY on a view': (pool) => replicas(pool).query('copy marks from stdin'),
  'a client of a view': (pool) => onClient(replicas(pool), (client) => client.query(WRITE)),
  'a client of a view, several statements': (pool) => onClient(replicas(pool), (client) => client.query(TWO)),
  'a client of a view, in a transaction': (pool) =>
    onClient(replicas(pool), async (client) => {
      await client.query('begin')
      await client.query('select 1')
      await client.query(WRITE)
      await client.query('commit')
    }),
  'a client of a view, a named statement': (pool) =>
    onClient(replicas(pool), (client) => client.query({ name: 'mark', text: WRITE })),
  'a client of a view, a callback': (pool) =>
    onClient(
      replicas(pool),
      (client) =>
        new Promise((resolve, reject) => client.query(WRITE, (error) => (error ? reject(error) : resolve(null))))
    ),
  'a client of a view, a cursor': (pool) =>
    onClient(
      replicas(pool),
      (client) =>
        new Promise((resolve, reject) =>
          client.query(new Cursor(WRITE)).read(1, (error) => (error ? reject(error) : resolve(null)))
        )
    ),
  'a client of a view, COPY': (pool) => onClient(replicas(pool), (client) => client.query('copy marks from stdin')),
  'a client of a view, PREPARE and EXECUTE': (pool) =>
    onClient(replicas(pool), async (client) => {
      await client.query(`prepare mark as ${WRITE}`)
      await client.query('execute mark')
    }),
  'a client of a view, WITH': (pool) =>
    onClient(replicas(pool), (client) => client.query(`with w as (${WRITE} returning 1) select * from w`)),
  'a client of a view, EXPLAIN ANALYZE': (pool) =>
    onClient(replicas(pool), (client) => client.query(`explain analyze ${WRITE}`)),
  'a transaction of a view': (pool) => replicas(pool).transaction((client) => client.query(WRITE)),
  'a READ ONLY transaction of a view': (pool) =>
    replicas(pool).transaction((client) => client.query(WRITE), { readOnly: true }),
  'a READ ONLY transaction': (pool) =>
    pool.transaction((client) => client.query({ text: WRITE, route: 'replica' } as never), { readOnly: true }),
  'a client of the primary, with route': (pool) =>
    onClient(pool, (client) => client.query({ text: WRITE, route: 'replica' } as never)),
  'a client of the primary, with its hint': (pool) =>
    onClient(pool, (client) => client.query(`/* pgherd:replica */ ${WRITE}`)),
}

const OPTIONS: Readonly<Record<string, PoolConfig>> = {
  'one server': {},
  'one server, whenStale error': { whenStale: 'error' },
  'one server, no borrowing': { routeClients: false },
  "one server, discovery 'dns'": { discovery: 'dns' },
  'one server, observed': { routing: 'observe' },
  'one server, targetSessionAttrs primary': { targetSessionAttrs: 'primary' },
  'one server, targetSessionAttrs prefer-standby': { targetSessionAttrs: 'prefer-standby' },
  'one server, a connectionTimeoutMillis': { connectionTimeoutMillis: 5000 },
}

describe('a replica is insisted on', () => {
  let alone: Cluster
  let pair: Cluster

  before(async () => {
    ;[alone, pair] = await Promise.all([startCluster({ replicas: 0 }), startCluster({ replicas: 1 })])
    for (const cluster of [alone, pair]) {
      const client = await cluster.connect(0)
      await client.query('create table marks (text text)')
      await client.query(
        "create function mark() returns void language sql as $$ insert into marks values ('called') $$"
      )
      await client.query('create function twice(int) returns int stable language sql as $$ select 2 * $1 $$')
    }
    await pair.caughtUp(1, 0)
  })
  afterEach(endPools)
  after(() => Promise.all([alone?.destroy(), pair?.destroy()]))

  /** What is wrong with what came of an attempt; null: nothing. */
  async function verdictOn(pool: Pool, attempt: Attempt): Promise<string | null> {
    const error: { code?: string; outcome?: string } | null = await attempt(pool).then(
      () => null,
      (thrown) => thrown
    )
    if (error === null) return 'resolved'
    if (!REFUSED.has(error.code ?? '')) return String(error)
    // Inside transaction() the whole of it is rolled back.
    const isHarmless = error.outcome === 'not-sent' || error.outcome === 'rolled-back'
    return error.code === '25006' || isHarmless ? null : `outcome ${error.outcome}`
  }

  /** Each attempt on a pool of its own, which knows nothing yet. */
  async function refuse(cluster: Cluster, poolOf: () => Pool, attempts = ATTEMPTS): Promise<void> {
    const names = Object.entries(attempts)
    const found = await Promise.all(
      names.map(async ([name, attempt]) => {
        const wrong = await verdictOn(poolOf(), attempt)
        return wrong === null ? [] : [`${name}: ${wrong}`]
      })
    )
    await endPools()
    const client = await cluster.connect(0)
    const { rows } = await client.query('delete from marks returning text')
    await client.end()
    assert.deepEqual(found.flat(), [])
    assert.deepEqual(rows, [], 'it ran on the primary')
  }

  for (const [circumstances, options] of Object.entries(OPTIONS)) {
    it(`${circumstances}: no write runs on the primary`, () => refuse(alone, () => poolOn(alone, options)))
  }

  it('one server is named, and its replica is found', () => refuse(pair, () => poolOn(pair, {}, 'app', [0])))

  it('both servers are named', () => refuse(pair, () => poolOn(pair)))

  it('both servers are named, and known', async () => {
    const pool = poolOn(pair, { max: 30 })
    await pool.ready({ replicas: 1 })
    await refuse(pair, () => pool)
  })

  it('the only server is a standby: it refuses, or that is said at once', async () => {
    await refuse(pair, () => poolOn(pair, { discovery: 'dns' }, 'app', [1]))
  })

  it('a client of a replica that has been promoted meanwhile: never', async () => {
    const cluster = await startCluster({ replicas: 1 })
    try {
      const admin = await cluster.connect(0)
      await admin.query('create table marks (text text)')
      await cluster.caughtUp(1, 0)
      const pool = poolOn(cluster)
      await pool.ready({ replicas: 1 })
      const client = await replicas(pool).connect()
      await cluster.stop(0, 'fast')
      await cluster.promote(1)
      await eventually(
        'the new primary is known',
        () => pool.topology().primary === `127.0.0.1:${cluster.node(1).port}`
      )
      await assert.rejects(client.query(WRITE))
      client.release(true)
      const { rows } = await pool.query('select from marks')
      assert.equal(rows.length, 0)
    } finally {
      await endPools()
      await cluster.destroy()
    }
  })

  describe('on a machine with one server', () => {
    it('reads, functions that only read, clients and transactions of a view work', async () => {
      const pool = replicas(poolOn(alone))
      assert.deepEqual((await pool.query('select 1 as one')).rows, [{ one: 1 }])
      assert.deepEqual((await pool.query('select twice(2) as four')).rows, [{ four: 4 }])
      assert.match(pool.explain('select twice(2)').intent, /read/)
      const client = await pool.connect()
      await client.query('begin read only')
      assert.deepEqual((await client.query('select twice($1::int) as four', [2])).rows, [{ four: 4 }])
      await client.query("set local statement_timeout = '5s'")
      await client.query('savepoint a')
      await client.query('rollback to savepoint a')
      await client.query('commit')
      await client.query('set search_path = public')
      client.release(true)
      const again = await pool.connect()
      assert.deepEqual(await again.query(new Cursor('select 1 as one')).read(1), [{ one: 1 }])
      again.release(true)
      const answer = await pool.transaction(async (inner) => (await inner.query('select twice(4) as n')).rows[0]?.n)
      assert.equal(answer, 8)
    })

    it("with whenStale 'error' nothing of a view runs", async () => {
      const pool = replicas(poolOn(alone, { whenStale: 'error' }))
      await assert.rejects(pool.query('select 1'), { code: 'PGHERD_NO_REPLICA' })
      await assert.rejects(pool.connect(), { code: 'PGHERD_NO_REPLICA' })
    })

    it('a server that is not there fails as with pg, at once', async () => {
      const pool = replicas(poolOn(alone, { port: [1], host: ['127.0.0.1'] }))
      await assert.rejects(pool.query(WRITE), { code: 'ECONNREFUSED' })
      await assert.rejects(pool.connect(), { code: 'ECONNREFUSED' })
    })
  })
})
