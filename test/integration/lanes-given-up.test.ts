// A read that shares its connection is given up: by its signal, by the end of its client, by query_timeout. The others on its lane
// have their rows all the same, and the server stops what no caller waits for.

import assert from 'node:assert/strict'
import type { PoolClient } from 'pg'
import type { Pool } from '../../src/index.js'
import { failed } from '../support/failed.js'
import { Lanes, pidOf, settling, who } from '../support/lanes.js'
import { endPools, eventually, tracked } from '../support/pools.js'
import { Relay } from '../support/relay.js'

describe('a read that is given up on a lane', () => {
  let lanes: Lanes
  before(async () => {
    lanes = await Lanes.start()
  })
  afterEach(async () => {
    await lanes.open()
    await endPools()
  })
  after(() => lanes.cluster.destroy())

  const reading = (pool: Pool | PoolClient, k: number, signal?: AbortSignal) =>
    pidOf(pool, { text: `select waits(${k}) as pid`, ...(signal && { signal }) })
  /** A read that has nothing of the head's shape. */
  const quick = (pool: Pool | PoolClient) => pidOf(pool)

  it('at the head, by its signal: cancelled there, and those behind are answered', async () => {
    const { pool, held, pid } = await lanes.narrow()
    await lanes.gate(1)
    const stop = new AbortController()
    const head = failed<Error>(reading(pool, 1, stop.signal))
    await lanes.waiting(1)
    const behind = [quick(pool), quick(pool)]
    const first = settling(Promise.all(behind))
    assert.ok(!first.isOver)
    stop.abort(new Error('enough'))
    assert.equal((await head).message, 'enough')
    await lanes.waiting(1, 0)
    assert.deepEqual(await Promise.all(behind), [pid, pid])
    held.release()
  })

  it('behind the head, by its signal: nothing is cancelled', async () => {
    const { pool, held, pid } = await lanes.narrow()
    const open = await lanes.gate(1)
    const stop = new AbortController()
    const head = reading(pool, 1)
    const late = failed<Error>(pidOf(pool, { text: who(), signal: stop.signal }))
    const last = quick(pool)
    await lanes.waiting(1)
    stop.abort(new Error('enough'))
    assert.equal((await late).message, 'enough')
    await lanes.waiting(1)
    await open()
    assert.deepEqual([await head, await last], [pid, pid])
    held.release()
  })

  it('behind the head, and then a slow one at the head: cancelled then', async () => {
    const { pool, held, pid } = await lanes.narrow()
    const open = await lanes.gate(1)
    await lanes.gate(2)
    const stop = new AbortController()
    const head = reading(pool, 1)
    const late = failed<Error>(reading(pool, 2, stop.signal))
    const last = quick(pool)
    await lanes.waiting(1)
    stop.abort(new Error('enough'))
    await late
    await open()
    assert.deepEqual([await head, await last], [pid, pid])
    await lanes.waiting(2, 0)
    held.release()
  })

  it('one after the other, while the lane waits for the end of the first', async () => {
    const { pool, held, pid } = await lanes.narrow()
    await lanes.gate(1)
    await lanes.gate(2)
    const stop = new AbortController()
    const [first, second] = [failed(reading(pool, 1, stop.signal)), failed(reading(pool, 2, stop.signal))]
    const last = quick(pool)
    await lanes.waiting(1)
    stop.abort()
    await Promise.all([first, second])
    assert.equal(await last, pid)
    held.release()
  })

  it('at the head while the lane is paused: that one is cancelled, too', async () => {
    const { pool, held, pid } = await lanes.narrow()
    await lanes.gate(1)
    await lanes.gate(2)
    const stops = [new AbortController(), new AbortController()]
    const reads = stops.map(({ signal }, i) => failed(reading(pool, i + 1, signal)))
    const last = quick(pool)
    await lanes.waiting(1)
    stops[0]?.abort()
    await lanes.waiting(2)
    stops[1]?.abort()
    await Promise.all(reads)
    assert.equal(await last, pid)
    held.release()
  })

  it('by the end of the client that borrowed for it', async () => {
    const { pool, held, pid } = await lanes.narrow()
    await lanes.gate(1)
    const client = await pool.connect()
    client.on('error', () => {})
    const head = failed(reading(client, 1))
    await lanes.waiting(1)
    const last = quick(pool)
    client.release(true)
    await head
    await lanes.waiting(1, 0)
    assert.equal(await last, pid)
    held.release()
  })

  it('by the end of its client, when it has been moved to another lane', async () => {
    const pool = await lanes.pool({ max: 4 })
    await lanes.gate(1)
    await lanes.gate(2)
    await quick(pool)
    const client = await pool.connect()
    client.on('error', () => {})
    const stop = new AbortController()
    const head = failed(reading(pool, 1, stop.signal))
    const moved = failed(reading(client, 2))
    await lanes.waiting(1)
    await lanes.waiting(2)
    client.release(true)
    await moved
    await lanes.waiting(2, 0)
    stop.abort()
    await head
  })

  it('a cancel request that comes late hits another read, which runs again', async () => {
    const { host, port } = lanes.cluster.node(1)
    const relay = await Relay.start({ host, port })
    const { user, password, database, host: primary, port: primaryPort } = lanes.cluster.config(0)
    const pool = tracked({
      user,
      password,
      database,
      host: [primary as string, relay.host],
      port: [primaryPort as number, relay.port],
      max: 2,
      maxLagMillis: Infinity,
      readYourWrites: 'off',
      replicaSafeFunctions: ['pg_backend_pid'],
    })
    try {
      await pool.ready({ replicas: 1 })
      const held = await pool.view({ route: 'replica' }).connect()
      const pid = await quick(pool)
      const open = [await lanes.gate(1), await lanes.gate(2)]
      const stop = new AbortController()
      const head = failed(reading(pool, 1, stop.signal))
      const behind = reading(pool, 2)
      await lanes.waiting(1)
      // A cancel request has the code 80877102 in the place of the version of the protocol.
      const slow = relay.impose({ on: ({ greeting }) => greeting.includes('\x04\xd2\x16\x2e'), silent: ['toServer'] })
      const before = relay.links.size
      stop.abort()
      await head
      await eventually('it is asked to cancel', () => relay.links.size > before)
      await open[0]?.()
      await lanes.waiting(2)
      // The other connection is free now, so the read that is hit has a place to go to.
      slow.lift()
      held.release()
      await eventually('it has run twice', async () => {
        const text = "select pid from pg_locks where locktype = 'advisory' and objid = 2 and not granted"
        const { rows } = await lanes.onReplica.query<{ pid: number }>(text)
        return rows.length === 1 && rows[0]?.pid !== pid
      })
      await open[1]?.()
      assert.notEqual(await behind, pid)
    } finally {
      await endPools()
      await relay.close()
    }
  })

  for (const [whose, options, own] of [
    ['of the pool', { query_timeout: 300 }, {}],
    ['of the statement', {}, { query_timeout: 300 }],
  ] as const) {
    describe(`query_timeout ${whose}`, () => {
      it('at the head: rejected as with pg, and cancelled', async () => {
        const { pool, held, pid } = await lanes.narrow(options)
        await lanes.gate(1)
        const head = failed(pidOf(pool, { text: 'select waits(1) as pid', ...own }))
        await lanes.waiting(1)
        const behind = quick(pool)
        assert.equal((await head).message, 'Query read timeout')
        await lanes.waiting(1, 0)
        assert.equal(await behind, pid)
        held.release()
      })

      it('time in line does not count', async () => {
        const { pool, held, pid } = await lanes.narrow(options)
        const open = [await lanes.gate(1), await lanes.gate(2)]
        const heads = [1, 2].map((k) => pidOf(pool, { text: `select waits(${k}) as pid`, query_timeout: 60_000 }))
        const behind = pidOf(pool, { text: who(), ...own })
        await lanes.waiting(1)
        // By the server's clock, longer than it may take.
        await lanes.onReplica.query('select pg_sleep(0.4)')
        for (const each of open) await each()
        assert.deepEqual(await Promise.all([...heads, behind]), [pid, pid, pid])
        held.release()
      })
    })
  }

  it('what always takes too long is kept off the lanes', async () => {
    const { pool, held, pid } = await lanes.narrow({ query_timeout: 100 })
    await lanes.gate(1)
    assert.equal((await failed(reading(pool, 1))).message, 'Query read timeout')
    held.release()
    await lanes.waiting(1, 0)
    const again = failed(reading(pool, 1))
    await lanes.waiting(1)
    const { rows } = await lanes.onReplica.query(
      "select pid from pg_locks where locktype = 'advisory' and objid = 1 and not granted"
    )
    assert.notEqual(rows[0]?.pid, pid)
    await again
  })
})
