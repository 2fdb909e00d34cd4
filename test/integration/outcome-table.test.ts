// Whatever goes wrong, wherever, with one host or several: the error is the one that pg.Pool would give, it says what became of
// the statement, and the statement ran once at most.

import assert from 'node:assert/strict'
import pg from 'pg'
import { Pool, type PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'

type Face = 'query' | 'connect' | 'client' | 'transaction'
type Outcome = 'not-sent' | 'rolled-back' | 'unknown' | 'none'

interface Row {
  readonly what: string
  readonly options?: (error: unknown) => object
  /** Of the statement; absent: nobody gets as far as that. */
  readonly statement?: (error: unknown) => unknown
  /** A function of the application's throws: that very object must come out. */
  readonly thrown?: () => Error
  readonly outcomes: Readonly<Partial<Record<Face, Outcome>>>
  /** What only a pool of several hosts says. */
  readonly several?: string
}

const vault = () => new Error('the vault is closed')
const LOGIN = { query: 'not-sent', connect: 'not-sent', transaction: 'not-sent' } as const
const REFUSED = { query: 'rolled-back', client: 'rolled-back', transaction: 'rolled-back' } as const
/** What is not sent in a transaction is undone with what was. */
const UNSENT = { query: 'not-sent', client: 'not-sent', transaction: 'rolled-back' } as const
const rejecting = (error: unknown) => ({ password: () => Promise.reject(error) })

const ROWS: readonly Row[] = [
  { what: 'a wrong password', options: () => ({ password: 'wrong' }), outcomes: LOGIN },
  { what: 'an unknown database', options: () => ({ database: 'nowhere' }), outcomes: LOGIN },
  { what: 'a role that may not log in', options: () => ({ user: 'nologin', password: 'x' }), outcomes: LOGIN },
  { what: 'a server without TLS', options: () => ({ ssl: true }), outcomes: LOGIN },
  { what: 'the error of a password function', options: rejecting, thrown: vault, outcomes: LOGIN },
  {
    what: 'a frozen error of a password function',
    options: rejecting,
    thrown: () => Object.freeze(vault()),
    outcomes: { query: 'none', connect: 'none', transaction: 'none' },
  },
  { what: 'a password that is no text', options: () => ({ password: () => 7 }), outcomes: LOGIN },
  { what: 'a name that does not resolve', options: () => ({ host: ['a.invalid', 'b.invalid'] }), outcomes: LOGIN },
  {
    what: 'a port that nobody listens on',
    options: () => ({ host: ['127.0.0.1', '127.0.0.2'], port: 9, failoverTimeoutMillis: 200 }),
    outcomes: LOGIN,
    several: 'PGHERD_NO_PRIMARY',
  },
  { what: 'a syntax error', statement: () => 'select 1 from from', outcomes: REFUSED },
  { what: 'a violated constraint', statement: () => 'insert into items values (1)', outcomes: REFUSED },
  { what: 'an error of its own', statement: () => "select nextval('runs'), 1/0", outcomes: REFUSED },
  { what: 'values that are no array', statement: () => ({ text: 'select 1', values: 1 }), outcomes: UNSENT },
  {
    what: 'a value that cannot be sent',
    statement: (error) => ({ text: 'select $1', values: [{ toPostgres: () => thrower(error) }] }),
    thrown: vault,
    outcomes: UNSENT,
  },
]

function thrower(error: unknown): never {
  throw error
}

describe('errors say what became of the statement', () => {
  let cluster: Cluster
  let admin: pg.Client
  before(async () => {
    cluster = await startCluster({ replicas: 1, auth: 'scram-sha-256' })
    admin = await cluster.connect(0, 'postgres')
    await admin.query(`create table items (id int primary key); insert into items values (1); create sequence runs;
      create role nologin password 'x'; grant all on items to app; grant all on runs to app`)
    await cluster.caughtUp(1, 0)
  })
  after(async () => {
    await admin?.end()
    await cluster.destroy()
  })

  for (const hosts of ['one host', 'several hosts'] as const) {
    for (const row of ROWS) {
      for (const [face, outcome] of Object.entries(row.outcomes) as [Face, Outcome][]) {
        it(`${row.what}, ${face}, ${hosts}: ${outcome}`, async () => {
          const thrown = row.thrown?.()
          const pool = new Pool(optionsOf(cluster, hosts, row.options?.(thrown)))
          const control = new pg.Pool(optionsOf(cluster, 'one host', row.options?.(row.thrown?.())) as pg.PoolConfig)
          try {
            await admin.query("select setval('runs', 1, false)")
            const error = await failureOf(() => FACES[face](pool, row.statement?.(thrown)))
            const runs = (await admin.query('select last_value::int as n from runs')).rows[0]?.n
            assert.equal(outcomeOf(error), outcome)
            assert.equal(runs, 1, 'it ran once at most')
            if (thrown !== undefined) assert.equal(error, thrown)
            else if (row.several !== undefined && hosts === 'several hosts')
              assert.equal(Reflect.get(error as object, 'code'), row.several)
            else
              assert.deepEqual(
                wordsOf(error),
                wordsOf(await failureOf(() => FACES.query(control, row.statement?.(thrown))))
              )
            assert.equal((await admin.query('select count(*)::int as n from items')).rows[0]?.n, 1)
          } finally {
            await Promise.all([pool.end(), control.end()])
          }
        })
      }
    }
  }

  it('the same error object, of statements that had different fates', async () => {
    const error = new Error('always the same')
    const pool = new Pool(optionsOf(cluster, 'several hosts'))
    const fails = () => pool.transaction(() => Promise.reject(error))
    try {
      const unsent = { text: 'select $1', values: [{ toPostgres: () => thrower(error) }] }
      await assert.rejects(pool.query(unsent), (thrown) => thrown === error)
      assert.equal(outcomeOf(error), 'not-sent')
      await assert.rejects(fails(), (thrown) => thrown === error)
      assert.equal(outcomeOf(error), 'rolled-back')
      const types = { getTypeParser: () => () => thrower(error) }
      await assert.rejects(pool.query({ text: 'update items set id = id returning id', types } as never))
      assert.notEqual(outcomeOf(error), 'rolled-back')
      await assert.rejects(fails(), (thrown) => thrown === error)
      assert.notEqual(outcomeOf(error), 'not-sent')
    } finally {
      await pool.end()
    }
  })

  it('an error with an outcome of the application’s own keeps that', async () => {
    const error = Object.assign(new Error('declined'), { outcome: 'declined' })
    const pool = new Pool(optionsOf(cluster, 'several hosts', rejecting(error)))
    try {
      for (let i = 0; i < 2; i++) await assert.rejects(pool.query('select 1'), { outcome: 'declined' })
    } finally {
      await pool.end()
    }
  })
})

const FACES: Readonly<Record<Face, (pool: Pool | pg.Pool, statement: unknown) => Promise<unknown>>> = {
  query: (pool, statement = 'select 1') => pool.query(statement as string),
  connect: async (pool) => (await pool.connect()).release(),
  client: async (pool, statement) => {
    const client = await pool.connect()
    try {
      await client.query(statement as string)
    } finally {
      client.release()
    }
  },
  transaction: (pool, statement) =>
    (pool as Pool).transaction(async (client) => {
      await client.query('insert into items values (2)')
      await client.query(statement as string)
    }),
}

function optionsOf(cluster: Cluster, hosts: 'one host' | 'several hosts', more: object = {}): PoolConfig {
  const { user, password, database } = cluster.config(0)
  const host = cluster.nodes.map((node) => node.host)
  const port = cluster.nodes.map((node) => node.port)
  const all = { user, password, database, host, port, ...more }
  if (hosts === 'several hosts') return all
  const { failoverTimeoutMillis: _, ...one } = all as typeof all & { failoverTimeoutMillis?: number }
  return {
    ...one,
    host: one.host[0] ?? '',
    port: Array.isArray(one.port) ? (one.port[0] ?? 0) : one.port,
  } as PoolConfig
}

async function failureOf(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work()
  } catch (error) {
    return error
  }
  return assert.fail('it did not fail')
}

function outcomeOf(error: unknown): unknown {
  return (error as { readonly outcome?: unknown }).outcome ?? 'none'
}

/** Of two names the one that was looked up first is told of. */
function wordsOf(error: unknown): readonly unknown[] {
  const { code, message } = error as Error & { readonly code?: unknown }
  return [code, message.replace(/[ab]\.invalid/, 'a.invalid'), Object.getPrototypeOf(error)]
}
