// A job carries the token of the session that made it: the worker, in another process, reads from replicas and still finds the
// row that the job is about. Any queue will do: Redis, SQS, a file. A queue in the same database needs no token if the worker takes
// its job by an update through its pool, since a read behind a write sees everything that was committed before.

import type { Pool } from 'pgherd'

export interface Queue {
  push(job: string): Promise<unknown>
  pop(): Promise<string | null | undefined>
}

export interface Job {
  readonly order: number
  readonly token: string | null
}

export async function order(pool: Pool, queue: Queue, item: string): Promise<void> {
  await pool.session(async () => {
    const insert = 'insert into orders (item) values ($1) returning id'
    const { rows } = await pool.query<{ id: number }>(insert, [item])
    const job: Job = { order: rows[0]?.id ?? 0, token: await pool.token() }
    await queue.push(JSON.stringify(job))
  })
}

/** The item that was ordered; null: there is no job, or the order does not exist. */
export async function work(pool: Pool, queue: Queue): Promise<string | null> {
  const text = await queue.pop()
  if (!text) return null
  const job: Job = JSON.parse(text)
  // This text comes from our own process: if it is not a token, that is a mistake, and should be an error.
  return pool.session(job.token, async () => {
    const { rows } = await pool.query<{ item: string }>('select item from orders where id = $1', [job.order])
    return rows[0]?.item ?? null
  })
}
