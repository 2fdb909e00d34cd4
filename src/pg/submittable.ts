// What submits itself on a connection: pg's Query, a cursor, a stream around one.

import type { Submittable } from 'pg'

export function isSubmittable(query: unknown): query is Submittable {
  return typeof (query as ConfigLike | null)?.submit === 'function'
}

/** What submits itself: pg's Query, a cursor, or a stream around one. */
export interface Texted {
  readonly text?: unknown
  readonly cursor?: { readonly text?: unknown }
}

/** Its SQL text, if it shows it. */
export function sqlOf({ text, cursor }: Texted): string | null {
  const own = typeof text === 'string' ? text : cursor?.text
  return typeof own === 'string' ? own : null
}

export interface ConfigLike {
  readonly text?: unknown
  readonly submit?: unknown
  readonly route?: unknown
  readonly maxLagMillis?: unknown
  readonly signal?: unknown
}
