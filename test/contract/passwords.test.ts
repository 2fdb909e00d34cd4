// Passwords that a function tells, and passwords that are wrong.

import assert from 'node:assert/strict'
import { rejection } from './calls.js'
import { ROLE } from './servers.js'
import { contract } from './suite.js'

interface Parameters {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
}

contract('passwords', {
  'a function, or an asynchronous one': async ({ pool: make }) => {
    for (const password of [() => ROLE.password, async () => ROLE.password]) {
      const pool = await make({ password })
      assert.equal((await pool.query('select 1')).rowCount, 1)
      assert.equal(Reflect.get(pool.options, 'password'), password)
    }
  },

  'it is told what it is wanted for': async ({ pool: make, primary }) => {
    const asked: Parameters[] = []
    const password = async (parameters: Parameters) => {
      asked.push(parameters)
      return ROLE.password
    }
    const pool = await make({ password })
    await pool.connect()
    const { host, port, user, database } = asked.at(-1) ?? assert.fail('not asked')
    assert.deepEqual({ host, port, user, database }, { ...primary(), user: ROLE.user, database: ROLE.database })
  },

  'it is asked for each new client': async ({ pool: make }) => {
    let asked = 0
    const password = () => {
      asked += 1
      return ROLE.password
    }
    const pool = await make({ password, application_name: 'asking' })
    const first = await pool.connect()
    const before = asked
    const second = await pool.connect()
    assert.ok(asked > before)
    assert.notEqual(second, first)
  },

  'what it throws is the caller’s error': async ({ cold }) => {
    const failing = new Error('no password today')
    const throwing = () => {
      throw failing
    }
    for (const password of [throwing, () => Promise.reject(failing)]) {
      const pool = cold({ password, connectionTimeoutMillis: 300 })
      assert.equal(await rejection(pool.connect()), failing)
      assert.equal(pool.totalCount, 0)
    }
  },

  'it must give a string': async ({ cold }) => {
    const error = await rejection(cold({ password: () => 42, connectionTimeoutMillis: 300 }).query('select 1'))
    assert.ok(error instanceof TypeError)
    assert.equal(error.message, 'Password must be a string')
  },

  'a wrong one is 28P01': async ({ cold }) => {
    const pool = cold({ password: 'wrong' })
    await assert.rejects(pool.query('select 1'), { code: '28P01' })
    await assert.rejects(pool.connect(), { code: '28P01' })
    assert.equal(pool.totalCount, 0)
  },

  'a database that is not there is 3D000': async ({ cold }) => {
    const pool = cold({ database: 'nowhere' })
    await assert.rejects(pool.query('select 1'), { code: '3D000', message: 'database "nowhere" does not exist' })
  },

  'none at all is said in words': async ({ cold }) => {
    const error = await rejection(cold({ password: undefined, connectionTimeoutMillis: 300 }).query('select 1'))
    assert.equal(error.message, 'SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string')
  },
})
