// Connections that end while somebody has them.

import assert from 'node:assert/strict'
import type pg from 'pg'
import { eventually } from '../support/pools.js'
import { rejection } from './calls.js'
import type { Subject } from './pools.js'
import { contract } from './suite.js'

/** A client out of the pool whose backend has been ended, and what it said. */
async function broken({ pool: make, admin }: Subject) {
  const pool = await make()
  const client = await pool.connect()
  const told: Error[] = []
  client.on('error', (error) => told.push(error))
  const pid = Reflect.get(client, 'processID')
  await (await admin()).query('select pg_terminate_backend($1)', [pid])
  await eventually('the client knows', () => told.length > 0)
  return { pool, client, told }
}

/** A statement of the pool that waits for a lock, and whose backend is ended meanwhile. */
async function interrupted({ pool: make, admin }: Subject) {
  const server = await admin()
  await server.query('select pg_advisory_lock(7)')
  const pool = await make({ application_name: 'to be ended' })
  const running = pool.query("update items set name = 'tea' where id = 1 and pg_advisory_xact_lock(7) is not null")
  running.catch(() => {})
  const end =
    'select pg_terminate_backend(pid) from pg_stat_activity ' +
    "where application_name = 'to be ended' and wait_event_type = 'Lock'"
  await eventually('it waits', async () => (await server.query(end)).rowCount === 1)
  return { pool, running, unlock: () => server.query('select pg_advisory_unlock(7)') }
}

contract('broken connections', {
  'end() of the client that query() uses': async ({ pool: make }) => {
    const pool = await make()
    const used = new Promise<pg.PoolClient>((resolve) => pool.once('acquire', resolve))
    const running = rejection(pool.query('select pg_sleep(20)'))
    await (await used).end()
    assert.equal((await running).message, 'Connection terminated')
    assert.equal(pool.totalCount, 0)
  },

  'a backend that ends while a client is out': async (subject) => {
    const { pool, client, told } = await broken(subject)
    assert.equal(Reflect.get(told[0] ?? {}, 'code'), '57P01')
    const message = 'Client has encountered a connection error and is not queryable'
    await assert.rejects(client.query("update items set name = 'tea' where id = 1"), { message })
    client.release()
    assert.deepEqual([pool.totalCount, pool.idleCount], [0, 0])
    assert.notEqual(await pool.connect(), client)
  },

  'a backend that ends while a statement of a client runs': async ({ pool: make, admin }) => {
    const pool = await make()
    const client = await pool.connect()
    const told: Error[] = []
    client.on('error', (error) => told.push(error))
    await client.query('begin')
    const running = rejection(client.query('select pg_sleep(20)'))
    await (await admin()).query('select pg_terminate_backend($1)', [Reflect.get(client, 'processID')])
    assert.equal((await running).code, '57P01')
    await eventually('the client knows', () => told.length > 0)
    assert.equal(told[0]?.message, 'Connection terminated unexpectedly')
    client.release()
    assert.equal(pool.totalCount, 0)
  },

  'a backend that ends while query() runs': {
    pg: async (subject) => {
      const { pool, running, unlock } = await interrupted(subject)
      assert.equal((await rejection(running)).code, '57P01')
      assert.equal(pool.totalCount, 0)
      await unlock()
      assert.equal((await pool.query('select 1')).rowCount, 1)
    },
    better: async (subject) => {
      const { running, unlock } = await interrupted(subject)
      await unlock()
      assert.equal((await running).rowCount, 1)
    },
  },

  'a client that its holder has ended': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    await client.end()
    await assert.rejects(client.query("update items set name = 'tea' where id = 1"), {
      message: 'Client was closed and is not queryable',
    })
    client.release()
    assert.equal(pool.totalCount, 0)
  },
})
