// Options, environment and multi-host URLs -> one frozen, fully defaulted Config. Foreign words (standby, read-write) end
// here. Refuses what cannot work, naming the option and what it may be. Does no I/O and never prints a value of a secret.

import { type BalancePolicy, policies } from '../core/cluster/balance.js'
import type { Misspelt } from '../core/spelling.js'
import type { NameOptions } from '../core/sql/definitions.js'
import type { DnsSettings } from '../discovery/dns.js'
import type { PatroniSettings } from '../discovery/patroni.js'
import type { ReplicationSettings } from '../discovery/replication.js'
import { argumentError } from '../errors.js'
import type { RequiredAuth } from '../pg/weak-auth.js'
import { clientOptions, type Dialing, resolveSsl } from './dial.js'
import { type Defaults, type Environment, parseUrl, type Seed, seedsOf } from './hosts.js'
import {
  ATTRIBUTES,
  type Attributes,
  authOf,
  isDnsSource,
  isPatroniSource,
  isReplicationSource,
  lastPart,
  misspelt,
  type OptionName,
  type Options,
  refuse,
  type Values,
  valuesOf,
} from './options.js'

/** Options whose values a Config has in another form. */
type Reshaped =
  | 'targetSessionAttrs'
  | 'discovery'
  | keyof NameOptions
  | 'balance'
  | 'requireAuth'
  | 'zone'
  | 'zones'
  | 'weights'

export interface Config extends Omit<Values, Reshaped>, Dialing {
  readonly seeds: readonly Seed[]
  readonly attributes: Attributes
  readonly replication: { readonly use: boolean; readonly settings: ReplicationSettings }
  /** How names are looked up. */
  readonly dns: DnsSettings
  /** Where members are listed; null: nowhere. */
  readonly patroni: PatroniSettings | null
  /** The user chose the lag bound: it is kept also where nothing can prove it. */
  readonly isBoundGiven: boolean
  readonly names: NameOptions
  readonly balance: BalancePolicy
  /** Where this process is; null: not known. */
  readonly zone: string | null
  /** The user chose failoverTimeoutMillis, so even a single server's connect errors are waited out. */
  readonly patient: boolean
  readonly connectionTimeoutMillis: number | null
  /** What a server may ask of a login; null: anything. */
  readonly requireAuth: RequiredAuth | null
  /** What was given, has no effect, and looks like an option: beside the URL, and in it. */
  readonly misspelt: readonly Misspelt[]
}

/** pg throws a TypeError for these, too, but shows what it was given, and a connection string has a password in it. */
function optionsOf(given: unknown): Options {
  if (typeof given === 'object' && given !== null && !(given instanceof URL)) return given as Options
  throw argumentError("new Pool() takes an object of options: { connectionString: 'postgres://...' }")
}

/** Reads everything once. `given` is the user's own options object, before pg hides the password in its copy. */
export function resolveConfig(given: unknown, environment: Environment, defaults: Defaults): Config {
  const raw = optionsOf(given)
  const url = raw.connectionString ? parseUrl(raw.connectionString) : null
  // As pg does: whatever the connection string says beats the option beside it.
  const options: Options = { ...copied(raw), ...url?.options }
  const read = (name: OptionName) => givenFor(name, raw, url?.own ?? {}, environment)
  const { targetSessionAttrs, discovery, balance, requireAuth, zone, zones, weights, ...values } = valuesOf(read)
  const { primaryFunctions, replicaSafeFunctions, primaryRelations, ...plain } = values
  const seeds = seedsOf(url?.hosts ?? null, options, { weights, zones }, environment, defaults)
  const timeout = options.connectionTimeoutMillis
  return Object.freeze({
    ...plain,
    seeds,
    client: clientOptions(options),
    ssl: resolveSsl(options.ssl, environment, defaults),
    attributes: ATTRIBUTES[targetSessionAttrs],
    replication: replicationOf(discovery, seeds.length === 1),
    dns: dnsOf(discovery, seeds),
    patroni: isPatroniSource(discovery) ? Object.freeze({ ...discovery }) : null,
    isBoundGiven: read('maxLagMillis') !== undefined,
    names: namesOf({ primaryFunctions, replicaSafeFunctions, primaryRelations }),
    balance: typeof balance === 'function' ? balance : policies[balance],
    zone: zone?.trim() ?? null,
    patient: read('failoverTimeoutMillis') !== undefined,
    connectionTimeoutMillis: typeof timeout === 'number' && timeout > 0 ? timeout : null,
    requireAuth: requireAuth === undefined ? null : authOf(requireAuth),
    misspelt: misspelt([...Object.keys(raw), ...(url?.strange ?? [])]),
  })
}

/** What was given for an option: in the URL, else beside it, else in the environment. */
function givenFor(name: OptionName, raw: Options, own: Options, environment: Environment): unknown {
  switch (name) {
    case 'targetSessionAttrs':
      return raw[name] ?? own[name] ?? (environment.PGTARGETSESSIONATTRS || undefined)
    case 'requireAuth':
      return own[name] ?? raw[name] ?? (environment.PGREQUIREAUTH || undefined)
    case 'zone':
      return own[name] ?? raw[name] ?? (environment.PGHERD_ZONE || undefined)
    default:
      return own[name] ?? raw[name]
  }
}

/**
 * For a client that pgherd cannot keep from giving a password away (libpq's binding): servers that were found are listed and not
 * used, and `requireAuth` is refused, since it could not be kept.
 */
export function withoutDiscovered(config: Config): Config {
  if (config.requireAuth !== null) {
    refuse("option requireAuth needs pg's own client: pg.native does not tell what a server asks for")
  }
  return Object.freeze({ ...config, replication: { ...config.replication, use: false } })
}

function namesOf(given: NameOptions): NameOptions {
  const last = (names: readonly string[]) => names.map((name) => lastPart(name) ?? '')
  const primaryFunctions = last(given.primaryFunctions)
  const replicaSafeFunctions = last(given.replicaSafeFunctions)
  const both = primaryFunctions.find((name) => replicaSafeFunctions.includes(name))
  if (both !== undefined)
    refuse(`options primaryFunctions and replicaSafeFunctions both list '${both}'; a function can be in one`)
  return { primaryFunctions, replicaSafeFunctions, primaryRelations: last(given.primaryRelations) }
}

/** `{ ...options }` loses a password that pg has made non-enumerable, as in an options object taken from another pool. */
function copied(options: Options): Options {
  return 'password' in options ? { ...options, password: options.password } : { ...options }
}

function replicationOf(discovery: Values['discovery'], single: boolean): Config['replication'] {
  const named = discovery === 'replication' || isReplicationSource(discovery)
  const settings = isReplicationSource(discovery) ? discovery : {}
  return { use: named || (single && discovery === undefined), settings }
}

function dnsOf(discovery: Values['discovery'], seeds: readonly Seed[]): DnsSettings {
  if (!isDnsSource(discovery)) return {}
  const { servers, srv, intervalMillis } = discovery
  if (srv && !seeds.some(({ lookup }) => lookup)) {
    refuse('option discovery: dns({ srv }) needs the name of a service as a host; an address has no SRV records')
  }
  // What the application changes afterwards changes nothing here.
  return Object.freeze({ servers: servers === undefined ? undefined : [...servers], srv, intervalMillis })
}
