// Lanes are among the connections of their node: what else needs one gets one, the limits of the pool hold, and its end is its end.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { PoolClient } from 'pg'
import type { Pool } from '../../src/index.js'
import { failed } from '../support/failed.js'
import { Lanes, pidOf, settling } from '../support/lanes.js'
import { endPools, eventually, keyOf } from '../support/pools.js'

interface Shared {
  readonly pipeline: boolean
  readonly _activeQuery: { readonly text?: string } | null | undefined
}

describe('the room of lanes', () => {
  let lanes: Lanes
  before(async () => {
    lanes = await Lanes.start()
  })
  afterEach(async () => {
    await lanes.open()
    await endPools()
  })
  after(() => lanes.cluster.destroy())

  /** Reads without a pause, until they are stopped. */
  function readers(pool: Pool, many: number): { stop(): Promise<void> } {
    let isOver = false
    const read = async () => {
      while (!isOver) await pool.query('select 1 as a')
    }
    const all = Promise.all(Array.from({ length: many }, read))
    return {
      stop: async () => {
        isOver = true
        await all
      },
    }
  }
  const connected = (pool: Pool, many: number): Promise<PoolClient[]> =>
    Promise.all(Array.from({ length: many }, () => pool.view({ route: 'replica' }).connect()))

  for (const max of [2, 3, 4, 10]) {
    it(`max: ${max}: as many callers of connect() have clients at a time, while reads go on`, async () => {
      const pool = await lanes.pool({ max })
      const reading = readers(pool, 40)
      await eventually('reads go on', () => pool.decisions().some(({ count }) => count > 200))
      const clients = await connected(pool, max)
      assert.equal(new Set(await Promise.all(clients.map((client) => pidOf(client)))).size, max)
      for (const client of clients) client.release()
      await reading.stop()
    })
  }

  it('a lane whose head is slow is not the one that is waited for', async () => {
    const pool = await lanes.pool({ max: 4 })
    await lanes.gate(1)
    const stop = new AbortController()
    const slow = failed(pool.query({ text: 'select waits(1)', signal: stop.signal }))
    await lanes.waiting(1)
    const reading = readers(pool, 20)
    await eventually('reads go on', () => pool.decisions().some(({ count }) => count > 200))
    const clients = await connected(pool, 3)
    for (const client of clients) client.release()
    await reading.stop()
    stop.abort()
    await slow
  })

  it('a lane that was to be given up gets stuck: another is', async () => {
    const pool = await lanes.pool({ max: 5 })
    await lanes.gate(1)
    const reading = readers(pool, 20)
    await eventually('reads go on', () => pool.decisions().some(({ count }) => count > 500))
    const stop = new AbortController()
    const slow = Array.from({ length: 1 }, () => failed(pool.query({ text: 'select waits(1)', signal: stop.signal })))
    const clients = await connected(pool, 4)
    for (const client of clients) client.release()
    await reading.stop()
    stop.abort()
    await Promise.all(slow)
  })

  it('quick reads behind a slow one have another connection', async () => {
    const pool = await lanes.pool({ max: 4 })
    const pid = await pidOf(pool)
    const open = await lanes.gate(1)
    const slow = pidOf(pool, 'select waits(1) as pid')
    const behind = Array.from({ length: 20 }, () => pidOf(pool))
    const told = await Promise.all(behind)
    await lanes.waiting(1)
    assert.ok(told.every((each) => each !== pid))
    assert.equal(pool.waitingCount, 0)
    await open()
    assert.equal(await slow, pid)
  })

  it('a shape that was slow has a connection for itself, until it is quick', async () => {
    const pool = await lanes.pool({ max: 6 })
    // The time of the first read on a connection says nothing.
    await pidOf(pool)
    const open = await lanes.gate(1)
    const slow = pidOf(pool, 'select waits(1) as pid')
    await lanes.waiting(1)
    await lanes.onReplica.query('select pg_sleep(0.02)')
    await open()
    await slow
    const isShared = async (k: number) => {
      const go = await lanes.gate(k)
      const read = pidOf(pool, `select waits(${k}) as pid`)
      await lanes.waiting(k)
      const { _clients } = pool as unknown as { readonly _clients: readonly Shared[] }
      const client = _clients.find(({ _activeQuery }) => _activeQuery?.text?.includes(`waits(${k})`))
      await go()
      await read
      return client?.pipeline === true
    }
    assert.equal(await isShared(2), false)
    await eventually('it shares a lane again', async () => {
      await pidOf(pool, 'select waits(3) as pid')
      return isShared(3)
    })
  })

  it('many rows are not read on a lane, but for the first time', async () => {
    const { pool, held, pid } = await lanes.narrow()
    held.release()
    const many = { text: 'select n, pg_backend_pid() as pid from numbers' }
    assert.equal((await pool.query(many)).rows[0].pid, pid)
    assert.notEqual((await pool.query(many)).rows[0].pid, pid)
  })

  it('maxUses counts each read', async () => {
    const { pool, held } = await lanes.narrow({ maxUses: 5 })
    held.release()
    const told: number[] = []
    for (let i = 0; i < 5; i++) told.push(...(await Promise.all([1, 2, 3, 4].map(() => pidOf(pool)))))
    const uses = told.map((pid) => told.filter((each) => each === pid).length)
    assert.ok(Math.max(...uses) <= 5, JSON.stringify(told))
  })

  it('maxLifetimeSeconds holds, also for a lane that never rests', async () => {
    const pool = await lanes.pool({ maxLifetimeSeconds: 1 })
    const reading = readers(pool, 8)
    const pid = await pidOf(pool)
    const lives = async () =>
      (await lanes.onReplica.query('select 1 from pg_stat_activity where pid = $1', [pid])).rowCount === 1
    assert.ok(await lives())
    await eventually('its connection is gone', async () => !(await lives()))
    await reading.stop()
  })

  it('end() waits for what is under way, and for nothing else', async () => {
    const { pool, held } = await lanes.narrow()
    held.release()
    const open = await lanes.gate(1)
    const reads = [pidOf(pool, 'select waits(1) as pid'), ...[1, 2, 3].map(() => pidOf(pool))]
    await lanes.waiting(1)
    const ended = pool.end()
    const state = settling(ended)
    await lanes.waiting(1)
    assert.ok(!state.isOver)
    await open()
    await Promise.all(reads)
    await ended
    assert.deepEqual([pool.totalCount, pool.idleCount, pool.waitingCount], [0, 0, 0])
  })

  it('drain() of the node waits for what is under way, and what follows goes elsewhere', async () => {
    const { pool, held } = await lanes.narrow()
    held.release()
    const open = await lanes.gate(1)
    const head = pidOf(pool, 'select waits(1) as pid')
    await lanes.waiting(1)
    const drained = pool.drain(keyOf(lanes.cluster, 1))
    const { rows } = await pool.query('select inet_server_port() as port')
    assert.equal(rows[0].port, lanes.cluster.node(0).port)
    await open()
    await head
    await drained
  })

  for (const mode of ['end', 'idle-exit']) {
    it(`the process ends by itself: ${mode}`, async () => {
      const script = fileURLToPath(new URL('../support/lanes-exit.js', import.meta.url))
      const hosts = lanes.cluster.nodes.map(({ host, port }) => `${host}:${port}`).join(',')
      const { user, database } = lanes.cluster.config(0)
      const env = { ...process.env, DATABASE_URL: `postgres://${user}@${hosts}/${database}` }
      const child = spawn(process.execPath, [script, mode], { env, stdio: ['ignore', 'pipe', 'inherit'] })
      let out = ''
      child.stdout.on('data', (chunk) => {
        out += chunk
      })
      const [code] = await once(child, 'close')
      assert.deepEqual([code, out], [0, 'done\n'])
    })
  }
})
