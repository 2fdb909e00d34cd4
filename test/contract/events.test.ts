// What a pool tells, in which order, and with what.

import assert from 'node:assert/strict'
import type pg from 'pg'
import { eventually } from '../support/pools.js'
import { rejection } from './calls.js'
import { contract } from './suite.js'

type Entry = readonly [event: string, ...args: unknown[]]

const NAMES = ['connect', 'acquire', 'release', 'remove', 'error'] as const

/** All that the pool tells from now on. */
function heard(pool: pg.Pool): Entry[] {
  const entries: Entry[] = []
  for (const name of NAMES) pool.on(name, (...args: unknown[]) => void entries.push([name, ...args]))
  return entries
}

const names = (entries: readonly Entry[]) => entries.map(([name]) => name)

contract('events', {
  'connect, acquire, the caller, release, remove': async ({ pool: make }) => {
    const pool = await make()
    const told = heard(pool)
    const client = await pool.connect()
    told.push(['caller'])
    client.release(true)
    told.push(['released'])
    await eventually('it has gone', () => told.length === 6)
    assert.deepEqual(told, [
      ['connect', client],
      ['acquire', client],
      ['caller'],
      ['release', true, client],
      ['released'],
      ['remove', client],
    ])
  },

  'an idle client is only acquired': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    client.release()
    const told = heard(pool)
    assert.equal(await pool.connect(), client)
    assert.deepEqual(told, [['acquire', client]])
  },

  'release tells what the client was released with, before anything is removed': async ({ pool: make }) => {
    const pool = await make()
    const error = new Error('enough of it')
    for (const [given, kept] of [
      [undefined, 1],
      [null, 1],
      [false, 1],
      [true, 0],
      [error, 0],
    ] as const) {
      const client = await pool.connect()
      const seen: unknown[] = []
      pool.once('release', (why, released) => seen.push(why, released === client, pool.totalCount))
      client.release(given as Error)
      assert.deepEqual([...seen, pool.totalCount], [given, true, 1, kept])
    }
  },

  'query() tells the same': async ({ pool: make }) => {
    const pool = await make()
    const told = heard(pool)
    await pool.query("update items set name = 'tea' where id = 1")
    assert.deepEqual(names(told), ['connect', 'acquire', 'release'])
    const [[, client], acquired, released] = told as [Entry, Entry, Entry]
    assert.equal(acquired[1], client)
    assert.equal(released[1] ?? undefined, undefined)
    assert.equal(released[2], client)
  },

  'query() releases with the error of the statement': async ({ pool: make }) => {
    const pool = await make()
    const told = heard(pool)
    const error = await rejection(pool.query("insert into items values (1, 'tea')"))
    await eventually('the client has gone', () => told.length === 4)
    assert.deepEqual(names(told), ['connect', 'acquire', 'release', 'remove'])
    assert.equal(told[2]?.[1], error)
  },

  'query() has released before its caller goes on': async ({ pool: make }) => {
    const pool = await make()
    const told = heard(pool)
    await pool.query('select * from items')
    assert.deepEqual(names(told), ['connect', 'acquire', 'release'])
    assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1])
  },

  'release tells null of a statement that succeeded': async ({ pool: make }) => {
    const pool = await make()
    const told = heard(pool)
    await pool.query("update items set name = 'tea' where id = 1")
    assert.equal(told.at(-1)?.[1], null)
  },

  'remove comes when the socket has ended; the counts do not wait for it': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    const told = heard(pool)
    client.release(true)
    assert.deepEqual([names(told), pool.totalCount], [['release'], 0])
    await eventually('it has gone', () => told.length === 2)
    assert.equal(client.connection.stream.destroyed || client.connection.stream.writableEnded, true)
  },

  'listeners are called on the pool, and can be taken off': async ({ pool: make }) => {
    const pool = await make()
    const seen: unknown[] = []
    function listener(this: unknown) {
      seen.push(this)
    }
    pool.on('connect', listener)
    assert.equal(pool.listenerCount('connect'), 1)
    const client = await pool.connect()
    pool.off('connect', listener)
    const once: unknown[] = []
    pool.once('connect', (other) => once.push(other))
    const more = [await pool.connect(), await pool.connect()]
    assert.deepEqual([seen, once], [[pool], [more[0]]])
    assert.notEqual(client, more[0])
  },

  'a statement that a connect listener sends comes before the first of the caller': async ({ pool: make, mayWarn }) => {
    mayWarn(/already executing a query/)
    const pool = await make()
    pool.on('connect', (client) => void client.query("set application_name = 'first'"))
    const { rows } = await pool.query("select current_setting('application_name') as name")
    assert.deepEqual(rows, [{ name: 'first' }])
    const client = await pool.connect()
    const { rows: again } = await client.query("select current_setting('application_name') as name")
    assert.deepEqual(again, [{ name: 'first' }])
  },

  'error: an idle client was lost': async ({ pool: make, admin }) => {
    const pool = await make()
    const client = await pool.connect()
    client.release()
    const told = heard(pool)
    await (await admin()).query('select pg_terminate_backend($1)', [Reflect.get(client, 'processID')])
    await eventually('it has gone', () => told.some(([name]) => name === 'remove'))
    const [[name, error, of] = []] = told
    assert.deepEqual([name, Reflect.get(error as Error, 'code'), of], ['error', '57P01', client])
    assert.equal(Reflect.get(error as Error, 'client'), client)
    assert.deepEqual([names(told), pool.totalCount, pool.idleCount], [['error', 'remove'], 0, 0])
    const next = await pool.connect()
    assert.notEqual(next, client)
  },

  'error: never of a client that is out': async ({ pool: make, admin }) => {
    const pool = await make()
    const client = await pool.connect()
    const told = heard(pool)
    const errors: Error[] = []
    client.on('error', (error) => errors.push(error))
    await (await admin()).query('select pg_terminate_backend($1)', [Reflect.get(client, 'processID')])
    await eventually('its holder knows', () => errors.length > 0)
    client.release()
    await eventually('it has gone', () => told.length === 2)
    assert.deepEqual(told, [
      ['release', undefined, client],
      ['remove', client],
    ])
  },

  'a client that is out has nobody listen to its errors': {
    pg: async ({ pool: make }) => {
      const client = await (await make()).connect()
      assert.equal(client.listenerCount('error'), 0)
    },
    better: async ({ pool: make }) => {
      const client = await (await make()).connect()
      assert.ok(client.listenerCount('error') > 0)
    },
  },
})
