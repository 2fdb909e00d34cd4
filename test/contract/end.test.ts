// The end of a pool: what it waits for, what it lets finish, and what it refuses.

import assert from 'node:assert/strict'
import type pg from 'pg'
import { eventually } from '../support/pools.js'
import { rejection, watched } from './calls.js'
import { contract } from './suite.js'

const OVER = 'Cannot use a pool after calling end on the pool'
const TWICE = 'Called end on pool more than once'

const flags = ({ ending, ended, totalCount }: pg.Pool) => ({ ending, ended, totalCount })

contract('end', {
  'of a pool that was never used': async ({ cold }) => {
    const pool = cold()
    assert.equal(await pool.end(), undefined)
    assert.deepEqual(flags(pool), { ending: true, ended: true, totalCount: 0 })
  },

  'of a pool with idle clients': async ({ pool: make, admin }) => {
    const pool = await make({ application_name: 'soon to end' })
    const clients = await Promise.all([pool.connect(), pool.connect()])
    for (const client of clients) client.release()
    const removed: unknown[] = []
    pool.on('remove', (client) => removed.push(client))
    await pool.end()
    assert.deepEqual(flags(pool), { ending: true, ended: true, totalCount: 0 })
    await eventually('both have gone', () => removed.length === 2)
    assert.deepEqual(new Set(removed), new Set(clients))
    const server = await admin()
    const left = "select 1 from pg_stat_activity where application_name = 'soon to end'"
    await eventually('no session is left', async () => (await server.query(left)).rowCount === 0)
  },

  'waits for clients that are out, which go on working': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    const removed: unknown[] = []
    pool.on('remove', (gone) => removed.push(gone))
    const end = pool.end()
    const state = watched(end)
    assert.deepEqual(flags(pool), { ending: true, ended: false, totalCount: 1 })
    assert.equal((await client.query("update items set name = 'tea' where id = 1")).rowCount, 1)
    assert.deepEqual([state.settled, pool.ended], [false, false])
    client.release()
    await end
    assert.deepEqual([flags(pool), removed], [{ ending: true, ended: true, totalCount: 0 }, [client]])
  },

  'lets a statement finish that runs': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    client.release(true)
    const running = pool.query("update items set name = 'tea' where id = 1 and pg_sleep(0.05) is not null")
    const end = pool.end()
    assert.equal((await running).rowCount, 1)
    await end
  },

  'lets the very first statement finish': async ({ cold }) => {
    const pool = cold()
    const running = pool.query('select 1 as n')
    const end = pool.end()
    assert.deepEqual((await running).rows, [{ n: 1 }])
    await end
  },

  'lets the very first client arrive': async ({ cold }) => {
    const pool = cold()
    const connecting = pool.connect()
    const end = pool.end()
    const client = await connecting
    assert.equal((await client.query('select 1')).rowCount, 1)
    assert.equal(pool.ended, false)
    client.release()
    await end
  },

  'lets a client arrive that is connecting': async ({ pool: make }) => {
    const pool = await make()
    const first = await pool.connect()
    first.release(true)
    const connecting = pool.connect()
    const end = pool.end()
    const client = await connecting
    assert.equal((await client.query('select 1')).rowCount, 1)
    client.release()
    await end
  },

  'refuses what comes later': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    const end = pool.end()
    for (const use of [() => pool.connect(), () => pool.query('select 1')]) {
      assert.equal((await rejection(use())).message, OVER)
    }
    client.release()
    await end
    for (const use of [() => pool.connect(), () => pool.query('select 1')]) {
      const error = await rejection(use())
      assert.deepEqual([error.message, error.code], [OVER, undefined])
    }
  },

  'twice is an error, and changes nothing': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    const first = pool.end()
    const error = await rejection(pool.end())
    assert.deepEqual([error.message, error.code], [TWICE, undefined])
    client.release()
    await first
    assert.equal((await rejection(pool.end())).message, TWICE)
    assert.deepEqual(flags(pool), { ending: true, ended: true, totalCount: 0 })
  },

  'of those who wait for a client': {
    pg: async ({ pool: make }) => {
      const pool = await make({ max: 1 })
      const client = await pool.connect()
      const states = [watched(pool.connect()), watched(pool.query('select 1'))]
      const end = pool.end()
      client.release()
      await end
      assert.deepEqual([states, pool.waitingCount], [[{ settled: false }, { settled: false }], 2])
    },
    better: async ({ pool: make }) => {
      const pool = await make({ max: 1 })
      const client = await pool.connect()
      const waiting = [pool.connect(), pool.query("update items set name = 'tea' where id = 1")].map(rejection)
      const end = pool.end()
      const errors = await Promise.all(waiting)
      assert.deepEqual(
        errors.map(({ message, outcome }) => [message, outcome]),
        [
          [OVER, 'not-sent'],
          [OVER, 'not-sent'],
        ]
      )
      client.release()
      await end
      assert.equal(pool.waitingCount, 0)
    },
  },

  'a client that is released as broken ends it too': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    const end = pool.end()
    client.release(new Error('broken'))
    await end
    assert.equal(pool.ended, true)
  },
})
