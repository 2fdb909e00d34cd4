// Every error of a statement says what became of it, also on clients of connect(), in transactions, and at the end of the pool.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Client } from 'pg'
import Cursor from 'pg-cursor'
import type { Pool, PoolClient } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, tracked } from '../support/pools.js'
import { Relay } from '../support/relay.js'

interface Failed {
  readonly code?: string
  readonly message?: string
  readonly outcome?: string
}

async function outcomeOf(work: Promise<unknown> | (() => Promise<unknown>)): Promise<string | undefined> {
  const error: Failed | null = await (typeof work === 'function' ? work() : work).then(
    () => null,
    (error: Failed) => error
  )
  assert.ok(error, 'it did not fail')
  return error.outcome
}

const SLOW = 'insert into items select 7 from pg_sleep(60)'

describe('what became of a statement', () => {
  let cluster: Cluster
  let relay: Relay
  let admin: Client
  let pool: Pool
  before(async () => {
    cluster = await startCluster({ replicas: 0 })
    admin = await cluster.connect(0, 'postgres')
    await admin.query('create table items (id int unique deferrable initially deferred)')
    await admin.query('grant all on items to app')
  })
  after(() => cluster.destroy())
  beforeEach(async () => {
    relay = await Relay.start(cluster.node(0))
    await admin.query('truncate items; insert into items values (1)')
    const { user, password, database } = cluster.config(0)
    pool = tracked({ user, password, database, host: relay.host, port: relay.port })
  })
  afterEach(async () => {
    await relay.close()
    await endPools()
  })

  const on = async (work: (client: PoolClient) => Promise<void>) => {
    const client = await pool.connect()
    client.on('error', () => undefined)
    try {
      await work(client)
    } finally {
      client.release(true)
    }
  }
  /** While the server is at work on it. */
  const cut = async (text: string, how: 'reset' | 'terminate') => {
    const mine = "from pg_stat_activity where query = $1 and state = 'active' and pid <> pg_backend_pid()"
    await eventually('it runs', async () => (await admin.query(`select 1 ${mine}`, [text])).rowCount === 1)
    if (how === 'reset') relay.reset()
    await admin.query(`select pg_terminate_backend(pid) ${mine}`, [text])
  }

  it('on a client, outside of a transaction: as with query()', () =>
    on(async (client) => {
      assert.equal(await outcomeOf(client.query('select nonsense')), 'rolled-back')
      assert.equal(await outcomeOf(client.query('insert into items values ($1)', [1])), 'rolled-back')
      assert.equal(await outcomeOf(client.query('select 1; select 1/0')), 'rolled-back')
      assert.equal(await outcomeOf(client.query('select 1; commit; select 1/0')), 'unknown')
      const slow = outcomeOf(client.query(SLOW))
      await cut(SLOW, 'reset')
      assert.equal(await slow, 'unknown')
      assert.equal(await outcomeOf(client.query('select 1')), 'not-sent')
    }))

  it('on a client, when the server says that it ends the session', () =>
    on(async (client) => {
      const slow = outcomeOf(client.query(SLOW))
      await cut(SLOW, 'terminate')
      assert.equal(await slow, 'rolled-back')
    }))

  it('of a BEGIN: nothing stays of that', () =>
    on(async (client) => {
      const fault = relay.impose({ silent: ['toClient'] })
      const begun = outcomeOf(client.query('begin'))
      await eventually('it has begun', async () => {
        const text = "select 1 from pg_stat_activity where state = 'idle in transaction' and query = 'begin'"
        return (await admin.query(text)).rowCount === 1
      })
      relay.reset()
      assert.equal(await begun, 'rolled-back')
      fault.lift('reset')
    }))

  it('to a callback, and to a cursor', () =>
    on(async (client) => {
      const told = await new Promise<Failed>((resolve) =>
        client.query('select nonsense', (error: unknown) => resolve(error as Failed))
      )
      assert.equal(told.outcome, 'rolled-back')
      const cursor = client.query(new Cursor('select 1/(3 - n) as q from generate_series(1, 5) as n'))
      assert.equal(
        await outcomeOf(async () => {
          for (;;) await cursor.read(1)
        }),
        'rolled-back'
      )
    }))

  it('in a transaction whatever breaks is undone, but for a COMMIT that was sent', () =>
    on(async (client) => {
      await client.query('begin')
      const slow = outcomeOf(client.query(SLOW))
      await cut(SLOW, 'reset')
      assert.equal(await slow, 'rolled-back')
      assert.equal(await outcomeOf(client.query('commit')), 'not-sent')
    }))

  it('of a COMMIT: refused by the server, or never answered', async () => {
    await on(async (client) => {
      await client.query('begin')
      await client.query('insert into items values (1)')
      assert.equal(await outcomeOf(client.query('commit')), 'rolled-back')
    })
    for (const text of ['commit', 'insert into items values (3); commit']) {
      await on(async (client) => {
        await client.query('begin')
        const fault = relay.impose({ silent: ['toClient'] })
        const committed = outcomeOf(client.query(text))
        await eventually(
          'it is committed',
          async () =>
            (await admin.query("select 1 from pg_stat_activity where state = 'idle' and query = $1", [text]))
              .rowCount === 1
        )
        relay.reset()
        assert.equal(await committed, 'unknown')
        fault.lift('reset')
      })
    }
  })

  it('of what the server did, and the client could not read', () =>
    on(async (client) => {
      client.setTypeParser(23, () => {
        throw new Error('no number')
      })
      await client.query('begin')
      assert.equal(await outcomeOf(client.query('insert into items values (5) returning id')), 'unknown')
      await client.query('commit')
      assert.equal((await admin.query('select 1 from items where id = 5')).rowCount, 1)
    }))

  it('of what takes longer than query_timeout', () =>
    on(async (client) => {
      assert.equal(
        await outcomeOf(client.query({ text: 'select pg_sleep(0.3)', query_timeout: 20 } as { text: string })),
        'unknown'
      )
    }))

  it('of what cannot be sent', async () => {
    const circular: { self?: unknown } = {}
    circular.self = circular
    const forms: readonly unknown[] = [{ text: 'select $1', values: [circular] }, { text: 'select 1', values: 1 }, {}]
    for (const form of forms) {
      assert.equal(await outcomeOf(pool.query(form as string)), 'not-sent')
      await on(async (client) => assert.equal(await outcomeOf(client.query(form as string)), 'not-sent'))
    }
  })

  it('of a transaction: whatever its function throws, it is undone', async () => {
    assert.equal(await outcomeOf(pool.transaction((client) => client.query('select nonsense'))), 'rolled-back')
    assert.equal(
      await outcomeOf(
        pool.transaction(async () => {
          throw new Error('sold out')
        })
      ),
      'rolled-back'
    )
    assert.equal(
      await outcomeOf(pool.transaction((client) => client.query('insert into items values (1)'))),
      'rolled-back'
    )
    const slow = outcomeOf(pool.transaction((client) => client.query(SLOW)))
    await cut(SLOW, 'reset')
    assert.equal(await slow, 'rolled-back')
  })

  it('of a transaction whose function has committed by itself: nobody knows', async () => {
    const work = async (client: PoolClient) => {
      await client.query('insert into items values (6)')
      await client.query('commit')
      throw new Error('too late')
    }
    assert.equal(await outcomeOf(pool.transaction(work)), 'unknown')
  })

  it('of a transaction whose COMMIT is not answered', async () => {
    const work = pool.transaction(async (client) => {
      await client.query('insert into items values (8)')
      relay.impose({ silent: ['toClient'] })
    })
    const told = outcomeOf(work)
    await eventually(
      'it is committed',
      async () => (await admin.query('select 1 from items where id = 8')).rowCount === 1
    )
    relay.reset()
    assert.equal(await told, 'unknown')
  })

  it('of what the end of the pool refuses', async () => {
    await relay.refuse()
    const patient = tracked({ host: '127.0.0.1,127.0.0.1', port: [relay.port, 1], failoverTimeoutMillis: 60_000 })
    const waiting = [patient.query('select 1'), patient.connect(), patient.transaction(async () => {})].map((work) =>
      outcomeOf(work)
    )
    await eventually('they wait', () => patient.health().waiting === 3)
    await patient.end()
    assert.deepEqual(await Promise.all(waiting), ['not-sent', 'not-sent', 'not-sent'])
    for (const late of [
      () => patient.query('select 1'),
      () => patient.connect(),
      () => patient.transaction(async () => {}),
    ]) {
      assert.equal(await outcomeOf(late), 'not-sent')
    }
  })
})

describe('what became of a statement that ran on a borrowed replica', () => {
  let cluster: Cluster
  let relay: Relay
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    relay = await Relay.start(cluster.node(0))
  })
  after(async () => {
    await Promise.all([relay.close(), endPools()])
    await cluster.destroy()
  })

  it('when the client that borrows loses its own connection', async () => {
    const { user, password, database, host } = cluster.config(0, 'monitor')
    const pool = tracked({ user, password, database, host: [host, host], port: [relay.port, cluster.node(1).port] })
    await pool.ready({ replicas: 1 })
    const replica = await cluster.connect(1, 'postgres')
    for (const [begin, text] of [
      ['begin read only', 'select count(*) from generate_series(1, 100000000000)'],
      [null, 'select sum(i) from generate_series(1, 100000000000) as i'],
    ] as const) {
      const client = await pool.connect()
      client.on('error', () => undefined)
      if (begin !== null) await client.query(begin)
      const told = outcomeOf(client.query(text))
      await eventually('it runs on the replica', async () => {
        const found = "select 1 from pg_stat_activity where query = $1 and state = 'active'"
        return (await replica.query(found, [text])).rowCount === 1
      })
      const isLost = once(client, 'error')
      relay.reset()
      await isLost
      // It goes on: its replica is well. What ends it there is told as ever.
      await replica.query('select pg_cancel_backend(pid) from pg_stat_activity where query = $1', [text])
      assert.equal(await told, 'rolled-back')
      client.release(true)
      await eventually('all is well', () => pool.health().writable && pool.health().replicas === 1)
    }
  })
})
