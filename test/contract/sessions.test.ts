// What runs on a client between its checkout and its release, and what stays of it.

import assert from 'node:assert/strict'
import pg from 'pg'
import { eventually } from '../support/pools.js'
import { contract } from './suite.js'

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

contract('sessions', {
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

  'a transaction that is open at the release': {
    pg: async ({ pool: make }) => {
      const pool = await make()
      const client = await pool.connect()
      await client.query('begin')
      client.release()
      const again = await pool.connect()
      assert.deepEqual([again === client, again.getTransactionStatus()], [true, 'T'])
      await again.query('rollback')
    },
    better: async ({ pool: make }) => {
      const pool = await make()
      for (const text of ['begin', 'begin read only']) {
        const client = await pool.connect()
        await client.query(text)
        client.release()
        const again = await pool.connect()
        assert.equal(again.getTransactionStatus(), 'I')
        again.release()
      }
      const client = await pool.connect()
      await client.query('begin')
      void client.query('commit')
      client.release() // as many do: what was sent ends it
      assert.equal(await pool.connect(), client)
    },
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
