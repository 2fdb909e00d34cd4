// A statement of a caller that waits for its turn on a client, and how it is told what came of it.

import type { Client } from 'pg'
import { isFree, type Sent, type Turn, free as whenReady } from '../pg/turn.js'
import type { Routed } from '../router/routing.js'
import { type Statement, textIn } from '../router/statement.js'
import { onAbort } from '../runtime/abort.js'

export interface Entry extends Turn {
  readonly args: Statement
  /** The request for a replica that would serve it now; null: none; undefined: to be asked when what is before it is over. */
  readonly routed: Routed | null | undefined
}

export type Settle = NonNullable<Entry['settle']>

/** To be sent again elsewhere: as it was when it was sent here. */
export function kept({ query, text, values }: Statement): Sent {
  const own = values ?? (query as { readonly values?: unknown }).values
  return { query: text, values: Array.isArray(own) ? [...own] : own }
}

export function hasSignal(first: unknown): boolean {
  return (first as { readonly signal?: unknown }).signal !== undefined
}

export function mayDiscard(first: unknown): boolean {
  const text = textIn(first)
  return text !== null && /^[^a-z]*discard\b/i.test(text)
}

/**
 * A statement whose caller is told at once when the signal is aborted; it is over when the server has heard of that, and is ready
 * again.
 */
export async function interruptible(
  signal: AbortSignal,
  settle: Settle,
  run: (settle: Settle) => Promise<void>,
  cancel: () => Promise<void>
): Promise<void> {
  let cancelled: Promise<void> | undefined
  const unsubscribe = onAbort(signal, () => {
    settle(reasonOf(signal))
    cancelled = cancel()
  })
  try {
    await run((error, value) => {
      if (cancelled === undefined) settle(error, value)
    })
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

/** Tells an error in the entry's own way. */
export function failing({ settle, args }: Entry): (error: unknown) => void {
  if (settle !== null) return settle
  return (error) => (args.query as { handleError?: (error: unknown) => void }).handleError?.(error)
}

/** The same: its caller is told at once when its signal is aborted, also while it waits in line. */
export function abortable(entry: Entry): Entry {
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

/** What code of the application throws is uncaught, as with pg, and stops nothing of ours. */
export function outside(call: () => void): void {
  try {
    call()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}
