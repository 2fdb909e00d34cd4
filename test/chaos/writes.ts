// The ways in which an application writes. What has become of the rows when one fails, its error says.

import type { Pool } from '../../src/index.js'
import type { Fate } from './accounting.js'

export interface Attempt {
  readonly lane: number
  readonly ids: readonly number[]
}

export interface Form {
  readonly name: string
  readonly rows: number
  /** It fails by itself, and must say so. */
  readonly refused?: true
  write(pool: Pool, attempt: Attempt): Promise<unknown>
}

interface Client {
  query(text: string, values?: unknown[]): Promise<unknown>
}

const INSERT = 'insert into ledger values ($1, $2)'

async function insertEach(client: Client, { lane, ids }: Attempt): Promise<void> {
  for (const id of ids) await client.query(INSERT, [lane, id])
}

/** On a client of connect(), which is given back whatever happens. */
async function onClient(pool: Pool, work: (client: Client) => Promise<void>): Promise<void> {
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

export const FORMS: readonly Form[] = [
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
  {
    name: 'refused',
    rows: 1,
    refused: true,
    // disk_full, after the row was written.
    write: (pool, { lane, ids: [id] }) =>
      pool.query(`insert into ledger values (${lane}, ${id}) returning fail_with('53100')`),
  },
]

const OUTCOMES: ReadonlySet<unknown> = new Set(['not-sent', 'rolled-back', 'unknown'])

export function fateOf(error: unknown): Fate {
  const { outcome } = error as { readonly outcome?: Fate | 'committed' }
  // The server had said so: the row has to be there.
  if (outcome === 'committed') return 'acknowledged'
  return OUTCOMES.has(outcome) && outcome !== undefined ? outcome : 'nameless'
}
