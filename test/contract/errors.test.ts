// Errors that come through a pool: their texts, codes and classes, and what becomes of the connection.

import assert from 'node:assert/strict'
import { type AddressInfo, createServer } from 'node:net'
import pg from 'pg'
import { called, rejection } from './calls.js'
import { closedPort } from './servers.js'
import { contract } from './suite.js'

type Connect = Parameters<pg.Pool['connect']>[0]

const DOUBLE = 'Release called on client which has already been released to the pool.'

/** Statements and the SQLSTATE they end with. */
const FAILURES: readonly (readonly [text: string, values: unknown[] | undefined, code: string])[] = [
  ['select nonsense', undefined, '42703'],
  ['selec 1', undefined, '42601'],
  ['select * from nowhere', undefined, '42P01'],
  ['select 1/$1::int', [0], '22012'],
  ["insert into items values (1, 'tea')", undefined, '23505'],
  ['insert into items values ($1, $2)', [1, 'tea'], '23505'],
  ['select $1::int', ['no number'], '22P02'],
  ['select 1; select 2', [1], '42601'],
  ['select 1; select 1/0', undefined, '22012'],
]

contract('errors', {
  'of the server come through as they are': async ({ pool: make }) => {
    const pool = await make()
    for (const [text, values, code] of FAILURES) {
      const error = await rejection(pool.query(text, values))
      assert.ok(error instanceof pg.DatabaseError, text)
      assert.deepEqual([error.code, error.severity], [code, 'ERROR'], text)
    }
  },

  'of the server take their client along': {
    pg: async ({ pool: make }) => {
      const pool = await make()
      for (const [text, values] of FAILURES) {
        await rejection(pool.query(text, values))
        assert.equal(pool.totalCount, 0, text)
      }
    },
    better: async ({ pool: make }) => {
      const pool = await make()
      for (const [text, values] of FAILURES) {
        await rejection(pool.query(text, values))
        assert.equal(pool.totalCount, pool.idleCount, text)
      }
    },
  },

  'of the server keep their fields': async ({ pool: make }) => {
    const pool = await make()
    const error = await rejection(pool.query("insert into items values (1, 'tea')"))
    const { message, detail, schema, table, constraint, routine } = error
    assert.deepEqual(
      { message, detail, schema, table, constraint, routine },
      {
        message: 'duplicate key value violates unique constraint "items_pkey"',
        detail: 'Key (id)=(1) already exists.',
        schema: 'public',
        table: 'items',
        constraint: 'items_pkey',
        routine: '_bt_check_unique',
      }
    )
    assert.equal((await rejection(pool.query('select nonsense'))).position, '8')
  },

  'say what became of the statement': {
    pg: async ({ pool: make }) => {
      assert.ok(!('outcome' in (await rejection((await make()).query('select nonsense')))))
    },
    better: async ({ pool: make }) => {
      assert.equal((await rejection((await make()).query('select nonsense'))).outcome, 'rolled-back')
    },
  },

  'on a client leave it where it is': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    await assert.rejects(client.query('selec 1'), { code: '42601' })
    client.release()
    assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1])
    assert.equal(await pool.connect(), client)
  },

  'a client is released once': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    const { release } = client
    release()
    for (const again of [release, () => client.release(), () => release(true)]) {
      assert.throws(again, { message: DOUBLE })
    }
    assert.equal(await pool.connect(), client)
    assert.throws(() => release(), { message: DOUBLE })
    assert.deepEqual([pool.totalCount, pool.idleCount], [1, 0])
  },

  'the same by a callback’s release': async ({ pool: make }) => {
    const pool = await make()
    const { args } = await called((done) => pool.connect(done as Connect))
    const release = args[2] as () => void
    release()
    assert.throws(release, { message: DOUBLE })
  },

  'nobody listens: ECONNREFUSED': async ({ cold }) => {
    const pool = cold({ host: '127.0.0.1', port: await closedPort() })
    for (const use of [() => pool.connect(), () => pool.query('select 1')]) {
      const { code, syscall, address } = await rejection(use())
      assert.deepEqual([code, syscall, address, pool.totalCount], ['ECONNREFUSED', 'connect', '127.0.0.1', 0])
    }
    const { args, returned } = await called((done) => pool.connect(done as Connect))
    assert.deepEqual([Reflect.get(args[0] as Error, 'code'), args[1], returned], ['ECONNREFUSED', undefined, undefined])
    assert.equal((args[2] as () => unknown)(), undefined)
  },

  'a name that does not resolve: ENOTFOUND': async ({ cold }) => {
    const error = await rejection(cold({ host: 'no-such-host.invalid', port: 1 }).query('select 1'))
    assert.match(String(error.code), /^(?:ENOTFOUND|EAI_AGAIN)$/)
    assert.equal(error.syscall, 'getaddrinfo')
  },

  'a server that hangs up at once: Connection terminated unexpectedly': async ({ cold }) => {
    const server = createServer((socket) => socket.end())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const pool = cold({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })
      await assert.rejects(pool.connect(), { message: 'Connection terminated unexpectedly' })
      assert.equal(pool.totalCount, 0)
    } finally {
      server.close()
    }
  },

  'TLS where the server has none': async ({ cold }) => {
    await assert.rejects(cold({ ssl: true }).query('select 1'), {
      message: 'The server does not support SSL connections',
    })
  },
})
