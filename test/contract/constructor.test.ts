// What a pool is before anything is asked of it: its class, its fields, its options and their defaults, and its secrets.

import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import pg from 'pg'
import { ROLE } from './servers.js'
import { contract } from './suite.js'

type Loose = pg.Pool & { readonly log: unknown; readonly Client: unknown; readonly Promise: unknown }

const NOWHERE = { host: '203.0.113.1', port: 1 }

/** Options as given, and as pg.Pool states them afterwards. */
const DEFAULTS: readonly (readonly [given: object, stated: object])[] = [
  [
    {},
    { max: 10, min: 0, maxUses: Infinity, allowExitOnIdle: false, maxLifetimeSeconds: 0, idleTimeoutMillis: 10_000 },
  ],
  [{ max: 0 }, { max: 10 }],
  [{ max: 3 }, { max: 3 }],
  [{ poolSize: 4 }, { max: 4 }],
  [{ max: 3, poolSize: 4 }, { max: 3 }],
  [{ max: undefined }, { max: 10 }],
  [{ idleTimeoutMillis: 0 }, { idleTimeoutMillis: 0 }],
  [{ idleTimeoutMillis: null }, { idleTimeoutMillis: null }],
  [{ idleTimeoutMillis: undefined }, { idleTimeoutMillis: 10_000 }],
  [{ maxUses: 0 }, { maxUses: Infinity }],
  [{ min: 2 }, { min: 2 }],
  [
    { application_name: 'shop', anything: 'else' },
    { application_name: 'shop', anything: 'else' },
  ],
]

contract('constructor', {
  'a pool is a pg.Pool by instanceof and by name, and needs new': ({ id, Pool }) => {
    const pool = new Pool(NOWHERE)
    assert.ok(pool instanceof pg.Pool)
    assert.equal(pool.constructor.name, id === 'pg' ? 'BoundPool' : 'Pool')
    assert.throws(() => Reflect.apply(Pool, undefined, [{}]), TypeError)
  },

  'it takes one argument at most: an object, or none': ({ Pool }) => {
    for (const none of [undefined, null, {}]) assert.equal(new Pool(none).options.max, 10)
    assert.equal(new Pool().options.max, 10)
    assert.throws(() => new Pool('postgres://app@db/app' as unknown as object), TypeError)
  },

  'its fields before the first use': ({ Pool }) => {
    const pool = new Pool(NOWHERE) as Loose
    const { totalCount, idleCount, waitingCount, expiredCount, ending, ended } = pool
    assert.deepEqual(
      { totalCount, idleCount, waitingCount, expiredCount, ending, ended },
      { totalCount: 0, idleCount: 0, waitingCount: 0, expiredCount: 0, ending: false, ended: false }
    )
    assert.equal(pool.Client, pg.Client)
    assert.equal(pool.Promise, Promise)
    assert.equal(typeof pool.log, 'function')
  },

  'options have their defaults': ({ Pool }) => {
    for (const [given, stated] of DEFAULTS) {
      const { options } = new Pool({ ...NOWHERE, ...given })
      const got = Object.fromEntries(Object.keys(stated).map((name) => [name, Reflect.get(options, name)]))
      assert.deepEqual(got, stated, inspect(given))
    }
  },

  'options are a copy, the object that was given stays as it was': ({ Pool, options }) => {
    const given = options({ max: 0, poolSize: 2 })
    const before = { ...given }
    const pool = new Pool(given)
    assert.deepEqual(given, before)
    assert.deepEqual(Object.keys(given), Object.keys(before))
    assert.notEqual(pool.options, given)
  },

  'frozen options will do': async ({ Pool, options, track }) => {
    const pool = track(new Pool(Object.freeze(options())))
    assert.deepEqual((await pool.query('select 1 as n')).rows, [{ n: 1 }])
  },

  'the password is hidden, and yet there': ({ Pool, options }) => {
    const pool = new Pool(options())
    assert.equal(Reflect.get(pool.options, 'password'), ROLE.password)
    assert.ok(!Object.keys(pool.options).includes('password'))
    assert.ok(!JSON.stringify(pool.options).includes(ROLE.password))
    assert.ok(!inspect(pool, { depth: 10 }).includes(ROLE.password))
  },

  'the password is hidden in clients, and in a pool that has them': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    for (const value of [client, pool]) assert.ok(!inspect(value, { depth: 10 }).includes(ROLE.password))
    assert.equal(client.password, ROLE.password)
  },

  'ssl.key is hidden, and yet there': ({ Pool }) => {
    const { ssl } = new Pool({ ...NOWHERE, ssl: { key: 'the-key', ca: 'the-ca' } }).options
    assert.deepEqual(Object.keys(ssl as object), ['ca'])
    assert.equal(Reflect.get(ssl as object, 'key'), 'the-key')
  },

  'options that a pool has hidden make another pool': async ({ Pool, pool: make, track }) => {
    const first = await make()
    const second = track(new Pool(first.options))
    assert.equal((await second.query('select 1 as n')).rowCount, 1)
  },

  'options name the primary': async ({ pool: make, primary }) => {
    const { options } = await make()
    assert.deepEqual({ host: options.host, port: options.port }, primary())
  },

  'a subclass keeps its own name, and is a pg.Pool': async ({ Pool, options, track }) => {
    class Shop extends Pool {
      readonly shelves = 3
    }
    const pool = track(new Shop(options()))
    assert.deepEqual([pool.constructor.name, pool instanceof pg.Pool, pool.shelves], ['Shop', true, 3])
    assert.equal((await pool.query('select 1')).rowCount, 1)
  },

  'a subclass that overrides connect() gives query() its clients': async ({ Pool, options, track }) => {
    let asked = 0
    class Counting extends Pool {
      override connect(...args: unknown[]) {
        asked += 1
        return Reflect.apply(super.connect, this, args)
      }
    }
    const pool = track(new Counting(options()))
    await pool.query('select 1')
    assert.equal(asked, 1)
  },
})
