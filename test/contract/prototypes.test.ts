// Tracers wrap methods of pg's classes, libraries those of one client: what they wrap is what is called.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { closedPort } from './servers.js'
import { contract } from './suite.js'

type Method = (...args: unknown[]) => unknown

/** Wraps the method while `work` goes on; gives `this` and the arguments of each call. */
async function wrapped(owner: object, name: string, work: () => Promise<unknown>) {
  const original = Reflect.get(owner, name) as Method
  const calls: { readonly self: unknown; readonly args: readonly unknown[] }[] = []
  Reflect.set(owner, name, function (this: unknown, ...args: unknown[]) {
    calls.push({ self: this, args })
    return Reflect.apply(original, this, args)
  })
  try {
    await work()
  } finally {
    Reflect.set(owner, name, original)
  }
  return calls
}

const READ = 'select * from items'
const WRITE = "update items set name = 'tea' where id = 1"

contract('prototypes', {
  'connect() of pg-pool, once for each statement and each client': async ({ pool: make }) => {
    const pool = await make()
    const base = Reflect.getPrototypeOf(pg.Pool.prototype) ?? assert.fail('no base')
    const calls = await wrapped(base, 'connect', async () => {
      await pool.query(READ)
      await pool.query(WRITE)
      const client = await pool.connect()
      client.release()
    })
    assert.equal(calls.length, 3)
    for (const { self } of calls) assert.ok(self instanceof pg.Pool)
  },

  'connect() of pg.Client, wrapped by what knows callbacks only': async ({ cold }) => {
    const owner = pg.Client.prototype
    const original = Reflect.get(owner, 'connect') as Method
    Reflect.set(owner, 'connect', function (this: unknown, done: unknown) {
      Reflect.apply(original, this, [done])
    })
    try {
      await cold().query(READ)
      const pool = cold({ host: '127.0.0.1', port: await closedPort(), failoverTimeoutMillis: 100 })
      // A promise that is rejected behind everybody's back fails the test.
      await assert.rejects(pool.query(READ), /ECONNREFUSED/)
    } finally {
      Reflect.set(owner, 'connect', original)
    }
  },

  'query() of pg.Client, once for each statement, and for nothing else': async ({ cold }) => {
    const calls = await wrapped(pg.Client.prototype, 'query', async () => {
      const pool = cold({ monitorIntervalMillis: 50 })
      await pool.query(WRITE)
      await sleep(300)
      await pool.query(READ)
      await pool.query(WRITE)
      const client = await pool.connect()
      await client.query(WRITE)
      for (const text of ['begin read only', READ, 'commit']) await client.query(text)
      client.release()
    })
    // What is borrowed carries the client's own type parsers.
    const texts = calls.map(({ args }) => (args[0] as { readonly text?: string }).text ?? args[0])
    assert.deepEqual(
      texts.filter((text) => text !== 'begin read only' && text !== 'commit'),
      [WRITE, READ, WRITE, WRITE, READ]
    )
    for (const { self } of calls) assert.ok(self instanceof pg.Client)
  },

  'query() of pg.Client, in the asynchronous context of its caller': async ({ pool: make, mayWarn }) => {
    mayWarn(/already executing a query/)
    const pool = await make()
    const context = new AsyncLocalStorage<string>()
    const seen: unknown[] = []
    const original = pg.Client.prototype.query as Method
    const client = await pool.connect()
    Reflect.set(pg.Client.prototype, 'query', function (this: unknown, ...args: unknown[]) {
      seen.push(context.getStore())
      return Reflect.apply(original, this, args)
    })
    try {
      for (const name of ['one', 'two']) await context.run(name, () => client.query(READ))
      await Promise.all(['three', 'four'].map((name) => context.run(name, () => client.query(READ))))
    } finally {
      Reflect.set(pg.Client.prototype, 'query', original)
    }
    client.release()
    assert.deepEqual(seen, ['one', 'two', 'three', 'four'])
  },

  'connect() of pg.Client, once for each connection of the pool': async ({ cold }) => {
    const calls = await wrapped(pg.Client.prototype, 'connect', async () => {
      const pool = cold({ monitorIntervalMillis: 50 })
      await pool.query(WRITE)
      await sleep(300)
      assert.equal(pool.totalCount, 1)
    })
    assert.equal(calls.length, 1)
  },

  'the pool whose connect() is called tells whoever listens there': async ({ pool: make }) => {
    const pool = await make()
    const base = Reflect.getPrototypeOf(pg.Pool.prototype) ?? assert.fail('no base')
    const original = Reflect.get(base, 'connect') as Method
    const told: string[] = []
    const heard = new Set<unknown>()
    Reflect.set(base, 'connect', function (this: pg.Pool, ...args: unknown[]) {
      if (!heard.has(this)) {
        heard.add(this)
        for (const event of ['connect', 'acquire', 'release', 'remove'] as const) this.on(event, () => told.push(event))
      }
      return Reflect.apply(original, this, args)
    })
    try {
      await pool.query(WRITE)
      await pool.query('select 1/0').catch(() => {})
      await pool.end()
      await sleep(100) // a socket closes in its own time
    } finally {
      Reflect.set(base, 'connect', original)
    }
    const count = (event: string) => told.filter((each) => each === event).length
    assert.deepEqual([count('acquire'), count('release')], [2, 2])
    assert.ok(count('connect') > 0)
    assert.equal(count('remove'), count('connect'))
  },

  'query() of one client, wrapped when it connects': async ({ pool: make }) => {
    const pool = await make()
    const seen: unknown[] = []
    pool.on('connect', (client) => {
      const original = client.query as Method
      client.query = function (this: unknown, ...args: unknown[]) {
        seen.push(args[0])
        return Reflect.apply(original, client, args)
      } as typeof client.query
    })
    for (const text of [READ, WRITE]) await pool.query(text)
    const client = await pool.connect()
    await client.query(WRITE)
    assert.deepEqual(seen, [READ, WRITE, WRITE])
  },
})
