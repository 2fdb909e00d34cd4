// The ways in which an application writes. What has become of the rows when one fails, its error says.

import type { PoolClient } from 'pg'
import type { Pool } from '../../src/index.js'
import type { Fate } from './accounting.js'

export interface Attempt {
  readonly lane: number
  readonly ids: readonly number[]
  /** One of its rows was acknowledged as committed, and the statement goes on. */
  kept(id: number): void
}

export interface Form {
  readonly name: string
  readonly rows: number
  /**
   * It is made to fail, by an error that `isOwn` knows, and must say so. `stays`: what it did outlives that, whatever the rows
   * say.
   */
  readonly refused?: 'undone' | 'stays'
  /** It commits more than once. */
  readonly piecemeal?: true
  /** Its caller sends one statement after the other, and is told of each: an error speaks of one of them. */
  readonly stepwise?: true
  /** The oldest PostgreSQL that knows it; any unless told. */
  readonly major?: number
  /** It waits for all transactions that are open. */
  readonly waits?: true
  /** It needs dblink. */
  readonly remote?: true
  write(pool: Pool, attempt: Attempt): Promise<unknown>
}

/** What the errors are called that forms fail by. */
export const OWN = 'as if the disk were full'

export function isOwn(error: unknown): boolean {
  const message = String((error as { readonly message?: string }).message)
  return message.includes(OWN) || /^could not create unique index|^deadlock detected/.test(message)
}

export interface Client {
  query(text: string, values?: unknown[]): Promise<unknown>
}

const INSERT = 'insert into ledger values ($1, $2)'

export async function insertEach(client: Client, { lane, ids }: Attempt): Promise<void> {
  for (const id of ids) await client.query(INSERT, [lane, id])
}

/** On a client of connect(), which is given back whatever happens. */
export async function onClient(pool: Pool, work: (client: PoolClient) => Promise<void>): Promise<void> {
  const client = await pool.connect()
  let failure: Error | undefined
  // A connection that breaks between two statements says so here, and the next statement fails.
  const heard = () => undefined
  client.on('error', heard)
  try {
    await work(client)
  } catch (error) {
    failure = error as Error
    throw error
  } finally {
    client.removeListener('error', heard)
    client.release(failure)
  }
}

export const USUAL: readonly Form[] = [
  { name: 'extended', rows: 1, write: (pool, { lane, ids: [id] }) => pool.query(INSERT, [lane, id]) },
  {
    name: 'simple',
    rows: 1,
    write: (pool, { lane, ids: [id] }) => pool.query(`insert into ledger values (${lane}, ${id})`),
  },
  {
    name: 'named',
    rows: 1,
    write: (pool, { lane, ids: [id] }) => pool.query({ name: 'ledger', text: INSERT, values: [lane, id] }),
  },
  {
    name: 'batch',
    rows: 2,
    write: (pool, { lane, ids }) =>
      pool.query(ids.map((id) => `insert into ledger values (${lane}, ${id})`).join('; ')),
  },
  {
    name: 'transaction()',
    rows: 2,
    write: (pool, attempt) => pool.transaction((client) => insertEach(client, attempt)),
  },
  {
    name: 'transaction on a client',
    rows: 2,
    write: (pool, attempt) =>
      onClient(pool, async (client) => {
        await client.query('begin')
        await insertEach(client, attempt)
        await client.query('commit')
      }),
  },
  {
    name: 'on a client',
    rows: 1,
    write: (pool, attempt) => onClient(pool, (client) => insertEach(client, attempt)),
  },
]

const OUTCOMES: ReadonlySet<unknown> = new Set(['not-sent', 'rolled-back', 'unknown', 'committed'])

export function fateOf(error: unknown): Fate {
  const { outcome } = error as { readonly outcome?: Fate | 'committed' }
  // The server had said so: the row has to be there.
  if (outcome === 'committed') return 'acknowledged'
  return OUTCOMES.has(outcome) && outcome !== undefined ? outcome : 'nameless'
}
