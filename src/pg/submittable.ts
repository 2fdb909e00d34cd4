// What goes to query() first, beside a text: a config, or what submits itself on a connection (pg's Query, a cursor, a stream).

/** As much of what submits itself as is looked at. */
export interface Submittable {
  submit(connection: unknown): unknown
}

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

/** What a statement has of its own, in place of what its caller's config says. */
export interface OwnParts {
  readonly callback?: unknown
  readonly types?: unknown
  readonly name?: undefined
  readonly query_timeout?: undefined
}

/**
 * The caller's config with parts of our own, its callback left out unless `own` has one: pg writes into what it gets. An object of
 * a class is looked through, so that its getters and private fields work; a plain one is copied, as libraries that wrap query()
 * expect own properties.
 */
export function withOwn(config: unknown, own: OwnParts): unknown {
  if (typeof config === 'string') return { ...own, text: config }
  if (typeof config !== 'object' || config === null) return config
  const prototype: unknown = Object.getPrototypeOf(config)
  if (prototype === Object.prototype || prototype === null) {
    const { callback: _, ...rest } = config as Readonly<Record<string, unknown>>
    return { ...rest, ...own }
  }
  const over = new Map<string | symbol, unknown>([['callback', undefined], ...Object.entries(own)])
  return new Proxy(config, {
    get: (target, name) => (over.has(name) ? over.get(name) : Reflect.get(target, name, target)),
    has: (target, name) => over.get(name) !== undefined || Reflect.has(target, name),
    set: (_, name, value) => {
      over.set(name, value)
      return true
    },
  })
}

/** What pg reads in a config (pg/lib/query.js, client.js); a class may have each of them as a getter. */
const READ = [
  'text',
  'name',
  'values',
  'types',
  'rowMode',
  'rows',
  'queryMode',
  'binary',
  'portal',
  'query_timeout',
] as const
const OURS = ['route', 'maxLagMillis', 'signal'] as const

/** What a config may have. */
export const STATEMENT_OPTIONS: readonly string[] = OURS
export const IN_CONFIG: ReadonlySet<string> = new Set([...READ, ...OURS, 'callback'])

/** The config as it is now, without its callback. */
export function keptConfig(config: object): Readonly<Record<string, unknown>> {
  const { callback: _, ...own } = config as Readonly<Record<string, unknown>>
  const kept: Record<string, unknown> = own
  for (const name of [...READ, ...OURS]) if (name in config) kept[name] = Reflect.get(config, name)
  if (Array.isArray(kept.values)) kept.values = [...kept.values]
  return kept
}

/** The same, where only a callback inside it is in the way. */
export function withoutCallback(config: unknown): unknown {
  if (typeof config !== 'object' || config === null || !('callback' in config)) return config
  return withOwn(config, {})
}

/** What submits itself parses its values by `types`, unless it has parsers of its own: pg gives it those of the client it is sent on. */
export function parseBy(submittable: unknown, types: unknown): void {
  const { _result, cursor } = submittable as {
    _result?: { _types?: unknown }
    cursor?: { _result?: { _types?: unknown } }
  }
  const result = _result ?? cursor?._result
  if (result && !result._types) result._types = types
}
