// Tracers wrap methods of pg's classes, libraries those of one client: what they wrap is what is called.

import assert from 'node:assert/strict'
import pg from 'pg'
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

  'query() of pg.Client, once for each statement': async ({ pool: make }) => {
    const pool = await make()
    const calls = await wrapped(pg.Client.prototype, 'query', async () => {
      await pool.query(READ)
      await pool.query(WRITE)
      const client = await pool.connect()
      await client.query(WRITE)
      client.release()
    })
    // Not the looks that pgherd takes at its servers.
    const own = calls.filter(({ args }) => args[0] === READ || args[0] === WRITE)
    assert.deepEqual(
      own.map(({ args }) => args[0]),
      [READ, WRITE, WRITE]
    )
    for (const { self } of own) assert.ok(self instanceof pg.Client)
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
