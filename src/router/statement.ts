// One statement, from pg's overloads of query() on: made once at the entry of a face, and handed on until it is answered. It keeps
// the caller's own object (in a line, what that was at the call), and knows what its text does under all that is known of names. Changes
// no argument.

import type { Scope } from '../core/session/causal-scope.js'
import { type Hint, hintOf, type Verdict } from '../core/sql/classify.js'
import type { Effect } from '../core/sql/effects.js'
import { argumentError } from '../errors.js'
import {
  type ConfigLike,
  IN_CONFIG,
  isSubmittable,
  keptConfig,
  STATEMENT_OPTIONS,
  sqlOf,
  type Texted,
} from '../pg/submittable.js'
import { warnOfMisspelt } from '../runtime/misspelt.js'

export type Callback = (error: Error | undefined, result?: unknown) => void

export type Route = 'primary' | 'replica' | 'auto'

/** What a view of a pool, or the holder of a client from one, asks of all its statements, where they do not say otherwise. */
export interface RouteOptions {
  readonly route?: Route | undefined
  readonly maxLagMillis?: number | undefined
}

export const NO_OPTIONS: RouteOptions = {}

/** The arguments of a call of query(), in one shape. */
export interface QueryArgs {
  /** What goes to client.query() first: a text, a config, or something that submits itself. */
  readonly query: unknown
  readonly values: unknown
  readonly callback: Callback | undefined
  /** The SQL text; null where there is none to read: a cursor, a stream, a mistake. */
  readonly text: string | null
}

/** Reads texts. `version` is another number as soon as one may be read in another way. */
export interface Reader {
  readonly version: number
  read(text: string): Verdict
  effect(text: string): Effect
}

export class Statement implements QueryArgs {
  readonly query: unknown
  readonly values: unknown
  readonly callback: Callback | undefined
  readonly text: string | null
  /** The statement's own word; undefined: none. */
  readonly ownRoute: Route | undefined
  /** Its own bound, in milliseconds; undefined: none. */
  readonly ownLagMillis: number | undefined
  /** Its own bound, else that of its view; undefined: the pool's. */
  readonly maxLagMillis: number | undefined
  readonly signal: AbortSignal | undefined
  /** The session that it belongs to. */
  readonly scope: Scope | undefined
  /** When the client that it is sent on last wrote, on the monotonic clock; null: it is on none, or that wrote nothing. */
  readonly wroteAt: number | null
  readonly #reader: Reader
  readonly #options: RouteOptions
  #hint: Hint | null | undefined
  #class: Verdict | null = null
  #effect: Effect | null = null
  #version = -1

  /** Throws a TypeError where `route`, `maxLagMillis` or `signal` in a config is none. */
  constructor(
    reader: Reader,
    options: RouteOptions,
    args: QueryArgs,
    scope: Scope | undefined,
    wroteAt: number | null = null
  ) {
    const { query } = args
    this.query = query
    this.values = args.values
    this.callback = args.callback
    this.text = args.text
    const config = typeof query === 'object' ? (query as ConfigLike | null) : null
    if (config !== null && args.text !== null) warnOfMisspelt(config, IN_CONFIG, 'query()', STATEMENT_OPTIONS)
    this.ownRoute = config === null ? undefined : routeOf(config)
    this.ownLagMillis = config === null ? undefined : lagOf(config)
    this.maxLagMillis = this.ownLagMillis ?? options.maxLagMillis
    this.signal = config === null ? undefined : signalOf(config)
    this.scope = scope
    this.wroteAt = wroteAt
    this.#reader = reader
    this.#options = options
  }

  /** The same, as it is now: what its caller does with the config or the values afterwards changes nothing of it. */
  get kept(): Statement {
    const { query, values, callback, text, scope, wroteAt } = this
    if (typeof query === 'string' && !Array.isArray(values)) return this
    const own = Array.isArray(values) ? [...values] : values
    const config = typeof query === 'string' || isSubmittable(query) ? query : keptConfig(query as object)
    const args = { query: config, values: own, callback: callback ?? callbackIn(query), text }
    const kept = new Statement(this.#reader, this.#options, args, scope, wroteAt)
    // What is known of its text is known.
    kept.#hint = this.#hint
    kept.#class = this.#class
    kept.#effect = this.#effect
    kept.#version = this.#version
    return kept
  }

  /** What its text does; null: there is none to read. */
  get class(): Verdict | null {
    if (this.#version !== this.#reader.version) this.#read()
    return this.#class
  }

  /** What it leaves in its session, also where only what submits itself knows the text. */
  get effect(): Effect {
    if (this.#version !== this.#reader.version) this.#read()
    const { sql } = this
    this.#effect ??= sql === null ? 'taints' : this.#reader.effect(sql)
    return this.#effect
  }

  /** Its text, also where that only shows what submits itself. */
  get sql(): string | null {
    return this.text !== null || !isSubmittable(this.query) ? this.text : sqlOf(this.query as Texted)
  }

  /** What `sql` does; null: there is none. */
  get sqlClass(): Verdict | null {
    const { text, sql } = this
    return text !== null || sql === null ? this.class : this.#reader.read(sql)
  }

  /** The server keeps it under a name. */
  get isNamed(): boolean {
    return Boolean((this.query as { readonly name?: unknown } | null)?.name)
  }

  /** A cursor or a stream: it answers its own way, as long as its reader pleases. */
  get isSubmittable(): boolean {
    return this.text === null && isSubmittable(this.query)
  }

  /** pg reads its answer whole, and by no parsers that the config brings. */
  get isPlain(): boolean {
    const { types, rows, portal } = (this.query ?? {}) as { types?: unknown; rows?: unknown; portal?: unknown }
    return this.text !== null && !types && !rows && !portal
  }

  /** Where it is to run: its own word, else its hint, else its view's. 'auto' takes back what a view says. */
  get route(): Route | undefined {
    if (this.ownRoute !== undefined && this.ownRoute !== 'auto') return this.ownRoute
    return this.hint ?? (this.ownRoute === undefined ? this.#options.route : 'auto')
  }

  /** Of a text only a comment at its beginning is read for it. */
  get hint(): Hint | null {
    if (this.#hint === undefined) {
      const { sql } = this
      this.#hint = sql !== null && isCommented(sql) ? hintOf(sql) : null
    }
    return this.#hint
  }

  /** It only reads; one that nothing is known of may write. */
  get reads(): boolean {
    return this.class?.intent === 'read'
  }

  #read(): void {
    this.#version = this.#reader.version
    this.#class = this.text === null ? null : this.#reader.read(this.text)
    // Reading may have found that names are read anew.
    this.#version = this.#reader.version
    this.#effect = null
  }
}

function callbackIn(query: unknown): Callback | undefined {
  const { callback } = query as { readonly callback?: unknown }
  return typeof query === 'object' && typeof callback === 'function' ? (callback as Callback) : undefined
}

/** pg's overloads -> one shape. */
export function queryArgs(query: unknown, second: unknown, third: unknown): QueryArgs {
  // As in pg, what is falsy is no callback.
  const callback = ((typeof second === 'function' ? second : third) || undefined) as Callback | undefined
  const values = typeof second === 'function' ? undefined : second
  return { query, values, callback, text: textIn(query) }
}

/** The text in the first argument of query(); null: there is none to read. */
export function textIn(query: unknown): string | null {
  if (typeof query === 'string') return query
  const config = (typeof query === 'object' ? query : null) as ConfigLike | null
  return typeof config?.text === 'string' && !isSubmittable(config) ? config.text : null
}

/** A hint may stand at its beginning. */
function isCommented(text: string): boolean {
  return /^\s*\/\*/.test(text)
}

/** False: neither the config nor its text says anything of where the statement shall run. */
export function mayInsist(first: unknown): boolean {
  if (typeof first === 'string') return isCommented(first)
  const { text, route } = first as { readonly text?: unknown; readonly route?: unknown }
  return (route !== undefined && route !== 'auto') || (typeof text === 'string' && isCommented(text))
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

const VIEW_OPTIONS: ReadonlySet<string> = new Set(['route', 'maxLagMillis'])
const ROUTES: ReadonlySet<unknown> = new Set<Route>(['primary', 'replica', 'auto'])

/** Options as a caller gave them, checked. */
export function routeOptions(given: RouteOptions): RouteOptions {
  warnOfMisspelt(given, VIEW_OPTIONS, 'view()')
  return { route: routeOf(given), maxLagMillis: lagOf(given) }
}

function routeOf({ route }: { readonly route?: unknown }): Route | undefined {
  if (route === undefined || ROUTES.has(route)) return route as Route | undefined
  throw argumentError(`option route must be 'primary', 'replica' or 'auto', not ${String(route)}`)
}

export function signalOf({ signal }: { readonly signal?: unknown }): AbortSignal | undefined {
  if (signal === undefined || signal === null) return undefined
  if (signal instanceof AbortSignal) return signal
  throw argumentError('option signal must be an AbortSignal')
}

function lagOf({ maxLagMillis: millis }: { readonly maxLagMillis?: unknown }): number | undefined {
  if (millis === undefined || (typeof millis === 'number' && millis >= 0)) return millis
  throw argumentError(`option maxLagMillis must be a number of milliseconds of at least 0, not ${String(millis)}`)
}
