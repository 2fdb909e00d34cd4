// query_timeout: pg answers the caller and lets the statement go on, and its connection is busy for no caller from then on. Says
// which statement of a client that is; what becomes of the client is the pool's to decide.

import type { Client } from 'pg'
import { noticed } from './calls.js'
import type { Internals } from './internals.js'
import { isReadTimeout, type Send } from './turn.js'

/** The statement that query_timeout gave up, as pg knows it. It may go on. */
const overdue = new WeakMap<Client, unknown>()

/** This statement has a query_timeout: its own, or that of its client. */
export function isTimed(client: Client, first: unknown): boolean {
  if ((first as { readonly query_timeout?: unknown } | null | undefined)?.query_timeout) return true
  return Boolean((client as unknown as Internals).connectionParameters?.query_timeout)
}

/** pg's query(), by `send`. `late` is called before the caller hears that it takes too long. */
export function timed(client: Client, send: Send, args: Parameters<Send>, late: (error: unknown) => void): unknown {
  const internals = client as unknown as Internals
  let statement: unknown
  const notice = (error: unknown) => {
    if (!isReadTimeout(error)) return
    overdue.set(client, statement)
    late(error)
  }
  const [first, second, third] = args
  const result = noticed(send, [first, second, third], notice)
  statement = internals._queryQueue.at(-1) ?? internals._activeQuery
  return result
}

/** What query_timeout gave up still runs there. */
export function isOverdue(client: Client): boolean {
  const statement = overdue.get(client)
  return Boolean(statement) && (client as unknown as Internals)._activeQuery === statement
}
