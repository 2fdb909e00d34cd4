// The forms in which connect(), query() and end() are called, and how each answers: promises, or callbacks and undefined.

import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import pg from 'pg'
import { type Call, called, rejection } from './calls.js'
import { contract } from './suite.js'

type Loose = (...args: unknown[]) => unknown

const TEXT = 'select $1::int as n'
const values = [7]
const none = undefined

/** The arguments of query() before a callback; each asks for 7. */
const FORMS: readonly (readonly unknown[])[] = [
  ['select 7 as n'],
  ['select 7 as n', none],
  ['select 7 as n', null],
  ['select 7 as n', []],
  [TEXT, values],
  [{ text: 'select 7 as n' }],
  [{ text: TEXT, values }],
  [{ text: TEXT }, values],
  [{ text: TEXT, values: [1] }, values],
  [Object.freeze({ text: TEXT, values: Object.freeze([7]) })],
  [{ name: 'seven', text: TEXT, values }],
]

/** Not queries: what they are answered with. */
const MISTAKES: readonly (readonly [args: readonly unknown[], message: RegExp])[] = [
  [[null], /^Client was passed a null or undefined query$/],
  [[none], /^Client was passed a null or undefined query$/],
  [[], /^Client was passed a null or undefined query$/],
  [[{}], /^A query must have either text or a name/],
  [[42], /^A query must have either text or a name/],
  [[{ text: 5 }], /^A query must have either text or a name/],
  [['select $1', 'no array'], /^Query values must be an array$/],
]

function assertAnswered({ returned, args, synchronous }: Call): void {
  assert.deepEqual([returned, synchronous], [undefined, false])
  assert.equal(args[0], undefined)
}

contract('forms', {
  'query(): a promise of the result': async ({ pool: make }) => {
    const pool = await make()
    for (const form of FORMS) {
      const promise = Reflect.apply(pool.query as Loose, pool, form) as Promise<pg.QueryResult>
      assert.equal(promise.constructor, Promise, inspect(form))
      const result = await promise
      assert.deepEqual([result.rows, result.rowCount, result.command], [[{ n: 7 }], 1, 'SELECT'], inspect(form))
    }
  },

  'query(): a callback, and undefined': async ({ pool: make }) => {
    const pool = await make()
    for (const form of FORMS) {
      const call = await called((done) => Reflect.apply(pool.query as Loose, pool, [...form, done]))
      assertAnswered(call)
      assert.deepEqual((call.args[1] as pg.QueryResult).rows, [{ n: 7 }], inspect(form))
    }
  },

  'query(): a callback that is null is none': async ({ pool: make }) => {
    const pool = await make()
    const promise = Reflect.apply(pool.query as Loose, pool, ['select 7 as n', [], null])
    assert.deepEqual(((await promise) as pg.QueryResult).rows, [{ n: 7 }])
  },

  'query(): an error by promise and by callback': async ({ pool: make }) => {
    const pool = await make()
    const error = await rejection(pool.query('select nonsense'))
    assert.equal(error.code, '42703')
    for (const form of [[], [none], [[]]]) {
      const call = await called((done) => Reflect.apply(pool.query as Loose, pool, ['select nonsense', ...form, done]))
      assert.deepEqual([call.returned, call.synchronous, call.args.length], [undefined, false, 1])
      assert.equal((call.args[0] as { code?: unknown }).code, '42703')
    }
  },

  'query(): what is no query is a rejection, or the callback’s error': async ({ pool: make }) => {
    const pool = await make()
    for (const [args, message] of MISTAKES) {
      const error = await rejection(Reflect.apply(pool.query as Loose, pool, args) as Promise<unknown>)
      assert.match(error.message, message, inspect(args))
      const padded = [...args, ...(args.length === 0 ? [none] : [])]
      const call = await called((done) => Reflect.apply(pool.query as Loose, pool, [...padded, done]))
      assert.match((call.args[0] as Error).message, message, inspect(args))
      assert.deepEqual([call.returned, call.synchronous], [undefined, false])
      assert.equal(pool.totalCount, 0)
    }
    assert.equal((await pool.query('select 1')).rowCount, 1)
  },

  'query(): a function first is an error that the function gets': async ({ pool: make }) => {
    const pool = await make()
    const { returned, args, synchronous } = await called((done) => pool.query(done as unknown as string))
    const message = 'Passing a function as the first parameter to pool.query is not supported'
    assert.deepEqual([returned, synchronous, (args[0] as Error).message], [undefined, false, message])
    assert.equal(pool.totalCount, 0)
  },

  'query(): arguments stay as they were': async ({ pool: make }) => {
    const pool = await make()
    const config = { text: TEXT, values: [7] }
    const before = structuredClone(config)
    await pool.query(config)
    await pool.query(config, [8])
    assert.deepEqual(config, before)
  },

  'query(): a pg.Query of one’s own': async ({ pool: make }) => {
    const pool = await make()
    const query = new pg.Query('select 7 as n')
    const result = (await pool.query(query)) as unknown as pg.QueryResult
    assert.deepEqual(result.rows, [{ n: 7 }])
  },

  'query(): the stack of an error leads to the caller': async ({ pool: make }) => {
    const pool = await make()
    const buyTea = async () => {
      await pool.query('select nonsense')
    }
    const { stack } = await rejection(buyTea())
    assert.match(stack ?? '', /buyTea/)
  },

  'query() that has no room answers in its turn': async ({ pool: make }) => {
    const pool = await make({ max: 1 })
    const order: string[] = []
    const all = ['a', 'b', 'c'].map((name) =>
      called((done) =>
        pool.query('select 1', (...args) => {
          order.push(name)
          done(...args)
        })
      )
    )
    for (const call of await Promise.all(all)) assertAnswered(call)
    assert.deepEqual(order, ['a', 'b', 'c'])
  },
})
