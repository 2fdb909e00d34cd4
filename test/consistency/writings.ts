// The ways in which an application writes. Each sets one counter, and resolves when the client knows that it is committed.

import type pg from 'pg'
import type { Pool } from '../../src/index.js'

export type Writing = (pool: Pool, writer: number, value: number) => Promise<unknown>
export type Foreign = (client: pg.Client, writer: number, value: number) => Promise<unknown>

export type Commit = 'off' | 'local' | 'on' | 'remote_apply'

const SET = 'update counters set value = $2 where writer = $1'
const plain = (writer: number, value: number) => `update counters set value = ${value} where writer = ${writer}`

async function withClient(pool: Pool, work: (client: pg.PoolClient) => Promise<unknown>): Promise<void> {
  const client = await pool.connect()
  try {
    await work(client)
  } catch (error) {
    client.release(error as Error)
    throw error
  }
  client.release()
}

export const simple: Writing = (pool, writer, value) => pool.query(plain(writer, value))
export const extended: Writing = (pool, writer, value) => pool.query(SET, [writer, value])
export const named: Writing = (pool, writer, value) => pool.query({ name: 'set', text: SET, values: [writer, value] })
export const withClause: Writing = (pool, writer, value) =>
  pool.query(`with w as (${SET} returning value) select value from w`, [writer, value])
export const volatile: Writing = (pool, writer, value) => pool.query('select set_counter($1, $2)', [writer, value])
export const severalInOne: Writing = (pool, writer, value) =>
  pool.query(`select 1; begin; ${plain(writer, value)}; commit`)
/** Committed, and then the answer takes its time. */
export const unanswered: Writing = (pool, writer, value) =>
  pool.query(`begin; ${plain(writer, value)}; commit; select pg_sleep(60)`)
export const transaction: Writing = (pool, writer, value) =>
  pool.transaction((client) => client.query(SET, [writer, value]))
export const checkedOut: Writing = (pool, writer, value) =>
  withClient(pool, async (client) => {
    await client.query('begin')
    await client.query(SET, [writer, value])
    await client.query('commit')
  })
export const checkedOutAlone: Writing = (pool, writer, value) =>
  withClient(pool, (client) => client.query(plain(writer, value)))

export const checkedOutExtended: Writing = (pool, writer, value) =>
  withClient(pool, (client) => client.query(SET, [writer, value]))

/** What one holder of a client sets stays for the next. */
export const setOnClient =
  (commit: Commit): Writing =>
  (pool, writer, value) =>
    withClient(pool, async (client) => {
      await client.query(`set synchronous_commit = ${commit}`)
      await client.query(SET, [writer, value])
    })
export const setInTransaction =
  (commit: Commit): Writing =>
  (pool, writer, value) =>
    pool.transaction(async (client) => {
      await client.query(`set local synchronous_commit = ${commit}`)
      await client.query(SET, [writer, value])
    })
export const setByFunction =
  (commit: Commit): Writing =>
  (pool, writer, value) =>
    pool.transaction(async (client) => {
      await client.query(`select set_config('synchronous_commit', $1, true)`, [commit])
      await client.query(SET, [writer, value])
    })

export const USUAL: readonly Writing[] = [simple, extended, checkedOut, transaction]
/** The last ones leave clients that borrow no replica. */
export const EVERY: readonly Writing[] = [
  ...USUAL,
  named,
  withClause,
  checkedOutAlone,
  checkedOutExtended,
  severalInOne,
  volatile,
]

export const foreign: Foreign = (client, writer, value) => client.query(SET, [writer, value])
export const foreignTransaction: Foreign = async (client, writer, value) => {
  await client.query('begin')
  await client.query(SET, [writer, value])
  await client.query('commit')
}
export const foreignCommit =
  (commit: Commit): Foreign =>
  (client, writer, value) =>
    client.query(`set synchronous_commit = ${commit}; ${plain(writer, value)}`)
