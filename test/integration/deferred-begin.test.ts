// BEGIN READ ONLY of a client is answered at once, and sent with the first statement: what its holder sees is what pg.Pool shows, and
// what the servers see is one transaction that begins when the first statement does, or none.

import assert from 'node:assert/strict'
import type { Client, PoolClient } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endOracles, oracleOn } from '../support/oracle.js'
import { play, type Step } from '../support/play.js'
import { endPools, keyOf, poolOn, served } from '../support/pools.js'

const NAME = 'deferred'
const OPTIONS: PoolConfig = { application_name: NAME, maxLagMillis: Infinity, readYourWrites: 'off' }

const OPENINGS = [
  'begin read only',
  'BEGIN WORK READ ONLY;',
  'start transaction read only',
  'begin isolation level repeatable read, read only',
  'begin transaction isolation level repeatable read read only deferrable',
] as const

/** What may come first, and what comes behind it. */
const FIRST: Readonly<Record<string, readonly Step[]>> = {
  nothing: [],
  'a read': ['select drink from drinks order by drink'],
  'a read with values': [['select drink from drinks where drink = $1', ['tea']]],
  'a prepared read': [[{ name: 'tea', text: 'select drink from drinks where drink = $1', values: ['tea'] }]],
  'rows as arrays': [[{ text: 'select drink from drinks order by drink', rowMode: 'array' }]],
  'an error': ['select 1/0', 'select 1'],
  'an error of its text': ['selec 1', 'select 1'],
  'a missing table': ['select * from nowhere', 'select 1'],
  'values that are none': [['select $1::int', 'none' as unknown as readonly unknown[]], 'select 1'],
  'a write': ["insert into drinks values ('salt')", 'select 1'],
  'a setting': ["set local work_mem = '1234kB'", 'show work_mem'],
  'an isolation level': ['set transaction isolation level repeatable read', 'show transaction_isolation'],
  'a savepoint': ['savepoint one', 'select 1/0', 'rollback to savepoint one', 'select 1'],
  'another BEGIN': ['begin', 'select 1'],
  'a BEGIN that reads only': ['begin read only', 'select 1'],
  'several statements': ['select 1; select 2'],
  'an empty text': [''],
  'what asks for its mode': ['show transaction_read_only', 'show transaction_isolation', 'show transaction_deferrable'],
  'what only the primary knows': ['select pg_current_wal_lsn() is not null as there'],
}
const ENDS = ['commit', 'END', 'rollback', 'abort work', 'commit and no chain'] as const

describe('BEGIN READ ONLY of a client', () => {
  let cluster: Cluster
  let admin: Client
  let onReplica: Client
  let onPrimary: Client
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    admin = await cluster.connect(0, 'postgres')
    await admin.query(`create table drinks (drink text); insert into drinks values ('tea'), ('milk');
      grant all on drinks to public`)
    await cluster.caughtUp(1, 0)
    onPrimary = admin
    onReplica = await cluster.connect(1, 'postgres')
  })
  afterEach(() => Promise.all([endPools(), endOracles()]))
  after(() => cluster.destroy())

  async function ready(options: object = {}): Promise<Pool> {
    const pool = poolOn(cluster, { ...OPTIONS, ...options })
    await pool.ready({ replicas: 1 })
    return pool
  }
  /** Sessions of the pool that are in a transaction. */
  const begun = async () => {
    let count = 0
    for (const client of [onPrimary, onReplica]) {
      const { rows } = await client.query<{ n: number }>(
        `select count(*)::int as n from pg_stat_activity where application_name = '${NAME}' and state like 'idle in transaction%'`
      )
      count += rows[0]?.n ?? 0
    }
    return count
  }
  const onReplicas = (pool: Pool) => served(pool)[keyOf(cluster, 1)] ?? 0
  async function held<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
    const client = await pool.connect()
    try {
      return await work(client)
    } finally {
      client.release()
    }
  }

  describe('is answered as on pg', () => {
    for (const opening of OPENINGS) {
      for (const [first, steps] of Object.entries(FIRST)) {
        it(`${opening}: ${first}`, async () => {
          const pool = await ready()
          for (const end of ENDS) {
            const all: readonly Step[] = [opening, ...steps, end, 'show transaction_isolation', end]
            assert.deepEqual(await play(pool, all), await play(oracleOn(cluster), all))
          }
        })
      }
    }

    it('its result is that of pg, in full', async () => {
      const pool = await ready()
      for (const text of ['begin read only', 'start transaction read only']) {
        const results = await held(pool, async (client) => [await client.query(text), await client.query('commit')])
        const plain = oracleOn(cluster)
        const expected = await held(plain as Pool, async (client) => [
          await client.query(text),
          await client.query('commit'),
        ])
        assert.deepEqual(results, expected)
        assert.equal(results[0]?.constructor, expected[0]?.constructor)
      }
    })

    it('with a callback, too', async () => {
      const pool = await ready()
      await held(pool, async (client) => {
        const command = await new Promise((resolve, reject) =>
          client.query('begin read only', (error: Error | null, result) =>
            error ? reject(error) : resolve(result.command)
          )
        )
        assert.equal(command, 'BEGIN')
        assert.equal(client.getTransactionStatus(), 'T')
      })
    })
  })

  describe('waits for the first statement', () => {
    it('no server has a transaction before it; the replica has one behind it', async () => {
      const pool = await ready()
      await held(pool, async (client) => {
        await client.query('begin read only')
        assert.equal(await begun(), 0)
        assert.equal(onReplicas(pool), 0)
        await client.query('select 1')
        assert.equal(await begun(), 1)
        assert.equal(onReplicas(pool), 1)
        await client.query('commit')
        assert.equal(await begun(), 0)
      })
    })

    it('without a statement nothing is sent', async () => {
      const pool = await ready()
      await held(pool, async (client) => {
        await client.query('select 1')
        const before = pool.totalCount
        await client.query('begin read only')
        await client.query('rollback')
        assert.equal(client.getTransactionStatus(), 'I')
        assert.equal(pool.totalCount, before)
        assert.equal(onReplicas(pool), 1, 'the read alone')
      })
    })

    it('the first statement sees what the pool has written since', async () => {
      const pool = await ready({ readYourWrites: 'pool' })
      await held(pool, async (client) => {
        await client.query('begin read only')
        await pool.query("insert into drinks values ('coffee')")
        const { rows } = await client.query("select drink from drinks where drink = 'coffee'")
        assert.equal(rows.length, 1)
        await client.query('commit')
      })
      await pool.query("delete from drinks where drink = 'coffee'")
    })

    it('a cursor of SQL works in it', async () => {
      const pool = await ready()
      const steps: readonly Step[] = [
        'begin read only',
        'declare c cursor for select drink from drinks order by drink',
        'fetch 1 from c',
        'close c',
        'commit',
      ]
      assert.deepEqual(await play(pool, steps), await play(oracleOn(cluster), steps))
    })

    it('a client that is given back before it leaves nothing behind', async () => {
      const pool = await ready({ max: 1 })
      const pids: unknown[] = []
      for (let i = 0; i < 2; i++) {
        await held(pool, async (client) => {
          assert.equal(client.getTransactionStatus(), 'I')
          pids.push((client as unknown as { processID: number }).processID)
          await client.query('begin read only')
        })
      }
      assert.equal(pids[0], pids[1], 'the connection is kept')
      assert.equal((await pool.query('select 1 as one')).rows[0].one, 1)
    })

    it('statements that are sent without waiting for it keep their order', async () => {
      const pool = await ready()
      await held(pool, async (client) => {
        const seen = await Promise.all(
          ['begin read only', 'select 1', 'savepoint one', 'select 2', 'commit', 'select 3'].map(async (text) => {
            const { command } = await client.query(text)
            return command
          })
        )
        assert.deepEqual(seen, ['BEGIN', 'SELECT', 'SAVEPOINT', 'SELECT', 'COMMIT', 'SELECT'])
        assert.equal(client.getTransactionStatus(), 'I')
      })
    })
  })

  describe('is sent at once', () => {
    const CASES: Readonly<Record<string, (pool: Pool, client: PoolClient) => unknown>> = {
      'where something has wrapped query() of the client': (_, client) => {
        const query = client.query.bind(client)
        Object.assign(client, { query: (...args: Parameters<typeof query>) => query(...args) })
      },
    }
    for (const [name, prepare] of Object.entries(CASES)) {
      it(name, async () => {
        const pool = await ready()
        await held(pool, async (client) => {
          await prepare(pool, client)
          await client.query('begin read only')
          assert.equal(await begun(), 1)
          await client.query('rollback')
        })
      })
    }

    it('behind a hook', async () => {
      const pool = await ready({ onConnect: async () => {} })
      await held(pool, async (client) => {
        await client.query('begin read only')
        assert.equal(await begun(), 1)
        await client.query('rollback')
      })
    })

    it('behind a listener of connect that has set something up', async () => {
      const pool = poolOn(cluster, OPTIONS)
      pool.on('connect', (client) => void client.query("set statement_timeout = '9s'"))
      await pool.ready({ replicas: 1 })
      await held(pool, async (client) => {
        await client.query('begin read only')
        assert.equal(await begun(), 1)
        await client.query('rollback')
      })
    })
  })
})
