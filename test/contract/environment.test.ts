// Where a pool is told nothing it asks the environment; and what a connection string says beats the options beside it.

import assert from 'node:assert/strict'
import { rejection } from './calls.js'
import type { Subject } from './pools.js'
import { ROLE } from './servers.js'
import { contract } from './suite.js'

const NAMES = ['PGHOST', 'PGPORT', 'PGUSER', 'PGPASSWORD', 'PGDATABASE', 'PGAPPNAME', 'PGOPTIONS', 'PGSSLMODE'] as const
type Variables = { readonly [K in (typeof NAMES)[number]]?: string }

/** Runs `work` with these variables and no other of PostgreSQL's. */
async function within<T>(variables: Variables, work: () => Promise<T>): Promise<T> {
  const before = NAMES.map((name) => [name, process.env[name]] as const)
  const set = (name: string, value: string | undefined) => {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
  try {
    for (const name of NAMES) set(name, variables[name])
    return await work()
  } finally {
    for (const [name, value] of before) set(name, value)
  }
}

function everything({ options }: Subject): Variables {
  const { host, port } = options()
  return {
    PGHOST: [host].flat().join(','),
    PGPORT: [port].flat().join(','),
    PGUSER: ROLE.user,
    PGPASSWORD: ROLE.password,
    PGDATABASE: ROLE.database,
  }
}

const WHO = "select current_user as who, current_database() as at, current_setting('application_name') as name"

contract('environment', {
  'no options at all: the environment has everything': async (subject) => {
    const variables = { ...everything(subject), PGAPPNAME: 'shop', PGOPTIONS: '-c work_mem=3MB' }
    await within(variables, async () => {
      const pool = subject.track(new subject.Pool())
      const { rows } = await pool.query(`${WHO}, current_setting('work_mem') as memory`)
      assert.deepEqual(rows, [{ who: ROLE.user, at: ROLE.database, name: 'shop', memory: '3MB' }])
    })
  },

  'a falsy option is none': async (subject) => {
    await within(everything(subject), async () => {
      const empty = { host: '', port: 0, user: '', password: '', database: '', application_name: '' }
      const pool = subject.track(new subject.Pool(empty))
      assert.deepEqual((await pool.query(WHO)).rows, [{ who: ROLE.user, at: ROLE.database, name: '' }])
    })
  },

  'options beat the environment': async ({ cold }) => {
    const wrong = { PGHOST: '203.0.113.1', PGPORT: '1', PGUSER: 'no', PGPASSWORD: 'no', PGDATABASE: 'no' }
    await within({ ...wrong, PGAPPNAME: 'no', PGSSLMODE: 'require' }, async () => {
      const pool = cold({ application_name: 'shop' })
      assert.deepEqual((await pool.query(WHO)).rows, [{ who: ROLE.user, at: ROLE.database, name: 'shop' }])
    })
  },

  'the database is named like the user where nothing else names it': async (subject) => {
    await within({}, async () => {
      const pool = subject.cold({ database: undefined })
      const error = await rejection(pool.query('select 1'))
      assert.deepEqual([error.code, error.message], ['3D000', `database "${ROLE.user}" does not exist`])
    })
  },

  'PGSSLMODE counts where ssl is not given': async ({ cold }) => {
    await within({ PGSSLMODE: 'require' }, async () => {
      const pool = cold({ ssl: undefined })
      await assert.rejects(pool.query('select 1'), { message: 'The server does not support SSL connections' })
    })
    await within({ PGSSLMODE: 'disable' }, async () => {
      assert.equal((await cold({ ssl: undefined }).query('select 1')).rowCount, 1)
    })
  },

  'user, database and session are read when a client is made': async (subject) => {
    const { options, Pool, track } = subject
    const { host, port } = options()
    const pool = track(new Pool({ host, port, ssl: false }))
    await within({ ...everything(subject), PGAPPNAME: 'later' }, async () => {
      assert.deepEqual((await pool.query(WHO)).rows, [{ who: ROLE.user, at: ROLE.database, name: 'later' }])
    })
  },

  'host and port are read when a client is made': async (subject) => {
    const { Pool, track } = subject
    const pool = await within({ PGHOST: '127.0.0.1', PGPORT: '1' }, async () => track(new Pool({ ...ROLE })))
    await within(everything(subject), async () => {
      assert.equal((await pool.query('select 1')).rowCount, 1)
    })
  },

  'a connection string is enough': async ({ Pool, track, url }) => {
    const pool = track(new Pool({ connectionString: `${url()}?application_name=shop&sslmode=disable` }))
    assert.deepEqual((await pool.query(WHO)).rows, [{ who: ROLE.user, at: ROLE.database, name: 'shop' }])
  },

  'a connection string beats the options beside it': async ({ Pool, track, url }) => {
    const beside = { host: '203.0.113.1', port: 1, user: 'no', password: 'no', database: 'no', application_name: 'no' }
    const connectionString = `${url()}?application_name=shop`
    const pool = track(new Pool({ ...beside, connectionString }))
    assert.deepEqual((await pool.query(WHO)).rows, [{ who: ROLE.user, at: ROLE.database, name: 'shop' }])
  },

  'a connection string without a host beats the host beside it all the same': async (subject) => {
    await within(everything(subject), async () => {
      const connectionString = `postgres:///${ROLE.database}`
      const pool = subject.track(new subject.Pool({ connectionString, host: '203.0.113.1' }))
      assert.equal((await pool.query('select 1')).rowCount, 1)
    })
  },

  'options count where the connection string says nothing': async ({ Pool, track, url }) => {
    const pool = track(new Pool({ connectionString: url(), application_name: 'shop', max: 1 }))
    assert.deepEqual((await pool.query(WHO)).rows, [{ who: ROLE.user, at: ROLE.database, name: 'shop' }])
    assert.equal(pool.options.max, 1)
  },
})
