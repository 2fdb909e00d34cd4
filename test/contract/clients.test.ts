// Clients out of a pool: which one, in what state, and what becomes of it when it is released.

import assert from 'node:assert/strict'
import pg from 'pg'
import { eventually } from '../support/pools.js'
import { rejection } from './calls.js'
import { ROLE } from './servers.js'
import { contract } from './suite.js'

type Loose = pg.PoolClient & Record<string, unknown>

/** What a client is released with, and whether the pool keeps it. */
const RELEASES: readonly (readonly [given: readonly unknown[], kept: boolean])[] = [
  [[], true],
  [[undefined], true],
  [[null], true],
  [[false], true],
  [[true], false],
  [[new Error('enough of it')], false],
  [['any word'], false],
]

/** Takes `count` clients and gives them back one after the other. */
async function idle(pool: pg.Pool, count: number): Promise<pg.PoolClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => pool.connect()))
  for (const client of clients) client.release()
  return clients
}

/** Statements that run into query_timeout, in each form in which a client takes them; resolves in the caller's own turn. */
const SLOW = 'select pg_sleep(20) for update'
const OVERDUE: Readonly<Record<string, (client: pg.PoolClient, done: (error: Error) => void) => void>> = {
  promise: (client, done) => void client.query(SLOW).catch(done),
  callback: (client, done) => client.query(SLOW, done),
  'callback with values': (client, done) => client.query(SLOW, [], done),
  'callback in a config': (client, done) => Reflect.apply(client.query, client, [{ text: SLOW, callback: done }]),
  submittable: (client, done) => void client.query(new pg.Query(SLOW, done as () => void)),
}

contract('clients', {
  'given back while a statement that query_timeout gave up goes on': {
    pg: async ({ pool: make }) => {
      const pool = await make({ query_timeout: 30 })
      const client = await pool.connect()
      await assert.rejects(client.query(SLOW), { message: 'Query read timeout' })
      client.release()
      assert.equal(pool.idleCount, 1)
      await assert.rejects(pool.query('select 1'), { message: 'Query read timeout' })
    },
    better: async ({ pool: make }) => {
      const pool = await make({ query_timeout: 30, max: 1 })
      for (const [form, run] of Object.entries(OVERDUE)) {
        const client = await pool.connect()
        const { message } = await new Promise<Error>((resolve) => {
          run(client, (error) => {
            client.release()
            resolve(error)
          })
        })
        assert.deepEqual([message, pool.totalCount], ['Query read timeout', 0], form)
        assert.equal((await pool.query('select 1 as n for update')).rows[0]?.n, 1, form)
      }
      // Given back before the time is over.
      const client = await pool.connect()
      const slow = rejection(client.query(SLOW))
      client.release()
      const next = await pool.connect()
      assert.deepEqual([(await slow).message, next === client], ['Query read timeout', false])
      next.release()
    },
  },

  'are told by query_timeout in time, also in a READ ONLY transaction': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    await client.query('begin read only')
    const [startedAt, query] = [performance.now(), { text: 'select pg_sleep(5)', query_timeout: 30 }]
    await assert.rejects(client.query(query), { message: 'Query read timeout' })
    assert.ok(performance.now() - startedAt < 4000)
    client.release(true)
  },

  'given back when a statement that query_timeout gave up has ended': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    const query = { text: 'select pg_sleep(0.2) for update', query_timeout: 30 }
    await assert.rejects(client.query(query), { message: 'Query read timeout' })
    assert.equal((await client.query('select 1 as n for update')).rows[0]?.n, 1)
    client.release()
    assert.equal(await pool.connect(), client)
  },

  'are pg.Clients of the primary': async ({ pool: make, primary }) => {
    const client = await (await make()).connect()
    assert.ok(client instanceof pg.Client)
    const { host, port, user, database } = client
    const parameters = Reflect.get(client, 'connectionParameters') as pg.ClientConfig
    const told = { ...primary(), user: ROLE.user, database: ROLE.database }
    assert.deepEqual({ host, port, user, database }, told)
    assert.deepEqual([parameters.host, parameters.port], [told.host, told.port])
    const { rows } = await client.query('select pg_backend_pid() as pid, inet_server_port() as port for update')
    assert.deepEqual(rows, [{ pid: Reflect.get(client, 'processID'), port }])
  },

  'come back as the same object, with what was put on it': async ({ pool: make }) => {
    const pool = await make()
    const client = (await pool.connect()) as Loose
    const mark = Symbol('mark')
    client.knexUid = 7
    Object.defineProperty(client, mark, { value: 'hidden' })
    client.release()
    const again = (await pool.connect()) as Loose
    assert.equal(again, client)
    assert.deepEqual([again.knexUid, Reflect.get(again, mark)], [7, 'hidden'])
  },

  'the newest idle client is taken first': async ({ pool: make }) => {
    const pool = await make()
    const [first, second, third] = await idle(pool, 3)
    const taken = [await pool.connect(), await pool.connect(), await pool.connect()]
    assert.deepEqual(
      taken.map((client) => [first, second, third].indexOf(client)),
      [2, 1, 0]
    )
  },

  'release() gives undefined, and keeps or destroys': async ({ pool: make }) => {
    const pool = await make()
    for (const [given, kept] of RELEASES) {
      const client = await pool.connect()
      assert.equal(Reflect.apply(client.release, client, given), undefined)
      assert.deepEqual([pool.totalCount, pool.idleCount], kept ? [1, 1] : [0, 0], String(given))
      const next = await pool.connect()
      assert.equal(next === client, kept, String(given))
      next.release(true)
    }
  },

  'release is made anew at each checkout': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    const { release } = client
    release()
    await pool.connect()
    assert.notEqual(client.release, release)
  },

  'a destroyed client’s session ends': async ({ pool: make, admin }) => {
    const pool = await make()
    const client = await pool.connect()
    client.release(true)
    const server = await admin()
    const count = 'select 1 from pg_stat_activity where pid = $1'
    const pid = Reflect.get(client, 'processID')
    await eventually('it has ended', async () => (await server.query(count, [pid])).rowCount === 0)
  },

  'end() of a client may be replaced, and is called when it goes': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    const { end } = client
    let ended = 0
    client.end = ((...args: unknown[]) => {
      ended += 1
      return Reflect.apply(end, client, args)
    }) as typeof end
    client.release(true)
    assert.equal(ended, 1)
  },

  'a failed query() takes its client away, and only that': async ({ pool: make }) => {
    const pool = await make()
    const [first, second] = await idle(pool, 2)
    await assert.rejects(pool.query("insert into items values (1, 'tea')"), { code: '23505' })
    assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1])
    assert.equal(await pool.connect(), first)
    assert.notEqual(await pool.connect(), second)
  },

  'query() uses the clients that are there': async ({ pool: make }) => {
    const pool = await make()
    const [client] = await idle(pool, 1)
    const { rows } = await pool.query("update items set name = 'tea' where id = 1 returning pg_backend_pid() as pid")
    assert.deepEqual(rows, [{ pid: client && Reflect.get(client, 'processID') }])
    assert.equal(pool.totalCount, 1)
  },
})
