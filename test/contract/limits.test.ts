// Options that bound what a pool keeps and how long anybody waits: max, min, the two timeouts, maxUses, maxLifetimeSeconds.

import assert from 'node:assert/strict'
import { type AddressInfo, createServer, type Server } from 'node:net'
import type pg from 'pg'
import { eventually } from '../support/pools.js'
import { called, elapsed, rejection } from './calls.js'
import { contract } from './suite.js'

type Connect = Parameters<pg.Pool['connect']>[0]

const BRIEF = 20
/** For a new connection, however busy the machine is. */
const ENOUGH = 250

async function several(pool: pg.Pool, count: number): Promise<pg.PoolClient[]> {
  return Promise.all(Array.from({ length: count }, () => pool.connect()))
}

/** The timer that will remove the newest idle client; undefined where there is none. */
function idleTimer(pool: pg.Pool): NodeJS.Timeout | undefined {
  const idle = Reflect.get(pool, '_idle') as { readonly timeoutId?: NodeJS.Timeout }[]
  assert.ok(idle.length > 0)
  return idle.at(-1)?.timeoutId
}

/** A server that accepts, and never says a word. */
async function silent<T>(use: (port: number) => Promise<T>): Promise<T> {
  const server: Server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    return await use((server.address() as AddressInfo).port)
  } finally {
    server.close()
  }
}

contract('limits', {
  'max bounds the clients, and the next one waits': async ({ pool: make }) => {
    const pool = await make({ max: 2 })
    const [first, second] = await several(pool, 2)
    const third = pool.connect()
    assert.deepEqual([pool.totalCount, pool.waitingCount], [2, 1])
    first?.release()
    assert.equal(await third, first)
    second?.release()
    assert.deepEqual([pool.totalCount, pool.idleCount, pool.waitingCount], [2, 1, 0])
  },

  'max bounds what query() opens': async ({ pool: make }) => {
    const pool = await make({ max: 3 })
    const answers = Array.from({ length: 30 }, () => pool.query('select pg_backend_pid() as pid'))
    assert.equal(new Set((await Promise.all(answers)).map(({ rows }) => rows[0].pid)).size, 3)
    assert.deepEqual([pool.totalCount, pool.idleCount, pool.waitingCount], [3, 3, 0])
  },

  'max bounds reads and writes together': async ({ pool: make }) => {
    const pool = await make({ max: 3 })
    const texts = ['select * from items', "update items set name = 'tea' where id = 1"]
    await Promise.all(Array.from({ length: 10 }, () => texts.map((text) => pool.query(text))).flat())
    assert.deepEqual([pool.totalCount, pool.idleCount, pool.waitingCount], [3, 3, 0])
  },

  'a full pool makes query() wait, up to connectionTimeoutMillis': async ({ pool: make }) => {
    const pool = await make({ max: 1, connectionTimeoutMillis: ENOUGH })
    await pool.connect()
    await assert.rejects(pool.query('select 1'), { message: 'timeout exceeded when trying to connect' })
    assert.equal(pool.waitingCount, 0)
  },

  'connectionTimeoutMillis bounds the wait in the queue': async ({ pool: make }) => {
    const pool = await make({ max: 1, connectionTimeoutMillis: ENOUGH })
    const client = await pool.connect()
    const error = await rejection(pool.connect())
    assert.deepEqual([error.message, error.code], ['timeout exceeded when trying to connect', undefined])
    const { args } = await called((done) => pool.connect(done as Connect))
    assert.equal((args[0] as Error).message, 'timeout exceeded when trying to connect')
    assert.equal(args[1], undefined)
    assert.equal(pool.waitingCount, 0)
    client.release()
    assert.equal(await pool.connect(), client)
  },

  'connectionTimeoutMillis does not touch clients in use': async ({ pool: make }) => {
    const pool = await make({ connectionTimeoutMillis: ENOUGH })
    const client = await pool.connect()
    const { rows } = await client.query('select 1 as n from pg_sleep(0.3)')
    assert.deepEqual(rows, [{ n: 1 }])
  },

  'connectionTimeoutMillis bounds a new connection': async ({ cold }) => {
    await silent(async (port) => {
      const pool = cold({ port, connectionTimeoutMillis: BRIEF })
      const error = await rejection(pool.connect())
      assert.equal(error.message, 'Connection terminated due to connection timeout')
      assert.ok(error.cause instanceof Error)
      const { args, returned } = await called((done) => pool.connect(done as Connect))
      assert.match((args[0] as Error).message, /timeout/)
      assert.deepEqual([args[1], typeof args[2], returned], [undefined, 'function', undefined])
      assert.match((await rejection(pool.query('select 1'))).message, /timeout/)
      assert.equal(pool.totalCount, 0)
    })
  },

  'idleTimeoutMillis removes who is idle so long': async ({ pool: make }) => {
    const pool = await make({ idleTimeoutMillis: BRIEF })
    const removed: unknown[] = []
    pool.on('remove', (client) => removed.push(client))
    const clients = await several(pool, 3)
    for (const client of clients) client.release()
    assert.deepEqual([pool.totalCount, pool.idleCount], [3, 3])
    await eventually('all have been removed', () => removed.length === 3)
    assert.deepEqual(new Set(removed), new Set(clients))
    assert.deepEqual([pool.totalCount, pool.idleCount], [0, 0])
  },

  'idleTimeoutMillis: 10 seconds when absent, never with 0 or null': async ({ pool: make }) => {
    for (const [options, millis] of [
      [{}, 10_000],
      [{ idleTimeoutMillis: 1234 }, 1234],
      [{ idleTimeoutMillis: 0 }, undefined],
      [{ idleTimeoutMillis: null }, undefined],
    ] as const) {
      const pool = await make(options)
      const client = await pool.connect()
      client.release()
      const timer = idleTimer(pool)
      assert.equal(timer && Reflect.get(timer, '_idleTimeout'), millis)
    }
  },

  'an idle client that is taken in time stays': async ({ pool: make }) => {
    const pool = await make({ idleTimeoutMillis: BRIEF })
    const client = await pool.connect()
    client.release()
    assert.equal(await pool.connect(), client)
    await elapsed(BRIEF)
    assert.equal(pool.totalCount, 1)
    await client.query('select 1')
  },

  'min: so many stay, and none is opened ahead': async ({ pool: make }) => {
    const pool = await make({ min: 2, idleTimeoutMillis: BRIEF })
    assert.equal(pool.totalCount, 0)
    for (const client of await several(pool, 5)) client.release()
    await eventually('three have gone', () => pool.totalCount === 2)
    await elapsed(BRIEF)
    assert.deepEqual([pool.totalCount, pool.idleCount], [2, 2])
  },

  'allowExitOnIdle: idle timers do not hold the process': async ({ pool: make }) => {
    for (const allowExitOnIdle of [true, false]) {
      const pool = await make({ allowExitOnIdle })
      const client = await pool.connect()
      client.release()
      assert.equal(idleTimer(pool)?.hasRef(), !allowExitOnIdle)
    }
  },

  'maxUses: counted at each release': async ({ pool: make }) => {
    const pool = await make({ maxUses: 2 })
    const first = await pool.connect()
    first.release()
    assert.equal(pool.idleCount, 1)
    assert.equal(await pool.connect(), first)
    first.release()
    assert.deepEqual([pool.totalCount, pool.idleCount], [0, 0])
    const second = await pool.connect()
    assert.notEqual(second, first)
  },

  'maxLifetimeSeconds: an idle client goes at once': async ({ pool: make }) => {
    const pool = await make({ maxLifetimeSeconds: 0.03 })
    const removed: unknown[] = []
    pool.on('remove', (client) => removed.push(client))
    const client = await pool.connect()
    client.release()
    await eventually('it has gone', () => removed.length === 1)
    assert.deepEqual([removed, pool.totalCount, pool.expiredCount], [[client], 0, 0])
  },

  'maxLifetimeSeconds: a client in use goes when it is released': async ({ pool: make }) => {
    const pool = await make({ maxLifetimeSeconds: 0.03 })
    const client = await pool.connect()
    assert.equal(pool.expiredCount, 0)
    await eventually('it has expired', () => pool.expiredCount === 1)
    assert.deepEqual([pool.totalCount, pool.idleCount], [1, 0])
    client.release()
    assert.deepEqual([pool.totalCount, pool.idleCount, pool.expiredCount], [0, 0, 0])
  },
})
