// The forms in which connect() and end() are called, and how each answers: promises, or callbacks and undefined.

import assert from 'node:assert/strict'
import pg from 'pg'
import { type Call, called, rejection } from './calls.js'
import { contract } from './suite.js'

type Loose = (...args: unknown[]) => unknown

function assertAnswered({ returned, args, synchronous }: Call): void {
  assert.deepEqual([returned, synchronous], [undefined, false])
  assert.equal(args[0], undefined)
}

contract('callbacks', {
  'connect(): a promise of the client': async ({ pool: make }) => {
    const pool = await make()
    const promise = pool.connect()
    assert.equal(promise.constructor, Promise)
    assert.ok((await promise) instanceof pg.Client)
  },

  'connect(): a callback with error, client, release': async ({ pool: make }) => {
    const pool = await make()
    // The first makes a client, the second finds it idle.
    for (const made of [1, 1]) {
      const call = await called((done) => pool.connect(done))
      assertAnswered(call)
      const [error, client, release] = call.args as [unknown, pg.PoolClient, () => void]
      assert.equal(error, undefined)
      assert.ok(client instanceof pg.Client)
      assert.equal(release, client.release)
      assert.equal(release(), undefined)
      assert.deepEqual([pool.totalCount, pool.idleCount], [made, 1])
    }
  },

  'connect(): a callback that is null is none': async ({ pool: make }) => {
    const pool = await make()
    const client = await (Reflect.apply(pool.connect as Loose, pool, [null]) as Promise<pg.PoolClient>)
    assert.equal((await client.query('select 1')).rowCount, 1)
  },

  'connect() on an ended pool: a rejection': async ({ pool: make }) => {
    const pool = await make()
    await pool.end()
    const error = await rejection(pool.connect())
    assert.equal(error.message, 'Cannot use a pool after calling end on the pool')
  },

  'callbacks on an ended pool': {
    pg: async ({ pool: make }) => {
      const pool = await make()
      await pool.end()
      assert.ok((await called((done) => pool.connect(done))).synchronous)
      assert.ok((await called((done) => pool.query('select 1', done))).synchronous)
      assert.ok((await called((done) => pool.end(done))).synchronous)
    },
    better: async ({ pool: make }) => {
      const pool = await make()
      await pool.end()
      const calls = [
        await called((done) => pool.connect(done)),
        await called((done) => pool.query('select 1', done)),
        await called((done) => pool.end(done)),
      ]
      const told = calls.map(({ returned, args, synchronous }) => [returned, (args[0] as Error).message, synchronous])
      const over = 'Cannot use a pool after calling end on the pool'
      assert.deepEqual(told, [
        [undefined, over, false],
        [undefined, over, false],
        [undefined, 'Called end on pool more than once', false],
      ])
      assert.deepEqual([calls[0]?.args[1], typeof calls[0]?.args[2]], [undefined, 'function'])
    },
  },

  'end(): a promise of nothing, or a callback without an error': async ({ pool: make }) => {
    const first = await make()
    await first.query('select 1')
    const promise = first.end()
    assert.equal(promise.constructor, Promise)
    assert.equal(await promise, undefined)
    const second = await make()
    const client = await second.connect()
    const call = called((done) => second.end(done))
    client.release()
    assertAnswered(await call)
  },
})
