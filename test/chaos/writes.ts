// The ways in which an application writes, and what each may conclude from an error about what it has written.

import type { Pool } from '../../src/index.js'
import type { Fate } from './accounting.js'

/**
 * Who knows what has become of the rows when an error comes: `error`: its `outcome`. `nobody`: on a client of its own, pg's
 * errors pass as they are. `undone`: no commit was sent, so nothing of the transaction can stay.
 */
export type Stage = 'error' | 'nobody' | 'undone'

export interface Attempt {
  readonly lane: number
  readonly ids: readonly number[]
  stage: Stage
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
    write: (pool, attempt) =>
      pool.transaction(async (client) => {
        attempt.stage = 'undone'
        await insertEach(client, attempt)
        attempt.stage = 'nobody'
      }),
  },
  {
    name: 'transaction on a client',
    rows: 2,
    write: (pool, attempt) =>
      onClient(pool, async (client) => {
        attempt.stage = 'undone'
        await client.query('begin')
        await insertEach(client, attempt)
        attempt.stage = 'nobody'
        await client.query('commit')
      }),
  },
  {
    name: 'on a client',
    rows: 1,
    write: (pool, attempt) =>
      onClient(pool, (client) => {
        attempt.stage = 'nobody'
        return insertEach(client, attempt)
      }),
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

/** pg has not sent it. */
const NOT_QUERYABLE = /^Client (?:has encountered a connection error|was closed) and is not queryable$/

const OUTCOMES: ReadonlySet<unknown> = new Set(['not-sent', 'rolled-back', 'unknown'])

export function fateOf(error: unknown, stage: Stage): Fate {
  const { outcome, message } = error as { readonly outcome?: Fate; readonly message?: string }
  switch (stage) {
    case 'error':
      return OUTCOMES.has(outcome) && outcome !== undefined ? outcome : 'nameless'
    case 'nobody':
      return NOT_QUERYABLE.test(message ?? '') ? 'not-sent' : 'unknown'
    case 'undone':
      return 'rolled-back'
    default:
      return stage satisfies never
  }
}
