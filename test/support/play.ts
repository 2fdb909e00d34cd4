// One client and the statements that its holder sends, one after the other: what came of each, fit to be compared between pools.

import type { Pool, PoolClient, QueryResult } from 'pg'
import { settled } from './entries.js'

/** A text, all that query() of a client may be given, or a function that sends something and waits for it. */
export type Step = string | readonly [first: unknown, values?: readonly unknown[]] | ((client: PoolClient) => unknown)

export async function play(pool: Pool, steps: readonly Step[]): Promise<readonly string[]> {
  const client = await pool.connect()
  const seen: string[] = []
  try {
    for (const step of steps) seen.push(`${titleOf(step)} -> ${await answerOf(client, step)}`)
  } finally {
    await client.query('rollback')
    client.release()
  }
  return seen
}

function titleOf(step: Step): string {
  if (typeof step === 'function') return 'a function'
  const first = typeof step === 'string' ? step : step[0]
  return typeof first === 'string' ? first : ((first as { readonly text?: string }).text ?? 'no text')
}

async function answerOf(client: PoolClient, step: Step): Promise<string> {
  const query = client.query.bind(client) as (first: unknown, values?: unknown) => unknown
  const seen = await settled(() => {
    if (typeof step === 'function') return step(client)
    return typeof step === 'string' ? query(step) : query(...step)
  })
  if ('error' in seen) {
    const { code, message } = seen.error as { readonly code?: string; readonly message: string }
    return `${code}: ${message}`
  }
  return `${shown(seen.value)} ${client.getTransactionStatus()}`
}

function shown(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(shown).join(', ')}]`
  const { command, rowCount, rows } = (value ?? {}) as Partial<QueryResult>
  return command === undefined ? JSON.stringify(value) : `${command} ${rowCount} ${JSON.stringify(rows)}`
}
