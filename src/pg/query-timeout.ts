// query_timeout: pg answers the caller and lets the statement go on, and its connection is busy for nobody from then on. Says
// which statement of a held client that is; what becomes of the client is the pool's to decide.

import type { Client } from 'pg'
import { type Listener, noticing } from './calls.js'
import type { Internals } from './internals.js'
import { isSubmittable } from './submittable.js'
import { isReadTimeout, type Send, withoutCallback } from './turn.js'
import type { Wire } from './wire.js'

/** This statement has a query_timeout: its own, or that of its client. */
export function isTimed(client: Client, first: unknown): boolean {
  if ((first as { readonly query_timeout?: unknown } | null | undefined)?.query_timeout) return true
  return Boolean((client as unknown as Internals).connectionParameters?.query_timeout)
}

/** pg's query(), by `send`. `tell` is called, with pg's own object of the statement, before anybody hears that it takes too long. */
export function timed(
  client: Client,
  send: Send,
  args: Parameters<Send>,
  tell: (statement: unknown, error: unknown) => void
): unknown {
  const internals = client as unknown as Internals
  let statement: unknown
  const notice = (error: unknown) => {
    if (isReadTimeout(error)) tell(statement, error)
  }
  const result = noticed(send, args, notice)
  statement = internals._queryQueue.at(-1) ?? internals._activeQuery
  return result
}

/** What query_timeout gave up still runs: the connection is nobody's any more. */
export function isOverdue(client: Client, { overdue }: Wire): boolean {
  return overdue !== null && (client as unknown as Internals)._activeQuery === overdue
}

/** The statement as it was given, its failure told to `notice` first. */
export function noticed(
  send: Send,
  [first, second, third]: Parameters<Send>,
  notice: (error: unknown) => void
): unknown {
  const told = (value: unknown) => (typeof value === 'function' ? noticing(value as Listener, notice) : value)
  const holder = first as { callback?: unknown; handleError?: unknown } | string | null | undefined
  if (isSubmittable(holder)) {
    const { callback, handleError } = holder as { callback?: unknown; handleError?: unknown }
    Object.assign(holder, { handleError: told(handleError) }, callback ? { callback: told(callback) } : {})
    return send(holder, told(second), told(third))
  }
  const inner = typeof holder === 'object' ? holder?.callback : undefined
  if (typeof inner === 'function') return send(withoutCallback(first), second, told(inner))
  const result = send(first, told(second), told(third))
  // Not on the side: whoever leaves a rejection alone must hear of that as ever.
  if (!(result instanceof Promise)) return result
  return result.catch((error) => {
    notice(error)
    throw error
  })
}
