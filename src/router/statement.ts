// pg's overloads of query() -> one shape. Looks at arguments only; changes none of them.

import type { Scope } from '../core/session/causal-scope.js'
import { type ConfigLike, isSubmittable, sqlOf, type Texted } from '../pg/submittable.js'

export type Callback = (error: Error | undefined, result?: unknown) => void

export type Route = 'primary' | 'replica' | 'auto'

export interface QueryArgs {
  /** What goes to client.query() first: a text, a config, or something that submits itself. */
  readonly query: unknown
  readonly values: unknown
  readonly callback: Callback | undefined
  /** The SQL text; null where there is none to read: a cursor, a stream, a mistake. */
  readonly text: string | null
  /** The statement's own word; undefined: none. */
  readonly route: Route | undefined
  /** This statement's own bound; undefined: the pool's. */
  readonly maxLagMillis: number | undefined
  readonly signal?: AbortSignal | undefined
  /** The session that it belongs to. */
  readonly scope?: Scope | undefined
  /** When the client that it is sent on last wrote, on the monotonic clock. */
  readonly wroteAt?: number | null | undefined
}

/** What a view of a pool asks of all its statements, where they do not say otherwise. */
export interface Wishes {
  readonly route?: Route | undefined
  readonly maxLagMillis?: number | undefined
}

export function queryArgs(query: unknown, second: unknown, third: unknown): QueryArgs {
  const callback = (typeof second === 'function' ? second : third) as Callback | undefined
  const values = typeof second === 'function' ? undefined : second
  if (typeof query === 'string') {
    return { query, values, callback, text: query, route: undefined, maxLagMillis: undefined }
  }
  const config = (typeof query === 'object' ? query : null) as ConfigLike | null
  const text = typeof config?.text === 'string' && !isSubmittable(config) ? config.text : null
  return {
    query,
    values,
    callback,
    text,
    route: routeOf(config),
    maxLagMillis: lagOf(config),
    signal: signalOf(config),
  }
}

/** The text of a statement, also of one that submits itself, if it shows it. */
export function textOf({ text, query }: QueryArgs): string | null {
  return text !== null || !isSubmittable(query) ? text : sqlOf(query as Texted)
}

/** Answers a call of a client's query() with an error, in the form that the call has; nothing was sent. */
export function refused(first: unknown, second: unknown, third: unknown, error: Error): unknown {
  const { query, callback } = queryArgs(first, second, third)
  const own = query as { readonly handleError?: (error: Error) => void; readonly callback?: Callback }
  const told = callback ?? own.callback
  if (isSubmittable(query)) {
    process.nextTick(() => own.handleError?.(error))
    return query
  }
  if (typeof told !== 'function') return Promise.reject(error)
  process.nextTick(told, error)
  return undefined
}

const ROUTES: ReadonlySet<unknown> = new Set<Route>(['primary', 'replica', 'auto'])

/** Wishes as a caller gave them, checked. */
export function wishesOf(given: Wishes): Wishes {
  return { route: routeOf(given), maxLagMillis: lagOf(given) }
}

function routeOf(config: ConfigLike | null): Route | undefined {
  const route = config?.route
  if (route === undefined || ROUTES.has(route)) return route as Route | undefined
  throw new TypeError(`option route must be 'primary', 'replica' or 'auto', not ${String(route)}`)
}

export function signalOf(config: { readonly signal?: unknown } | null): AbortSignal | undefined {
  const signal = config?.signal
  if (signal === undefined || signal instanceof AbortSignal) return signal
  throw new TypeError('option signal must be an AbortSignal')
}

function lagOf(config: ConfigLike | null): number | undefined {
  const millis = config?.maxLagMillis
  if (millis === undefined || (typeof millis === 'number' && millis >= 0)) return millis
  throw new TypeError(`option maxLagMillis must be a number of milliseconds of at least 0, not ${String(millis)}`)
}
