// The queue and the counts, step by step. Each step is [total, idle, waiting, expired], read without waiting for anything.

import assert from 'node:assert/strict'
import pg from 'pg'
import { rejection } from './calls.js'
import { contract } from './suite.js'

type Counts = readonly [total: number, idle: number, waiting: number, expired: number]

const counts = ({ totalCount, idleCount, waitingCount, expiredCount }: pg.Pool): Counts => [
  totalCount,
  idleCount,
  waitingCount,
  expiredCount,
]

/** Every later use finds servers and names looked up. */
async function warm(pool: pg.Pool): Promise<pg.Pool> {
  const client = await pool.connect()
  client.release(true)
  assert.deepEqual(counts(pool), [0, 0, 0, 0])
  return pool
}

contract('counts', {
  'of a client’s life': async ({ pool: make }) => {
    const pool = await warm(await make())
    const promise = pool.connect()
    assert.deepEqual(counts(pool), [1, 0, 0, 0])
    const client = await promise
    assert.deepEqual(counts(pool), [1, 0, 0, 0])
    client.release()
    assert.deepEqual(counts(pool), [1, 1, 0, 0])
    await pool.connect()
    assert.deepEqual(counts(pool), [1, 0, 0, 0])
    client.release(true)
    assert.deepEqual(counts(pool), [0, 0, 0, 0])
  },

  'of the very first connect()': async ({ cold }) => {
    const pool = cold()
    const promise = pool.connect()
    assert.deepEqual(counts(pool), [1, 0, 0, 0])
    await promise
  },

  'of the very first connects beyond max': async ({ cold }) => {
    const pool = cold({ max: 1 })
    const first = pool.connect()
    const second = pool.connect()
    assert.deepEqual(counts(pool), [1, 0, 1, 0])
    const client = await first
    client.release()
    assert.equal(await second, client)
  },

  'of those who wait': async ({ pool: make }) => {
    const pool = await warm(await make({ max: 2 }))
    const taking = [pool.connect(), pool.connect(), pool.connect(), pool.connect()] as const
    assert.deepEqual(counts(pool), [2, 0, 2, 0])
    const [first, second] = [await taking[0], await taking[1]]
    first.release()
    assert.deepEqual(counts(pool), [2, 0, 1, 0])
    second.release(true)
    // The one who waits gets a new client when the old one is gone.
    assert.deepEqual(counts(pool), [1, 0, 1, 0])
    const [third, fourth] = [await taking[2], await taking[3]]
    assert.deepEqual([counts(pool), third === first, fourth === second], [[2, 0, 0, 0], true, false])
    third.release()
    fourth.release()
    assert.deepEqual(counts(pool), [2, 2, 0, 0])
  },

  'of statements': async ({ pool: make }) => {
    const pool = await warm(await make({ max: 1 }))
    const text = "update items set name = 'tea' where id = 1"
    const running = [pool.query(text), pool.query(text), pool.query(text)]
    assert.deepEqual(counts(pool), [1, 0, 2, 0])
    await Promise.all(running)
    assert.deepEqual(counts(pool), [1, 1, 0, 0])
  },

  'of statements that fail': async ({ pool: make }) => {
    const pool = await warm(await make({ max: 1 }))
    const text = "insert into items values (1, 'tea')"
    const running = [rejection(pool.query(text)), rejection(pool.query(text))]
    assert.deepEqual(counts(pool), [1, 0, 1, 0])
    for (const { code } of await Promise.all(running)) assert.equal(code, '23505')
    assert.deepEqual(counts(pool), [0, 0, 0, 0])
  },

  'of an idle client that is about to be taken': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    client.release()
    const again = pool.connect()
    // pg takes it in the next turn, and until then it is both.
    assert.deepEqual(counts(pool), [1, 1, 1, 0])
    await again
    assert.deepEqual(counts(pool), [1, 0, 0, 0])
  },

  'of the end': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    const other = await pool.connect()
    other.release()
    assert.deepEqual(counts(pool), [2, 1, 0, 0])
    const end = pool.end()
    assert.deepEqual(counts(pool), [1, 0, 0, 0])
    client.release()
    assert.deepEqual(counts(pool), [0, 0, 0, 0])
    await end
  },

  'a new pool dials before query() returns': async ({ cold }) => {
    const pool = cold()
    const running = pool.query('select 1')
    const [client] = Reflect.get(pool, '_clients') as pg.Client[]
    assert.ok(client?.connection.stream)
    await running
    assert.deepEqual(Reflect.get(pool, '_clients'), [client])
  },

  'are those of the lists that libraries reach into': async ({ pool: make }) => {
    const pool = await make({ max: 2 })
    const lists = () => ['_clients', '_idle', '_pendingQueue'].map((name) => Reflect.get(pool, name) as unknown[])
    const [first, second] = [await pool.connect(), await pool.connect()]
    const waiting = pool.connect()
    assert.deepEqual(lists()[0], [first, second])
    assert.deepEqual(
      lists().map(({ length }) => length),
      [2, 0, 1]
    )
    second.release()
    await waiting
    first.release()
    assert.equal(Reflect.get(lists()[1]?.[0] as object, 'client'), first)
    assert.deepEqual(
      lists().map(({ length }) => length),
      [2, 1, 0]
    )
  },

  'who waits is served in order': async ({ pool: make }) => {
    const pool = await make({ max: 1 })
    const client = await pool.connect()
    const served: number[] = []
    const waiting = [0, 1, 2, 3, 4].map(async (turn) => {
      const mine = await pool.connect()
      served.push(turn)
      assert.equal(mine, client)
      mine.release()
    })
    assert.equal(pool.waitingCount, 5)
    client.release()
    await Promise.all(waiting)
    assert.deepEqual(served, [0, 1, 2, 3, 4])
  },

  'clients and statements wait in one queue': async ({ pool: make }) => {
    const sent: unknown[] = []
    class Client extends pg.Client {
      override query(...args: unknown[]) {
        sent.push(args[0])
        return Reflect.apply(super.query, this, args)
      }
    }
    const pool = await make({ max: 1, Client })
    const client = await pool.connect()
    const text = (name: string) => `update items set name = '${name}' where id = 1`
    const held = pool.query(text('first'))
    const holder = pool.connect().then(async (mine) => {
      await mine.query(text('second'))
      mine.release()
    })
    const last = pool.query(text('tea'))
    assert.equal(pool.waitingCount, 3)
    client.release()
    await Promise.all([held, holder, last])
    assert.deepEqual(sent, [text('first'), text('second'), text('tea')])
  },

  'who waits when a client is destroyed gets a new one': async ({ pool: make }) => {
    const pool = await make({ max: 1 })
    const client = await pool.connect()
    const waiting = pool.connect()
    client.release(true)
    const next = await waiting
    assert.deepEqual([next === client, counts(pool)], [false, [1, 0, 0, 0]])
  },
})
