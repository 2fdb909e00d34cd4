// Behind PgBouncer in transaction mode one server connection serves all clients in turn. Whatever pgherd asks there, a plain
// client next door finds its session as it was.

import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import pg from 'pg'
import { connectionQuestion } from '../../src/herd/question.js'
import type { Pool } from '../../src/index.js'
import { systemClock } from '../../src/runtime/clock.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { missingPgBouncer, type PgBouncer, startPgBouncer } from '../support/pgbouncer.js'
import { endPools, eventually, poolOn, tracked } from '../support/pools.js'
import { warnings } from '../support/warnings.js'

/** What a session has set itself, what it resolves names with, and whether it is still what it was at its beginning. */
const TRACES = `select coalesce((select json_agg(name || '=' || setting order by name) from pg_catalog.pg_settings
    where source = 'session' and name not in ('client_encoding', 'application_name', 'DateStyle', 'TimeZone')), '[]') as set,
  current_setting('search_path') as path, current_setting('statement_timeout') as timeout,
  current_setting('lock_timeout') as lock_timeout, current_setting('default_transaction_isolation') as isolation,
  current_setting('transaction_read_only') as read_only`

const APP = { user: 'app', database: 'app', password: 'app', ssl: false } as const

describe('behind PgBouncer in transaction mode', () => {
  let cluster: Cluster
  let bouncers: PgBouncer[] = []

  before(async function () {
    const missing = missingPgBouncer()
    if (missing !== null) {
      console.log(`    skipped: ${missing}`)
      this.skip()
    }
    cluster = await startCluster({ replicas: 1 })
    bouncers = [
      await startPgBouncer(cluster.node(0), 'transaction'),
      await startPgBouncer(cluster.node(1), 'transaction'),
    ]
  })
  afterEach(endPools)
  after(async () => {
    await Promise.all(bouncers.map((bouncer) => bouncer.close()))
    await cluster?.destroy()
  })

  function pooled(options: object = {}): Pool {
    const hosts = { host: bouncers.map(({ host }) => host), port: bouncers.map(({ port }) => port) }
    return tracked({ ...hosts, ...APP, ...options })
  }

  /** Watches the shared sessions until `work` is over; gives what was ever seen there. */
  async function watched(work: () => Promise<void>): Promise<readonly string[]> {
    const seen = new Set<string>()
    const clients = bouncers.map(({ host, port }) => new pg.Client({ host, port, ...APP }))
    for (const client of clients) client.on('error', () => {})
    let over = false
    await Promise.all(clients.map((client) => client.connect()))
    const watching = clients.map(async (client) => {
      do seen.add(JSON.stringify((await client.query(TRACES)).rows[0]))
      while (!over)
    })
    for (const each of watching) each.catch(() => {})
    try {
      await work()
    } finally {
      over = true
      await Promise.allSettled(watching)
      await Promise.all(clients.map((client) => client.end()))
    }
    await Promise.all(watching)
    return [...seen].sort()
  }

  /** What a session looks like that is as its server made it. */
  async function untouched(): Promise<readonly string[]> {
    const clients = [await cluster.connect(0), await cluster.connect(1)]
    const rows = await Promise.all(clients.map(async (client) => (await client.query(TRACES)).rows[0]))
    await Promise.all(clients.map((client) => client.end()))
    return [...new Set(rows.map((row) => JSON.stringify(row)))].sort()
  }

  it('probes, the catalogue, guards and captures leave nothing behind', async () => {
    const seen = await watched(async () => {
      const pool = pooled()
      await pool.ready({ replicas: 1 })
      await pool.query('create table if not exists traces (n int)')
      for (let n = 0; n < 40; n++) {
        await pool.query('insert into traces values ($1)', [n])
        const { rows } = await pool.query('select count(*)::int as n from traces')
        assert.equal(rows[0].n, n + 1)
      }
      await pool.query('create or replace function answer() returns int stable language sql as $$ select 42 $$')
      await eventually('the new function is known', () => pool.explain('select answer()').intent === 'read')
      await pool.query('drop function answer(); drop table traces')
    })
    assert.deepEqual(seen, await untouched())
  })

  const codes = async (work: () => Promise<void>) => (await warnings(work)).map(({ code }) => code)

  it('a pool says once that a pooler answers, and shows at which addresses', async () => {
    let text = ''
    const told = await warnings(async () => {
      const pool = pooled()
      await pool.ready({ replicas: 1 })
      assert.deepEqual(
        pool.topology().nodes.map((node) => node.pooled),
        [true, true]
      )
      assert.equal(pool.explain('create table x ()').pooled, true)
      text = inspect(pool.topology())
    })
    assert.deepEqual(
      told.map(({ code }) => code),
      ['PGHERD_POOLER']
    )
    assert.match(told[0]?.text ?? '', /Name the servers themselves, past the pooler/)
    assert.match(text, /a pooler answers there/)
  })

  it('a pool with one address is told as well', async () => {
    const [first] = bouncers
    assert.ok(first)
    assert.deepEqual(
      await codes(async () => {
        const pool = tracked({ host: first.host, port: first.port, ...APP })
        await pool.query('select 1')
        await eventually('it has been looked at', () => pool.topology().nodes.some((node) => node.pooled))
      }),
      ['PGHERD_POOLER']
    )
  })

  it('a pool is not told that reads from the primary only, or that asks for no proof, nor one that reaches the servers', async () => {
    assert.deepEqual(
      await codes(async () => {
        const pools = [
          pooled({ maxLagMillis: 0 }),
          pooled({ maxLagMillis: Infinity, readYourWrites: 'off' }),
          pooled({ targetSessionAttrs: 'primary' }),
        ]
        for (const pool of pools) {
          await pool.ready()
          assert.equal(pool.topology().nodes[0]?.pooled, true)
        }
        const direct = poolOn(cluster)
        await direct.ready({ replicas: 1 })
        assert.deepEqual(
          direct.topology().nodes.map((node) => node.pooled),
          [false, false]
        )
      }),
      []
    )
  })

  it('a question that fails, or that nobody waits for any more, leaves nothing behind, and no open transaction', async () => {
    const probed = { host: bouncers[0]?.host ?? '', port: bouncers[0]?.port ?? 0, servername: null }
    const address = { ...probed, origin: 'configured' } as const
    const ask = connectionQuestion(systemClock, ({ host, port }) => ({ host, port, ...APP }), null)
    const never = new AbortController().signal
    const seen = await watched(async () => {
      for (let n = 0; n < 10; n++) {
        await assert.rejects(ask(address, ['select 1', 'select 1/0', 'select 2'], 5000, never), { code: '22012' })
      }
      await assert.rejects(ask(address, ['select pg_sleep(5)'], 50, never))
      assert.deepEqual(await ask(address, ["select 'a' as first", 'select 2 as second'], 5000, never), [
        [{ first: 'a' }],
        [{ second: '2' }],
      ])
    })
    assert.deepEqual(seen, await untouched())
  })

  it('a look that is given up half answered leaves the rest of its answer to nobody', async () => {
    const [bouncer] = bouncers
    assert.ok(bouncer)
    const admin = await cluster.connect(0, 'postgres')
    const neighbour = new pg.Client({ host: bouncer.host, port: bouncer.port, ...APP })
    const lost: string[] = []
    neighbour.on('error', ({ message }) => lost.push(message))
    await neighbour.connect()
    await neighbour.query('select 1')
    // The second question of a look waits for this, the first does not.
    await admin.query('begin; lock table pg_catalog.pg_db_role_setting in access exclusive mode')
    const pool = pooled({ silentMillis: 3000 })
    pool.on('error', () => {})
    const waiting = pool.query('select 2 as n')
    const key = `${bouncer.host}:${bouncer.port}`
    await eventually('a look is half answered', async () => {
      const { rows } = await admin.query('select from pg_locks where not granted')
      return rows.length > 0
    })
    await eventually('it is given up', () =>
      pool.topology().nodes.some((node) => node.key === key && node.failure !== null)
    )
    const asked = neighbour.query('select 3 as n')
    await admin.query('rollback')
    assert.deepEqual((await asked).rows, [{ n: 3 }])
    assert.deepEqual((await waiting).rows, [{ n: 2 }])
    assert.deepEqual(lost, [])
    await neighbour.end()
  })

  it('a role that may not read the catalogue is told so, and its neighbours are not', async () => {
    const admin = await cluster.connect(0, 'postgres')
    await admin.query('revoke select on pg_catalog.pg_policy from public')
    await cluster.caughtUp(1, 0)
    try {
      const seen = await watched(async () => {
        const pool = pooled()
        await pool.ready({ replicas: 1 })
        assert.match(pool.explain('select nobodys_function()').reason, /catalogue|permission|pg_policy/)
      })
      assert.deepEqual(seen, await untouched())
    } finally {
      await admin.query('grant select on pg_catalog.pg_policy to public')
      await cluster.caughtUp(1, 0)
    }
  })

  it('where the role’s default is SERIALIZABLE and its statement_timeout is short, all is asked and nothing is changed', async () => {
    const admin = await cluster.connect(0, 'postgres')
    await admin.query("alter role monitor set default_transaction_isolation = 'serializable'")
    await admin.query("alter role monitor set statement_timeout = '150ms'")
    await cluster.caughtUp(1, 0)
    const before = cluster.log(1).length
    try {
      const pool = pooled({ user: 'monitor', password: 'monitor' })
      await pool.ready({ replicas: 1 })
      const replica = pool.topology().nodes.find(({ state }) => state === 'replica')
      assert.equal(replica?.timeline, 1)
      const position = () => pool.topology().nodes.find(({ state }) => state === 'replica')?.position
      for (let n = 0; n < 5; n++) {
        const last = position()
        await admin.query("select pg_logical_emit_message(true, 'traces', 'x')")
        await eventually('the next probe', () => position() !== last)
      }
      const refusals =
        cluster
          .log(1)
          .slice(before)
          .match(/serializable mode in a hot standby/g) ?? []
      assert.ok(refusals.length <= 2, `${refusals.length} refusals in the log`)
    } finally {
      await admin.query('alter role monitor reset all')
    }
  })
})
