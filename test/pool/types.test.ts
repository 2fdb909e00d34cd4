// What TypeScript lets callers write. The compiler is the test: nothing here is run, and a line that must not compile says so.

import assert from 'node:assert/strict'
import type pg from 'pg'
import { Pool, type PoolClient } from 'pgherd'

declare const pool: Pool
declare const client: PoolClient
declare const theirs: pg.PoolClient
declare const signal: AbortSignal

/** A library's function, which knows pg's own types. */
declare function library(client: pg.PoolClient, pool: pg.Pool): void

async function compiled(): Promise<void> {
  const config = { text: 'select 1 as one', route: 'replica', maxLagMillis: 5, signal } as const
  await pool.query(config)
  await client.query(config)
  await client.query<{ one: number }>(config).then(({ rows }) => rows[0]?.one.toFixed())
  await client.query({ text: 'select $1', values: [1], signal })
  await client.query({ text: 'select 1', rowMode: 'array', route: 'primary' })
  client.query({ text: 'select 1', route: 'primary' }, (_error, { rows }) => rows.length)
  await pool.transaction((inside) => inside.query({ text: 'select 1', route: 'primary' }))
  const taken = await pool.connect()
  await taken.query({ text: 'select 1', signal })
  const waited = await pool.connect({ signal })
  await waited.query({ text: 'select 1', signal })
  pool.connect((_error, given, done) => {
    given?.query({ text: 'select 1', signal })
    done(true)
  })
  pool.on('connect', (made) => void made.query({ text: 'select 1', route: 'primary' }))

  // pg's own forms, and its types where a library names them.
  await client.query('select 1')
  await client.query('select $1', ['a'])
  library(taken, pool)
  const ours: PoolClient = theirs
  ours.release()

  // @ts-expect-error: no such word
  await client.query({ text: 'select 1', route: 'somewhere' })
  // @ts-expect-error: a number of milliseconds
  await client.query({ text: 'select 1', maxLagMillis: '5' })
  // @ts-expect-error: a misspelt option
  await client.query({ text: 'select 1', maxLagMilis: 5 })
  // @ts-expect-error: a misspelt option
  void new Pool({ maxLagMilis: 5 })
}

describe('types', () => it('are what this file compiles with', () => assert.equal(typeof compiled, 'function')))
