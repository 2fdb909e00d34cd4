// A statement of a caller that waits for its turn on a client, and how it is told what came of it.

import type { Client } from 'pg'
import { isFree, type Sent, type Turn, free as whenReady } from '../pg/turn.js'
import type { Routed } from '../router/routing.js'
import { type Callback, type QueryArgs, type Statement, textIn } from '../router/statement.js'
import { onAbort } from '../runtime/abort.js'
import { uncaught } from '../runtime/uncaught.js'

export interface Entry extends Turn {
  readonly args: Statement
  /** The request for a replica that would serve it now; null: none; undefined: to be asked when what is before it is over. */
  readonly routed: Routed | null | undefined
}

export type Settle = NonNullable<Entry['settle']>

/** To be sent again elsewhere, for its effect alone. */
export function replayed({ query, text, values }: Statement): Sent {
  return { query: text, values: values ?? (query as { readonly values?: unknown }).values }
}

export function hasSignal(first: unknown): boolean {
  return (first as { readonly signal?: unknown }).signal !== undefined
}

export function mayDiscard(first: unknown): boolean {
  const text = textIn(first)
  return text !== null && /^[^a-z]*discard\b/i.test(text)
}

/** Runs a statement that `cancel` ends when the signal is aborted: over when the server has heard of that, and is ready again. */
export async function cancellable(
  signal: AbortSignal,
  run: () => Promise<void>,
  cancel: () => Promise<void>
): Promise<void> {
  let cancelled: Promise<void> | undefined
  const unsubscribe = onAbort(signal, () => {
    cancelled = cancel()
  })
  try {
    await run()
  } finally {
    unsubscribe()
    await cancelled
  }
}

/** Resolves when nothing is under way on the client any more; false: the signal was aborted before. */
export function isTurnOf(client: Client, signal: AbortSignal): Promise<boolean> {
  if (isFree(client)) return Promise.resolve(!signal.aborted)
  return new Promise((resolve) => {
    const unsubscribe = onAbort(signal, () => resolve(false))
    void whenReady(client).then(() => {
      unsubscribe()
      resolve(!signal.aborted)
    })
  })
}

/** An entry takes what is falsy for no error, and `abort(null)` is one. */
export function reasonOf(signal: AbortSignal | undefined): unknown {
  return signal?.reason || new DOMException('This operation was aborted', 'AbortError')
}

/** Tells an error in the entry's own way. What code of the application throws then stops nothing of ours. */
export function fail({ settle, args }: Entry, error: unknown): void {
  try {
    if (settle !== null) settle(error)
    else (args.query as { handleError?: (error: unknown) => void }).handleError?.(error)
  } catch (thrown) {
    uncaught(thrown)
  }
}

/** The same: its caller is told once, and at once when its signal is aborted, also while it waits in line. */
export function toldAtOnce(entry: Entry): Entry {
  const { args, settle } = entry
  const { signal } = args
  if (signal === undefined || settle === null) return entry
  let isOver = false
  const told: Settle = (error, value) => {
    if (isOver) return
    isOver = true
    unsubscribe?.()
    settle(error, value)
  }
  let unsubscribe: (() => void) | undefined
  if (signal.aborted) told(reasonOf(signal))
  else unsubscribe = onAbort(signal, () => told(reasonOf(signal)))
  return { ...entry, settle: told }
}

/** An answer that is there already, in the form that the call of query() has. */
export function answered({ query, callback }: QueryArgs, value: unknown): unknown {
  const told = callback ?? (query as { readonly callback?: unknown }).callback
  if (typeof told !== 'function') return Promise.resolve(value)
  process.nextTick(told as Callback, null, value)
  return undefined
}
