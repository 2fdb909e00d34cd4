// What the tables of statement-fields.ts and statement-options.ts are made of.

import { once } from 'node:events'
import type pg from 'pg'
import type { QueryResult } from 'pg'
import type { EntryName, Face, Server } from './entries.js'

/** An entry that differs on purpose: where the statement runs there, or that there is no such thing. */
export interface But {
  readonly reason: string
  readonly server?: Server
  readonly absent?: true
}

/** What a case may look at. */
export interface Servers {
  /** Resolves when a statement with this word in its text runs on one of them. */
  runs(mark: string): Promise<void>
  /** Resolves when none does. */
  isOver(mark: string): Promise<void>
}

export interface Case {
  ask(face: Face, servers: Servers): Promise<unknown>
  /** Where it runs, if not where a plain read does. */
  readonly server?: Server
  readonly but?: Readonly<Partial<Record<EntryName, But>>>
  /** What comes of it where pg.Pool knows no such field. */
  readonly expected?: unknown
}

export type Cases = Readonly<Record<string, Case>>

/** The port tells which server answered. */
export const TEA = "select inet_server_port() as port, 7 as seven, 'tea' as tea"
export const GIVEN = 'select inet_server_port() as port, $1::int as seven, $2::text as tea'

export const promised = (face: Face, first: unknown, second?: unknown) =>
  face.query(first, second) as Promise<QueryResult>

/** With a callback, which is the last argument or stands in the config; the call itself gives nothing. */
export function calledBack(call: (done: (error: unknown, result: unknown) => void) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const given = call((error, result) => (error ? reject(error) : resolve(result)))
    if (given !== undefined) reject(new Error(`the call gave ${String(given)}`))
  })
}

/** Why an entry runs it on the primary. */
export const onPrimary = (reason: string): But => ({ server: 'primary', reason })
export const NAMED = {
  'a borrowed read': onPrimary('drop-in.md: a client borrows for no statement with a name'),
} as const

/** What a query object answers: its own event, or the promise that query() of a pool gives for it. */
export async function answerOf(face: Face, query: pg.Query): Promise<unknown> {
  const ended = once(query, 'end').then(([result]) => result)
  const given = face.query(query)
  return given === query ? ended : given
}
