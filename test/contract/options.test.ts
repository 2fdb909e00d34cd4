// Options that concern clients: which reach them, the class they are of, and how the pool speaks of them.

import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import pg from 'pg'
import { eventually } from '../support/pools.js'
import { rejection } from './calls.js'
import type { Subject } from './pools.js'
import { contract } from './suite.js'

/** What a pool does not read itself goes to each client as it is. */
const FOR_CLIENTS = {
  keepAlive: true,
  keepAliveInitialDelayMillis: 5000,
  statement_timeout: 4000,
  lock_timeout: 3000,
  idle_in_transaction_session_timeout: 2000,
  query_timeout: 9000,
  connectionTimeoutMillis: 8000,
  application_name: 'shop',
  fallback_application_name: 'none',
  client_encoding: 'UTF8',
  enableChannelBinding: true,
  scramMaxIterations: 50_000,
  pipeline: true,
  anything: 'else',
} as const

/** Option, value, the session's setting, what that is then. */
const SETTINGS: readonly (readonly [option: string, value: unknown, setting: string, is: string])[] = [
  ['statement_timeout', 4000, 'statement_timeout', '4s'],
  ['lock_timeout', 3000, 'lock_timeout', '3s'],
  ['idle_in_transaction_session_timeout', 2000, 'idle_in_transaction_session_timeout', '2s'],
  ['application_name', 'shop', 'application_name', 'shop'],
  ['fallback_application_name', 'shop by default', 'application_name', 'shop by default'],
  ['options', '-c work_mem=3MB', 'work_mem', '3MB'],
]

const failing = new Error('not today')

async function givenUp(make: Subject['pool']) {
  const ofPool = await make({ query_timeout: 30 })
  await assert.rejects(ofPool.query('select pg_sleep(0.5)'), { message: 'Query read timeout' })
  const pool = await make()
  const own: object = { text: 'select pg_sleep(0.5)', query_timeout: 30 }
  await assert.rejects(pool.query(own as pg.QueryConfig), {
    message: 'Query read timeout',
  })
  return pool
}

class Impossible {
  constructor() {
    throw failing
  }
}

contract('options', {
  'clients get every option': async ({ pool: make }) => {
    const seen: Record<string, unknown>[] = []
    class Client extends pg.Client {
      constructor(config: pg.ClientConfig) {
        super(config)
        seen.push({ ...config })
      }
    }
    const pool = await make({ ...FOR_CLIENTS, Client })
    const client = await pool.connect()
    const got = Object.keys(FOR_CLIENTS).map((name) => [name, seen.at(-1)?.[name]])
    assert.deepEqual(Object.fromEntries(got), FOR_CLIENTS)
    assert.equal(client.pipeline, true)
  },

  'Client: clients are of the class that was given': async ({ pool: make }) => {
    class Client extends pg.Client {
      readonly mine = true
    }
    const pool = await make({ Client })
    const client = await pool.connect()
    assert.ok(client instanceof Client)
    assert.deepEqual([client.mine, Reflect.get(pool, 'Client')], [true, Client])
  },

  'a client that cannot be made': {
    pg: async ({ pool: make }) => {
      const pool = await make({ Client: Impossible })
      assert.throws(() => pool.connect(), failing)
      assert.throws(() => pool.query('select 1'), failing)
    },
    better: async ({ pool: make }) => {
      const pool = await make({ Client: Impossible })
      for (const use of [() => pool.connect(), () => pool.query('select 1')]) {
        assert.equal(await rejection(use()), failing)
        assert.deepEqual([pool.totalCount, pool.waitingCount], [0, 0])
      }
    },
  },

  'settings of the session': async ({ pool: make }) => {
    for (const [option, value, setting, is] of SETTINGS) {
      const pool = await make({ [option]: value })
      const client = await pool.connect()
      const { rows } = await client.query('select current_setting($1) as is', [setting])
      assert.deepEqual(rows, [{ is }], option)
      client.release()
      const again = await pool.query('select current_setting($1) as is', [setting])
      assert.deepEqual(again.rows, [{ is }], option)
    }
  },

  'statement_timeout ends a statement': async ({ pool: make }) => {
    const pool = await make({ statement_timeout: 30 })
    await assert.rejects(pool.query('select pg_sleep(0.5)'), { code: '57014' })
  },

  'query_timeout gives up on a statement, of the pool or its own': {
    pg: async ({ pool: make }) => {
      const pool = await givenUp(make)
      assert.equal(pool.totalCount, 0)
    },
    better: async ({ pool: make }) => {
      const pool = await givenUp(make)
      await eventually('the server has ended it', () => pool.totalCount === pool.idleCount)
    },
  },

  'types: parsers of the pool, or of one statement': async ({ pool: make }) => {
    const types = { getTypeParser: () => (text: string) => `<${text}>` }
    const pool = await make({ types })
    assert.deepEqual((await pool.query('select 1 as n')).rows, [{ n: '<1>' }])
    const other = await make()
    assert.deepEqual((await other.query({ text: 'select 1 as n', types } as pg.QueryConfig)).rows, [{ n: '<1>' }])
    assert.deepEqual((await other.query('select 1 as n')).rows, [{ n: 1 }])
  },

  'stream: a factory of sockets': async ({ pool: make }) => {
    const sockets: Socket[] = []
    const stream = () => {
      const socket = new Socket()
      sockets.push(socket)
      return socket
    }
    const pool = await make({ stream })
    const client = await pool.connect()
    assert.ok(sockets.some((socket) => socket === client.connection.stream))
  },

  'binary: results in the binary format': async ({ pool: make }) => {
    const pool = await make({ binary: true })
    const { rows, fields } = await pool.query('select 7::int as n where $1::int = 1', [1])
    assert.deepEqual([rows, fields[0]?.format], [[{ n: 7 }], 'binary'])
  },

  'Promise: the class of all promises': async ({ pool: make, mayWarn }) => {
    mayWarn(/Passing a custom Promise implementation/)
    class Own<T> extends Promise<T> {}
    const pool = await make({ Promise: Own })
    const connected = pool.connect()
    assert.ok(connected instanceof Own)
    const client = await connected
    client.release()
    const query = pool.query('select 1')
    assert.ok(query instanceof Own)
    await query
    const end = pool.end()
    assert.ok(end instanceof Own)
    await end
  },

  'log: is told what happens, in words': async ({ pool: make }) => {
    const lines: unknown[] = []
    const log = (line: unknown) => void lines.push(line)
    const pool = await make({ log, maxUses: 1 })
    const client = await pool.connect()
    client.release()
    assert.equal(Reflect.get(pool, 'log'), log)
    for (const line of ['connecting new client', 'new client connected', 'remove expended client']) {
      assert.ok(lines.includes(line), line)
    }
    assert.ok(lines.every((line) => typeof line === 'string'))
  },
})
