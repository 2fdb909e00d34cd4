// The ways in which an application reads. Each gives all counters and the name of the server that it read them on.

import type pg from 'pg'
import type { Pool } from '../../src/index.js'

export interface Counters {
  readonly values: readonly number[]
  readonly server: string
}

export interface Reading {
  /** What of the pool's lag bound this way of reading asks for. */
  readonly share: number
  read(pool: Pool, boundMillis: number): Promise<Counters>
}

const TEXT = `select array_agg(value order by writer) as values, current_setting('cluster_name') as server from counters`
const WITH_VALUES = `${TEXT} where writer >= $1`

async function only(answer: Promise<pg.QueryResult<Counters>>): Promise<Counters> {
  const [row] = (await answer).rows
  if (row === undefined) throw new Error('the counters gave no row')
  return row
}

async function lent(pool: Pool, read: (client: pg.PoolClient) => Promise<Counters>): Promise<Counters> {
  const client = await pool.connect()
  let found: Counters
  try {
    found = await read(client)
  } catch (error) {
    client.release(error as Error)
    throw error
  }
  client.release()
  return found
}

export const simple: Reading = { share: 1, read: (pool) => only(pool.query(TEXT)) }
export const extended: Reading = { share: 1, read: (pool) => only(pool.query(WITH_VALUES, [0])) }
export const named: Reading = {
  share: 1,
  read: (pool) => only(pool.query({ name: 'counters', text: WITH_VALUES, values: [0] })),
}
export const borrowed: Reading = {
  share: 1,
  read: (pool) => lent(pool, (client) => only(client.query(WITH_VALUES, [0]))),
}
export const readOnly: Reading = {
  share: 1,
  read: (pool) => pool.transaction((client) => only(client.query(TEXT)), { readOnly: true }),
}
export const beginReadOnly: Reading = {
  share: 1,
  read: (pool) =>
    lent(pool, async (client) => {
      await client.query('begin read only')
      const found = await only(client.query(TEXT))
      await client.query('commit')
      return found
    }),
}
export const wide: Reading = {
  share: 2,
  read: (pool, boundMillis) => only(pool.view({ maxLagMillis: 2 * boundMillis }).query(TEXT)),
}
export const narrow: Reading = {
  share: 0.75,
  read: (pool, boundMillis) => only(pool.query({ text: TEXT, maxLagMillis: 0.75 * boundMillis })),
}

export const USUAL: readonly Reading[] = [simple, extended, borrowed]
export const EVERY: readonly Reading[] = [...USUAL, named, wide, narrow]
export const READ_ONLY: readonly Reading[] = [readOnly, beginReadOnly]
