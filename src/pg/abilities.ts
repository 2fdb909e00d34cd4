// What a copy of pg must have for a pool to be built on it: public members, and those that pg keeps to itself. A copy without
// one of them is refused when it is bound, by name, and not when a statement meets the gap.

import { createRequire } from 'node:module'
import { PgherdError } from '../errors.js'

type Part = 'Client.prototype' | 'client' | 'connection' | 'Pool.prototype' | 'pool'

/** Of every copy. */
const ALWAYS: Readonly<Partial<Record<Part, readonly string[]>>> = {
  'Client.prototype': ['query', 'connect', 'end'],
  'Pool.prototype': ['connect', 'query', 'end'],
  pool: ['options', '_clients', '_idle', '_pendingQueue'],
}

/** Of one that speaks the protocol itself: libpq's binding (pg.native) has no `connection`, and none of this. */
const SPOKEN: Readonly<Partial<Record<Part, readonly string[]>>> = {
  'Client.prototype': [
    'getTransactionStatus',
    'unref',
    '_connect',
    '_errorAllQueries',
    '_handleErrorMessage',
    '_handleReadyForQuery',
    '_pulseQueryQueue',
  ],
  client: ['_activeQuery', '_ending', '_queryQueue', '_queryable', '_txStatus'],
  connection: ['attachListeners', 'bind', 'cancel', 'connect', 'requestSsl', 'stream'],
}

/** What its connections can do. */
export interface Abilities {
  /** Two statements on one connection at a time (pg 8.23). False: no guards and no captured positions. */
  readonly pipelines: boolean
  /** It speaks the protocol itself, so what a server asks and sends is checked. False: libpq's binding. */
  readonly speaks: boolean
}

/** Throws PGHERD_CONFIG where something is missing. Makes a client and a pool to look at them; neither connects. */
export function abilitiesOf(copy: PgLike): Abilities {
  for (const name of ['Pool', 'Client'] as const) if (typeof copy?.[name] !== 'function') refuse(name, copy)
  const [Client, Pool] = [copy.Client as Class, copy.Pool as Class]
  const client = made(Client)
  const connection = client?.connection
  const parts = {
    'Client.prototype': Client.prototype,
    'Pool.prototype': Pool.prototype,
    client,
    connection,
    pool: made(Pool),
  }
  demand(ALWAYS, parts, copy)
  if (typeof connection !== 'object') return { pipelines: true, speaks: client === undefined }
  demand(SPOKEN, parts, copy)
  return { pipelines: client?.pipeline !== undefined, speaks: true }
}

type Parts = Readonly<Record<Part, unknown>>

type Class = { new (options: object): Readonly<Record<string, unknown>>; readonly prototype: unknown }

/** Undefined: it cannot be made without more, so it cannot be looked at. */
function made(Constructor: Class): Readonly<Record<string, unknown>> | undefined {
  try {
    return new Constructor({})
  } catch {
    return undefined
  }
}

function demand(needs: Readonly<Partial<Record<Part, readonly string[]>>>, parts: Parts, copy: PgLike): void {
  for (const [part, names] of Object.entries(needs)) {
    const value = parts[part as Part]
    if (value === undefined || value === null) continue
    const missing = names.find((name) => !(name in (value as object)))
    if (missing !== undefined) refuse(`${part}.${missing}`, copy)
  }
}

function refuse(missing: string, copy: PgLike | null | undefined): never {
  const version = versionOf(copy)
  throw new PgherdError(
    'PGHERD_CONFIG',
    `this copy of pg${version === null ? '' : `, version ${version},`} has no ${missing}: pgherd needs it. ` +
      'Install pg 8.23 or newer, and give createPool() the whole module.'
  )
}

/** That of the module which was loaded with this class in it; null: it was not loaded by require() or import. */
function versionOf(copy: PgLike | null | undefined): string | null {
  try {
    // Every require() has the same cache, wherever it was made.
    const { cache } = createRequire(`${process.cwd()}/`)
    const has = (loaded: unknown) => (loaded as Partial<PgLike> | null)?.Client === copy?.Client
    const module = Object.values(cache).find((loaded) => copy?.Client !== undefined && has(loaded?.exports))
    if (module === undefined) return null
    return String((createRequire(module.filename)('pg/package.json') as { readonly version?: unknown }).version)
  } catch {
    return null
  }
}

/** What a copy of pg must bring: pg itself, pg.native, or a fork of it. */
export interface PgLike {
  readonly Pool: unknown
  readonly Client: unknown
  readonly defaults: object
}

/** pg asks it for the password, in a handler that nothing catches from; absent, Node's is taken. */
export function isPromiseClass(given: unknown): boolean {
  try {
    const { resolve } = given as Partial<PromiseConstructor>
    return typeof resolve === 'function' && typeof Reflect.apply(resolve, given, [undefined]).then === 'function'
  } catch {
    return false
  }
}
