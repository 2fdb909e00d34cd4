// The connection that reads share is lost, its server stops, freezes, falls behind, or is a replica no more: each read has its rows from
// elsewhere, and none from a fork or from the past.

import assert from 'node:assert/strict'
import type { Pool } from '../../src/index.js'
import { Lanes, pidOf } from '../support/lanes.js'
import { endPools, eventually, keyOf, tracked } from '../support/pools.js'
import { Relay } from '../support/relay.js'

describe('reads whose shared connection is lost', () => {
  let lanes: Lanes
  beforeEach(async () => {
    lanes = await Lanes.start()
  })
  afterEach(async () => {
    await Promise.all([endPools(), lanes.cluster.destroy()])
  })

  const numbered = (pool: Pool, n: number) => pool.query('select $1::int as n', [n]).then(({ rows: [row] }) => row.n)
  const many = (pool: Pool, count: number) => Promise.all(Array.from({ length: count }, (_, n) => numbered(pool, n)))
  const NUMBERS = Array.from({ length: 50 }, (_, n) => n)

  it('its backend is terminated with fifty reads in flight', async () => {
    const { pool, held, pid } = await lanes.narrow()
    await lanes.gate(1)
    const head = pool.query('select waits(1) is not null as ok')
    const reads = many(pool, 50)
    await lanes.waiting(1)
    await lanes.onReplica.query('select pg_terminate_backend($1)', [pid])
    assert.deepEqual(await reads, NUMBERS)
    await lanes.open()
    assert.deepEqual((await head).rows, [{ ok: true }])
    held.release()
    await eventually('suspicion is lifted', () => pool.topology().nodes.every(({ suspect }) => !suspect))
    await eventually('the replica serves again', async () => {
      const { rows } = await pool.query('select inet_server_port() as port')
      return rows[0].port === lanes.cluster.node(1).port
    })
  })

  it('its backend is terminated at rest', async () => {
    const { pool, held, pid } = await lanes.narrow()
    await lanes.onReplica.query('select pg_terminate_backend($1)', [pid])
    assert.deepEqual(await many(pool, 50), NUMBERS)
    held.release()
  })

  it('its server is restarted with reads in flight', async () => {
    const pool = await lanes.pool()
    await pidOf(pool)
    await lanes.gate(1)
    const head = pool.query('select waits(1) is not null as ok')
    const reads = many(pool, 50)
    await lanes.waiting(1)
    await lanes.cluster.stop(1, 'fast')
    assert.deepEqual(await reads, NUMBERS)
    assert.deepEqual((await head).rows, [{ ok: true }])
    await lanes.cluster.start(1)
    assert.deepEqual(await many(pool, 50), NUMBERS)
  })

  it('its network is silent with reads in flight', async () => {
    const { host, port } = lanes.cluster.node(1)
    const relay = await Relay.start({ host, port })
    const { user, password, database, host: primary, port: primaryPort } = lanes.cluster.config(0)
    const pool = tracked({
      user,
      password,
      database,
      host: [primary as string, relay.host],
      port: [primaryPort as number, relay.port],
      maxLagMillis: Infinity,
      readYourWrites: 'off',
      monitorIntervalMillis: 100,
    })
    try {
      await pool.ready({ replicas: 1 })
      await many(pool, 5)
      relay.impose({ silent: ['toClient'] })
      assert.deepEqual(await many(pool, 50), NUMBERS)
      relay.lift()
    } finally {
      await endPools()
      await relay.close()
    }
  })

  it('the replica is promoted, and written to: no row of the fork is shown', async function () {
    if (lanes.cluster.major < 14) this.skip()
    const pool = await lanes.pool({ monitorIntervalMillis: 60_000 })
    const count = (k: number) =>
      pool.query(`select count(*)::int as n, ${k} as k from numbers where n > 100000`).then(({ rows: [row] }) => row.n)
    assert.deepEqual(await Promise.all([1, 2, 3].map(count)), [0, 0, 0])
    await lanes.cluster.promote(1)
    await lanes.onReplica.query('insert into numbers select 100001')
    const reads = Promise.all([1, 2, 3, 4, 5].map(count))
    assert.deepEqual(await reads, [0, 0, 0, 0, 0])
    await eventually('it is known to be none', () => {
      return pool.topology().nodes.find(({ key }) => key === keyOf(lanes.cluster, 1))?.state === 'claimant'
    })
  })

  it('reads of what was just written, on a replica that stands still and goes on', async () => {
    const pool = await lanes.pool({
      readYourWrites: 'pool',
      maxLagMillis: 60_000,
      monitorIntervalMillis: 60_000,
    } as object)
    const latest = () => pool.query('select max(n)::int as n from numbers').then(({ rows: [row] }) => row.n)
    await latest()
    for (let n = 10_000; n < 10_020; n++) {
      if (n % 5 === 1) await lanes.cluster.pauseReplay(1)
      await pool.query(`insert into numbers values (${n})`)
      assert.deepEqual(await Promise.all(Array.from({ length: 8 }, latest)), Array(8).fill(n))
      if (n % 5 === 3) await lanes.cluster.resumeReplay(1)
    }
    await lanes.cluster.resumeReplay(1)
    await lanes.cluster.caughtUp(1, 0)
    await eventually('the replica serves again', async () => {
      await latest()
      const { rows } = await pool.query('select inet_server_port() as port')
      return rows[0].port === lanes.cluster.node(1).port
    })
  })
})
