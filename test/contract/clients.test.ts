// Clients out of a pool: which one, in what state, and what becomes of it when it is released.

import assert from 'node:assert/strict'
import pg from 'pg'
import { eventually } from '../support/pools.js'
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

const STATUSES: readonly (readonly [text: string, status: 'I' | 'T' | 'E'])[] = [
  ['begin', 'T'],
  ['select 1', 'T'],
  ['select nonsense', 'E'],
  ['rollback', 'I'],
  ['begin read only', 'T'],
  ['select 1', 'T'],
  ['select nonsense', 'E'],
  ['commit', 'I'],
  ['select 1', 'I'],
]

/** Takes `count` clients and gives them back one after the other. */
async function idle(pool: pg.Pool, count: number): Promise<pg.PoolClient[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => pool.connect()))
  for (const client of clients) client.release()
  return clients
}

contract('clients', {
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

  'a session stays as it was left': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    await client.query("set application_name = 'left so'")
    await client.query('create temp table mine as select 7 as n')
    client.setTypeParser(pg.types.builtins.INT4, (text) => `<${text}>`)
    client.release()
    const again = await pool.connect()
    const { rows } = await again.query("select n, current_setting('application_name') as name from mine")
    assert.deepEqual(rows, [{ n: '<7>', name: 'left so' }])
  },

  'a transaction stays open over a release': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    await client.query('begin')
    client.release()
    const again = await pool.connect()
    assert.deepEqual([again === client, again.getTransactionStatus()], [true, 'T'])
    await again.query('rollback')
  },

  'getTransactionStatus() follows the transaction': async ({ pool: make }) => {
    const client = await (await make()).connect()
    assert.equal(client.getTransactionStatus(), 'I')
    for (const [text, status] of STATUSES) {
      await client.query(text).catch(() => {})
      // After an error the server says so a moment later.
      await eventually(`${text} makes it ${status}`, () => client.getTransactionStatus() === status)
    }
  },

  'transactions are isolated until they are committed': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    const other = await pool.connect()
    const name = async (of: pg.PoolClient) => (await of.query('select name from items where id = 2')).rows[0]?.name
    await client.query('begin')
    await client.query("update items set name = 'pepper' where id = 2")
    assert.deepEqual([await name(client), await name(other)], ['pepper', 'salt'])
    await client.query('rollback')
    assert.equal(await name(client), 'salt')
  },

  'LISTEN and NOTIFY': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    const heard: pg.Notification[] = []
    client.on('notification', (message) => heard.push(message))
    await client.query('listen news')
    const { rows } = await pool.query("select pg_notify('news', 'tea is here'), pg_backend_pid() as pid")
    await eventually('it is heard', () => heard.length === 1)
    const { channel, payload, processId } = heard[0] ?? assert.fail('nothing heard')
    assert.deepEqual([channel, payload, processId], ['news', 'tea is here', rows[0].pid])
  },

  notices: async ({ pool: make }) => {
    const client = await (await make()).connect()
    const heard: (string | undefined)[] = []
    client.on('notice', ({ message }) => heard.push(message))
    await client.query("do $$ begin raise notice 'tea is here'; end $$")
    assert.deepEqual(heard, ['tea is here'])
  },

  'statements on a client keep their order': async ({ pool: make, mayWarn }) => {
    mayWarn(/already executing a query/)
    const client = await (await make()).connect()
    const answered: string[] = []
    const run = async (text: string) => {
      const { rows } = await client.query(text)
      answered.push(rows[0]?.name ?? text)
    }
    const read = 'select name from items where id = 3'
    await Promise.all([run('begin'), run(read), run("update items set name = 'string' where id = 3"), run(read)])
    await Promise.all([run('rollback'), run(read)])
    assert.deepEqual(answered, [
      'begin',
      'rope',
      "update items set name = 'string' where id = 3",
      'string',
      'rollback',
      'rope',
    ])
  },
})
