// One statement on one client, in its turn: sent, answered, and over when the server is ready for the next. Decides nothing.

import type { Client, PoolClient } from 'pg'
import { propertyOf } from '../core/thrown.js'
import { uncaught } from '../runtime/uncaught.js'
import type { Internals } from './internals.js'
import { withOwn, withoutCallback } from './submittable.js'

/** pg.Client's query(), with all its overloads. */
export type Send = (first: unknown, second?: unknown, third?: unknown) => unknown

/** What goes to a client's query(). */
export interface Sent {
  readonly query: unknown
  readonly values: unknown
}

/** A statement in its turn. */
export interface Turn {
  readonly args: Sent
  readonly second: unknown
  readonly third: unknown
  /** Null for what submits itself: it answers its own way. */
  readonly settle: ((error: unknown, result?: unknown) => void) | null
}

interface Answer {
  readonly error: unknown
  readonly value: unknown
}

/** pg's answer when query_timeout is over: the statement goes on, and its answer is dropped. */
export function isReadTimeout(error: unknown): boolean {
  return propertyOf(error, 'message') === 'Query read timeout'
}

/** Runs to its end, without throwing. */
export function outcomeOn(client: PoolClient, args: Sent): Promise<Answer> {
  const query = client.query.bind(client) as unknown as Send
  return new Promise((resolve) => {
    // pg calls back twice for what it cannot put into bytes: with the error, and when the server is ready again.
    let isTold = false
    try {
      query(withoutCallback(args.query), args.values, (error: unknown, value: unknown) => {
        if (isTold) return
        isTold = true
        if (!error || isReadTimeout(error)) resolve({ error: error ?? null, value })
        else void free(client).then(() => resolve({ error, value }))
      })
    } catch (error) {
      resolve({ error, value: undefined })
    }
  })
}

/** In its turn, and until the connection is free again. */
export function runOn(client: Client, send: Send, { args, second, third, settle }: Turn): Promise<void> {
  return new Promise((done) => {
    if (settle === null) {
      guardErrors(args.query)
      try {
        send(args.query, second, third)
      } catch (error) {
        ;(args.query as { handleError?: (error: unknown) => void }).handleError?.(error)
      }
      free(client).then(done)
      return
    }
    let isTold = false
    try {
      send(withoutCallback(args.query), args.values, (error: unknown, value: unknown) => {
        if (isTold) return
        isTold = true
        settle(error, value)
        if (error && !isReadTimeout(error)) free(client).then(done)
        else done()
      })
    } catch (error) {
      settle(error)
      done()
    }
  })
}

/** Its `error` event may have no listener: what that throws is uncaught, and must not stop the connection that it is told on. */
function guardErrors(submittable: unknown): void {
  const own = submittable as { handleError?: (...values: unknown[]) => unknown }
  const { handleError } = own
  if (typeof handleError !== 'function') return
  own.handleError = function (this: unknown, ...values) {
    try {
      return Reflect.apply(handleError, this, values)
    } catch (error) {
      uncaught(error)
      return undefined
    }
  }
}

/** Nothing of what was sent is left to do. */
export function isFree(client: Client): boolean {
  const internals = client as unknown as Internals
  return (internals.readyForQuery ?? !internals._hasActiveQuery?.()) && internals._queryQueue?.length === 0
}

/** An error is told before the server says that it is ready, and in which transaction status. Resolves when it has. */
export function free(client: Client): Promise<void> {
  if (!(client as unknown as Internals)._queryable || isFree(client)) return Promise.resolve()
  return new Promise((resolve) => {
    const over = () => {
      client.removeListener('drain', over)
      client.removeListener('end', over)
      resolve()
    }
    client.on('drain', over)
    client.on('end', over)
  })
}

export function statusOf(client: PoolClient): string | null {
  return client.getTransactionStatus()
}

/** Nothing is under way on it, and no transaction is open. */
export function isResting(client: Client): boolean {
  const { _txStatus } = client as unknown as Internals
  return isFree(client) && (_txStatus === undefined || _txStatus === 'I')
}

/** It takes a statement at once: ready, alive, nothing in line, and none sent ahead of its answer. */
export function isReady(client: Client): boolean {
  const internals = client as unknown as Internals
  if (!internals.readyForQuery || internals._queryQueue.length > 0) return false
  return internals._queryable && !internals._ending && internals.pipeline !== true
}

/** The server is ready for the next statement; undefined: the native client does not say. */
export function isAnswered(client: Client): boolean | undefined {
  return (client as unknown as Internals).readyForQuery
}

/** The parsers of the client. */
export function typesOf(client: Client): unknown {
  return (client as unknown as Internals)._types
}

/** The config, its values parsed as on the client that has these parsers, unless it brings its own. */
export function parsedAs(config: unknown, types: unknown): unknown {
  const own = typeof config === 'object' ? (config as { readonly types?: unknown } | null)?.types : undefined
  return own == null && hasOwnParsers(types) ? withOwn(config, { types }) : config
}

/** Parsers were set on this client alone: those of its pool are on all its connections. */
export function hasOwnParsers(types: unknown): boolean {
  const { text, binary } = (types ?? {}) as { readonly text?: object; readonly binary?: object }
  if (text === undefined || binary === undefined) return types !== undefined
  for (const _ in text) return true
  for (const _ in binary) return true
  return false
}

/** The process of the server that took its login; null: it did not say which. */
export function processOf(client: Client): number | null {
  return (client as unknown as { readonly processID?: number | null }).processID ?? null
}
