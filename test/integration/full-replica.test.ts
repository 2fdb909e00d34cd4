// A client that is out borrows what the replica can give at once. Where it can give nothing, the client's own connection is there
// and runs the statement; and where that connection is lost while it rests, what was borrowed goes on.

import assert from 'node:assert/strict'
import type { Client, PoolClient } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { failed } from '../support/failed.js'
import { endPools, eventually, poolOn } from '../support/pools.js'

const OPTIONS: PoolConfig = {
  maxLagMillis: Infinity,
  readYourWrites: 'off',
  replicaSafeFunctions: ['inet_server_port'],
}
const WHERE = 'select inet_server_port() as port'
/** Declared STABLE, so a replica runs it; it comes back when nobody holds the lock on the server that it runs on. */
const GATE = 77
const WAITS = 'select waits() as seven, inet_server_port() as port'

describe('a replica that has no connection left for a client that is out', () => {
  let cluster: Cluster
  let onPrimary: Client
  let onReplica: Client
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    onPrimary = await cluster.connect(0, 'postgres')
    onReplica = await cluster.connect(1, 'postgres')
    await onPrimary.query(`create table drinks (drink text); grant all on drinks to public;
      create function waits() returns int stable language plpgsql as
        $$ begin perform pg_advisory_lock_shared(${GATE}); perform pg_advisory_unlock_shared(${GATE}); return 7; end $$`)
    await cluster.caughtUp(1, 0)
  })
  afterEach(async () => {
    await onReplica.query('select pg_advisory_unlock_all()')
    await endPools()
    await onPrimary.query('truncate drinks')
  })
  after(() => cluster.destroy())

  async function ready(options: PoolConfig = {}): Promise<Pool> {
    const pool = poolOn(cluster, { ...OPTIONS, ...options })
    await pool.ready({ replicas: 1 })
    return pool
  }
  const ports = () => cluster.nodes.map(({ port }) => port)
  const portOf = async (on: Pool | PoolClient, query: string | object = WHERE) =>
    (await (on as PoolClient).query<{ port: number }>(query as string)).rows[0]?.port

  /** Takes every connection of the replica until the test is over; each way gives what lets one of them go. */
  const HOLDERS: Readonly<Record<string, (pool: Pool) => Promise<() => Promise<unknown>>>> = {
    'clients of a view of replicas': async (pool) => {
      const client = await pool.view({ route: 'replica' }).connect()
      let isHeld = true
      return async () => {
        if (isHeld) client.release()
        isHeld = false
      }
    },
    'READ ONLY transactions': async (pool) => {
      let over = () => {}
      const until = new Promise<void>((resolve) => {
        over = resolve
      })
      let begun = false
      const transaction = pool.transaction(
        async (client) => {
          assert.equal(await portOf(client), ports()[1])
          begun = true
          await until
        },
        { readOnly: true }
      )
      await eventually('it has begun', () => begun)
      return () => {
        over()
        return transaction
      }
    },
    'reads that go on': async (pool) => {
      const stop = new AbortController()
      const [running] = await sleepers()
      const read = pool.query({ text: 'select pg_sleep(100)', signal: stop.signal }).catch(() => {})
      await eventually('the replica runs it', async () => ((await sleepers())[0] ?? 0) > (running ?? 0))
      return async () => {
        stop.abort()
        await read
      }
    },
  }
  const sleepers = async () => {
    const { rows } = await onReplica.query<{ n: number }>(
      "select count(*)::int as n from pg_stat_activity where query = 'select pg_sleep(100)' and state = 'active'"
    )
    return rows.map(({ n }) => n)
  }

  /** What it gives, while all connections of the replica are held: it must not stand in line for one of them. */
  async function atOnce<T>(pool: Pool, answer: Promise<T>): Promise<T> {
    let over = false
    const ended = answer.finally(() => {
      over = true
    })
    ended.catch(() => {})
    await eventually('it is answered, or waits', () => over || pool.waitingCount > 0)
    assert.ok(over, 'it waits for a connection of the replica')
    return answer
  }

  const CASES = Object.entries(HOLDERS).flatMap(([holders, hold]) =>
    [{ max: 1 }, { max: 2 }, { max: 1, connectionTimeoutMillis: 500 }].map((options) => ({ holders, hold, options }))
  )
  for (const { holders, hold, options } of CASES) {
    describe(`${holders}, ${JSON.stringify(options)}`, () => {
      let pool: Pool
      let client: PoolClient
      let letGo: readonly (() => Promise<unknown>)[]
      beforeEach(async () => {
        pool = await ready(options)
        const held: (() => Promise<unknown>)[] = []
        for (let i = 0; i < options.max; i++) held.push(await hold(pool))
        letGo = held
        client = await pool.connect()
      })
      afterEach(async () => {
        client.release(true)
        await Promise.all(letGo.map((each) => each()))
      })

      it('a read runs on the primary', async () => {
        assert.equal(await atOnce(pool, portOf(client)), ports()[0])
        const config = { text: `${WHERE}, $1::int as n`, values: [7] }
        assert.equal(await atOnce(pool, portOf(client, config)), ports()[0])
      })

      it('a read with a callback, too', async () => {
        const answer = new Promise((resolve, reject) => {
          client.query(WHERE, (error, result) => (error ? reject(error) : resolve(result.rows[0].port)))
        })
        assert.equal(await atOnce(pool, answer), ports()[0])
      })

      it('a READ ONLY transaction runs there, from its BEGIN to its end', async () => {
        for (const begin of ['begin read only', 'begin isolation level repeatable read read only']) {
          await atOnce(pool, client.query(begin))
          assert.equal(client.getTransactionStatus(), 'T')
          assert.equal(await atOnce(pool, portOf(client)), ports()[0])
          await atOnce(pool, client.query('commit'))
          assert.equal(client.getTransactionStatus(), 'I')
        }
      })

      it('reads that were sent without waiting run there in their order', async () => {
        const texts = [1, 2, 3].map((n) => `select ${n} as n, inet_server_port() as port`)
        const answers = await atOnce(pool, Promise.all(texts.map((text) => client.query(text))))
        assert.deepEqual(
          answers.map(({ rows }) => rows[0]),
          [1, 2, 3].map((n) => ({ n, port: ports()[0] }))
        )
      })

      it('when the replica has a connection again, it is borrowed', async () => {
        assert.equal(await atOnce(pool, portOf(client)), ports()[0])
        await letGo[0]?.()
        await eventually('a read runs on the replica', async () => (await portOf(client)) === ports()[1])
      })
    })
  }

  it('an idle connection of a full replica is borrowed', async () => {
    const pool = await ready({ max: 1 })
    const client = await pool.connect()
    for (let i = 0; i < 3; i++) assert.equal(await portOf(client), ports()[1])
    client.release()
  })

  describe('where the client’s own session ends while that rests', () => {
    const RESTS = { min: 0, idleTimeoutMillis: 0 }
    let pool: Pool
    let client: PoolClient
    let pid: number
    beforeEach(async () => {
      pool = await ready({ ...RESTS })
      client = await pool.connect()
      client.on('error', () => {})
      pid = (client as unknown as { readonly processID: number }).processID
    })
    const lost = async () => {
      await onPrimary.query('select pg_terminate_backend($1)', [pid])
      await eventually('its session has ended', async () => {
        return (await onPrimary.query('select 1 from pg_stat_activity where pid = $1', [pid])).rowCount === 0
      })
    }
    /** A read of the replica that ends when this is called. */
    const gate = async () => {
      await onReplica.query('select pg_advisory_lock($1)', [GATE])
      return () => onReplica.query('select pg_advisory_unlock($1)', [GATE])
    }
    const reads = async (text: string | object = WAITS) => (await client.query(text as string)).rows

    it('a borrowed read has its rows', async () => {
      const open = await gate()
      const answer = reads()
      answer.catch(() => {})
      await lost()
      await open()
      assert.deepEqual(await answer, [{ seven: 7, port: ports()[1] }])
    })

    it('a borrowed transaction that rests goes on, and commits', async () => {
      await client.query('begin read only')
      assert.equal(await portOf(client), ports()[1])
      await lost()
      assert.equal(client.getTransactionStatus(), 'T')
      assert.equal(await portOf(client), ports()[1])
      assert.deepEqual(await reads({ text: 'select $1::int as n', values: [7] }), [{ n: 7 }])
      assert.equal((await client.query('commit')).command, 'COMMIT')
    })

    it('a statement that runs in a borrowed transaction has its rows', async () => {
      await client.query('begin isolation level repeatable read read only')
      const open = await gate()
      const answer = reads()
      answer.catch(() => {})
      await lost()
      await open()
      assert.deepEqual(await answer, [{ seven: 7, port: ports()[1] }])
      assert.equal((await client.query('rollback')).command, 'ROLLBACK')
    })

    it('a write behind it fails as that of a lost connection, and is not sent', async () => {
      await client.query('begin read only')
      await portOf(client)
      await lost()
      assert.equal((await client.query('commit')).command, 'COMMIT')
      const { outcome } = await failed(client.query("insert into drinks values ('tea')"))
      assert.equal(outcome, 'not-sent')
      assert.equal((await onPrimary.query('select 1 from drinks')).rowCount, 0)
    })

    it('what needs the primary inside of it fails, and the pool goes on', async () => {
      await client.query('begin read only')
      await portOf(client)
      await lost()
      const { outcome } = await failed(client.query('select pg_current_wal_lsn()'))
      assert.ok(outcome === 'not-sent' || outcome === 'rolled-back', outcome)
      client.release(true)
      const next = await pool.connect()
      assert.equal((await next.query("insert into drinks values ('salt')")).rowCount, 1)
      next.release()
    })

    it('a client that was given back then is not the next holder’s', async () => {
      await client.query('begin read only')
      await portOf(client)
      await lost()
      await client.query('commit')
      client.release()
      const next = await pool.connect()
      assert.notEqual(next, client)
      assert.equal((await next.query("insert into drinks values ('milk')")).rowCount, 1)
      next.release()
    })
  })

  describe('where the primary ends sessions that rest (idle_session_timeout)', () => {
    let pool: Pool
    before(function () {
      if (cluster.major >= 14) return
      console.log(`      skipped: idle_session_timeout came with 14, this is ${cluster.major}`)
      this.skip()
    })
    beforeEach(async () => {
      // Of the primary's connections only, and not of the pool's own probes.
      const onConnect = async (each: object) => {
        const { port, query } = each as Client
        if (port === ports()[0]) await Reflect.apply(query, each, ['set idle_session_timeout = 300'])
      }
      pool = await ready({ min: 0, idleTimeoutMillis: 0, onConnect } as PoolConfig)
    })
    /** By the server's clock, longer than any session may rest. */
    const longer = async () => {
      const now = async () =>
        Number((await onPrimary.query('select extract(epoch from clock_timestamp()) as s')).rows[0].s)
      const from = await now()
      await eventually('a second is over', async () => (await now()) - from > 1)
    }

    for (const [what, begin] of [
      ['a transaction on a replica', 'begin read only'],
      ['a transaction on a replica that has read', 'begin isolation level repeatable read read only'],
    ] as const) {
      it(`the session of a client lives as long as ${what}, which is its work`, async () => {
        const client = await pool.connect()
        await client.query(begin)
        if (what.endsWith('read')) assert.equal(await portOf(client), ports()[1])
        await longer()
        assert.equal((await client.query('commit')).command, 'COMMIT')
        assert.equal((await client.query("insert into drinks values ('kept')")).rowCount, 1)
        client.release()
      })
    }

    it('and as long as a borrowed read; one that reads again and again has a session to write in', async () => {
      const client = await pool.connect()
      await onReplica.query('select pg_advisory_lock($1)', [GATE])
      const answer = client.query(WAITS)
      await longer()
      await onReplica.query('select pg_advisory_unlock($1)', [GATE])
      await answer
      assert.equal((await client.query("insert into drinks values ('kept')")).rowCount, 1)
      const seen = new Set<unknown>()
      const over = longer().then(() => seen.add('over'))
      while (!seen.has('over')) seen.add(await portOf(client))
      await over
      assert.ok(seen.has(ports()[1]), 'some are borrowed')
      assert.equal((await client.query("insert into drinks values ('kept')")).rowCount, 1)
      await onPrimary.query("delete from drinks where drink = 'kept'")
      client.release()
    })
  })
})
