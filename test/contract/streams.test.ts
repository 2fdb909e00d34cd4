// Rows in portions: pg-cursor and pg-query-stream, on a client and through the pool.

import assert from 'node:assert/strict'
import type { Submittable } from 'pg'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { eventually } from '../support/pools.js'
import { rejection, watched } from './calls.js'
import { contract } from './suite.js'

const SERIES = 'select n from generate_series(1, $1::int) n'

async function all(stream: QueryStream): Promise<number[]> {
  const seen: number[] = []
  for await (const { n } of stream) seen.push(n)
  return seen
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

contract('streams', {
  'a stream on a client': async ({ pool: make }) => {
    const client = await (await make()).connect()
    const stream = new QueryStream(SERIES, [250], { batchSize: 40 })
    assert.equal(client.query(stream), stream)
    assert.deepEqual(await all(stream), upTo(250))
    assert.equal((await client.query('select 1')).rowCount, 1)
  },

  'a stream through the pool: a promise that settles at its end': async ({ pool: make }) => {
    const pool = await make()
    const stream = new QueryStream(SERIES, [250], { batchSize: 40 })
    const promise = pool.query(stream) as unknown as Promise<unknown>
    assert.equal(promise.constructor, Promise)
    const state = watched(promise)
    const rows = stream[Symbol.asyncIterator]()
    assert.deepEqual((await rows.next()).value, { n: 1 })
    assert.deepEqual([state.settled, pool.idleCount], [false, 0])
    for (let next = await rows.next(); !next.done; ) next = await rows.next()
    await promise
    assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1])
  },

  'a stream that fails': async ({ pool: make }) => {
    const pool = await make()
    const stream = new QueryStream('select 1 / (3 - n) as n from generate_series(1, 5) n', [], { batchSize: 1 })
    const told = rejection(pool.query(stream) as unknown as Promise<unknown>)
    await assert.rejects(all(stream), { code: '22012' })
    assert.equal((await told).code, '22012')
    assert.equal(pool.totalCount, 0)
  },

  'a stream that is destroyed early': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    const stream = client.query(new QueryStream(SERIES, [10_000], { batchSize: 10 }))
    for await (const { n } of stream) if (n === 5) break
    client.release()
    assert.equal((await pool.query("update items set name = 'tea' where id = 1")).rowCount, 1)
    assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1])
  },

  'a cursor on a client': async ({ pool: make }) => {
    const client = await (await make()).connect()
    const cursor = client.query(new Cursor<{ n: number }>(SERIES, [5]))
    const portions = [await cursor.read(2), await cursor.read(2), await cursor.read(2), await cursor.read(2)]
    assert.deepEqual(
      portions.map((rows) => rows.map(({ n }) => n)),
      [[1, 2], [3, 4], [5], []]
    )
    await cursor.close()
    assert.equal((await client.query('select 1')).rowCount, 1)
  },

  'a cursor that is closed early': async ({ pool: make }) => {
    const client = await (await make()).connect()
    const cursor = client.query(new Cursor<{ n: number }>(SERIES, [5]))
    assert.equal((await cursor.read(2)).length, 2)
    await cursor.close()
    assert.equal((await client.query('select 1')).rowCount, 1)
    client.release()
  },

  'a cursor that fails': async ({ pool: make }) => {
    const client = await (await make()).connect()
    const cursor = client.query(new Cursor('select * from nowhere'))
    await assert.rejects(cursor.read(1), { code: '42P01' })
    assert.equal((await client.query('select 1')).rowCount, 1)
  },

  'a cursor through the pool works, and keeps its client': async ({ pool: make }) => {
    const pool = await make()
    const cursor = new Cursor<{ n: number }>(SERIES, [3])
    const state = watched(pool.query(cursor as Submittable) as unknown as Promise<unknown>)
    await eventually('it has a client', () => pool.totalCount === 1)
    assert.deepEqual(await cursor.read(5), [{ n: 1 }, { n: 2 }, { n: 3 }])
    await cursor.close()
    assert.deepEqual([state.settled, pool.totalCount, pool.idleCount], [false, 1, 0])
  },
})
