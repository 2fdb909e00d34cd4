// The hooks that each new client goes through before its caller gets it: verify and onConnect.

import assert from 'node:assert/strict'
import type pg from 'pg'
import { called, rejection } from './calls.js'
import { contract } from './suite.js'

const failing = new Error('not today')

contract('hooks', {
  'verify: once for each new client, which has been acquired by then': async ({ pool: make }) => {
    const seen: string[] = []
    const verify = (client: pg.PoolClient, done: () => void) => {
      seen.push(`verify ${typeof client.release}`)
      setImmediate(done)
    }
    const pool = await make({ verify })
    pool.on('connect', () => seen.push('connect'))
    pool.on('acquire', () => seen.push('acquire'))
    const client = await pool.connect()
    client.release()
    const again = await pool.connect()
    assert.equal(again, client)
    assert.deepEqual(seen, ['connect', 'acquire', 'verify function', 'acquire'])
  },

  'verify: what it finds wrong is the caller’s error, and the client is gone': async ({ pool: make }) => {
    const verify = (_: pg.PoolClient, done: (error: Error) => void) => done(failing)
    const pool = await make({ verify })
    assert.equal(await rejection(pool.connect()), failing)
    const { args } = await called((done) => pool.connect(done as Parameters<pg.Pool['connect']>[0]))
    assert.deepEqual([args[0], args[1], typeof args[2]], [failing, undefined, 'function'])
    assert.equal(await rejection(pool.query('select 1')), failing)
    assert.equal(pool.totalCount, 0)
  },

  'onConnect: is awaited before connect is told': async ({ pool: make }) => {
    const seen: string[] = []
    const onConnect = async (client: pg.Client) => {
      await client.query("set application_name = 'hooked'")
      seen.push('onConnect')
    }
    const pool = await make({ onConnect, max: 1 })
    pool.on('connect', () => seen.push('connect'))
    const client = await pool.connect()
    assert.deepEqual(seen, ['onConnect', 'connect'])
    const { rows } = await client.query("select current_setting('application_name') as name")
    assert.deepEqual(rows, [{ name: 'hooked' }])
  },

  'onConnect: what it throws is the caller’s error, and the slot is free': async ({ pool: make }) => {
    const fails = [
      () => {
        throw failing
      },
      () => Promise.reject(failing),
    ]
    const hooks: (() => unknown)[] = [...fails, ...fails]
    const pool = await make({ max: 1, onConnect: () => hooks.shift()?.() })
    const told: unknown[] = []
    pool.on('connect', () => told.push('connect'))
    for (let i = 0; i < 3; i += 1) assert.equal(await rejection(pool.connect()), failing)
    const { args } = await called((done) => pool.connect(done as Parameters<pg.Pool['connect']>[0]))
    assert.deepEqual([args[0], args[1], typeof args[2], pool.totalCount], [failing, undefined, 'function', 0])
    const client = await pool.connect()
    assert.deepEqual([told, pool.totalCount], [['connect'], 1])
    client.release()
  },

  'onConnect: what it throws is the statement’s error, each time': async ({ pool: make }) => {
    let asked = 0
    const onConnect = () => {
      asked += 1
      throw failing
    }
    const pool = await make({ max: 2, onConnect })
    for (let i = 0; i < 9; i += 1) {
      assert.equal(await rejection(pool.query('select * from items')), failing)
      assert.deepEqual([asked, pool.totalCount, pool.waitingCount], [i + 1, 0, 0])
    }
  },
})
