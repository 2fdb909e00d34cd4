// The five ways by which a statement reaches a server, each with its counterpart on pg.Pool: there every one of them is a
// connection to the primary. What a statement can carry must work in the same way at all of them.

import assert from 'node:assert/strict'
import type pg from 'pg'
import type { PoolClient } from 'pg'
import { Pool, type TransactionOptions } from '../../src/index.js'
import { eventually } from './pools.js'

export type Server = 'primary' | 'replica'

/** What a statement is given to. */
export interface Face {
  /** All forms of it, as loosely typed as they are in truth. */
  query(first: unknown, second?: unknown, third?: unknown): unknown
  /** Null: query() takes a client of its own. */
  readonly client: PoolClient | null
  /** Gives back the client that query() keeps for a cursor, as with pg. */
  giveBack(): void
}

/** What came of a statement. */
export type Seen = { readonly value: unknown } | { readonly error: unknown }
export type Work = (face: Face) => Promise<Seen>

export interface Entry {
  /** Where a plain read runs. */
  readonly home: Server
  /** Gives what `work` gives, after the connection was used once more. */
  use(pool: pg.Pool, work: Work): Promise<Seen>
}

export type EntryName =
  | 'query()'
  | 'a borrowed read'
  | 'a READ ONLY transaction of a client'
  | 'a client of a replica view'
  | 'transaction({ readOnly: true })'
  | 'transaction()'

export const ENTRIES: Readonly<Record<EntryName, Entry>> = {
  'query()': { home: 'replica', use: byPool },
  'a borrowed read': { home: 'replica', use: (pool, work) => byClient(pool, work) },
  'a READ ONLY transaction of a client': {
    home: 'replica',
    use: (pool, work) => byClient(pool, (face) => between(face, 'begin read only', work)),
  },
  'a client of a replica view': { home: 'replica', use: (pool, work) => byClient(viewOf(pool), work) },
  'transaction({ readOnly: true })': {
    home: 'replica',
    use: (pool, work) => byTransaction(pool, work, { readOnly: true }),
  },
  'transaction()': { home: 'primary', use: (pool, work) => byTransaction(pool, work, {}) },
}

export const ENTRY_NAMES = Object.keys(ENTRIES) as readonly EntryName[]

export async function settled(work: () => unknown): Promise<Seen> {
  try {
    return { value: await work() }
  } catch (error) {
    return { error }
  }
}

/** Every client has come back. */
export function allIdle(pool: pg.Pool): Promise<void> {
  return eventually('every client has come back', () => pool.idleCount === pool.totalCount && pool.waitingCount === 0)
}

function isHerd(pool: pg.Pool): pool is Pool {
  return pool instanceof Pool
}

function viewOf(pool: pg.Pool): pg.Pool {
  return isHerd(pool) ? pool.view({ route: 'replica' }) : pool
}

async function byPool(pool: pg.Pool, work: Work): Promise<Seen> {
  const out = new Set<PoolClient>()
  const taken = (client: PoolClient) => void out.add(client)
  const released = (_: unknown, client: PoolClient) => void out.delete(client)
  pool.on('acquire', taken).on('release', released)
  const query = pool.query.bind(pool) as Face['query']
  const giveBack = () => {
    for (const client of [...out]) client.release()
  }
  try {
    return await work({ query, client: null, giveBack })
  } finally {
    pool.off('acquire', taken).off('release', released)
    await assertUsable(query)
  }
}

function faceOf(client: PoolClient): Face {
  return { query: client.query.bind(client) as Face['query'], client, giveBack: () => {} }
}

async function byClient(pool: pg.Pool, work: Work): Promise<Seen> {
  const client = await pool.connect()
  const face = faceOf(client)
  const seen = await work(face)
  await assertUsable(face.query)
  client.release()
  return seen
}

async function between(face: Face, begin: string, work: Work): Promise<Seen> {
  await face.query(begin)
  const seen = await work(face)
  await face.query('error' in seen ? 'rollback' : 'commit')
  assert.equal(face.client?.getTransactionStatus(), 'I')
  return seen
}

const ROLL_BACK = new Error('a statement of the transaction failed')

async function byTransaction(pool: pg.Pool, work: Work, options: TransactionOptions): Promise<Seen> {
  const begin = options.readOnly ? 'begin read only' : 'begin'
  if (!isHerd(pool)) return byClient(pool, (face) => between(face, begin, work))
  let seen: Seen | null = null
  const transaction = pool.transaction(async (client) => {
    seen = await work(faceOf(client))
    if ('error' in seen) throw ROLL_BACK
  }, options)
  await transaction.catch((error) => {
    if (error !== ROLL_BACK) throw error
  })
  await assertUsable(pool.query.bind(pool) as Face['query'])
  return seen ?? assert.fail('the function was not called')
}

async function assertUsable(query: Face['query']): Promise<void> {
  const { rows } = (await query('select 7 as n')) as pg.QueryResult<{ n: number }>
  assert.deepEqual(
    rows.map(({ n }) => String(n).replace(/\D/g, '')),
    ['7'],
    'it is still usable'
  )
}
