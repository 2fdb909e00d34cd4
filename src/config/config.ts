// Options, environment and multi-host URLs -> one frozen, fully defaulted Config. Foreign words (standby, read-write) end
// here. Refuses what cannot work, naming the option and what it may be. Does no I/O and never prints a value of a secret.

import { isIP } from 'node:net'
import { parse } from 'pg-connection-string'
import { keyOf, type NodeAddress } from '../core/cluster/address.js'
import { type BalancePolicy, type PolicyName, policies } from '../core/cluster/balance.js'
import type { NameOptions } from '../core/sql/definitions.js'
import type { ReplicationSettings, ReplicationSource } from '../discovery/replication.js'
import { PgherdError } from '../errors.js'
import { ownPassword } from '../pg/login.js'
import type { RequiredAuth } from '../pg/weak-auth.js'

export type TargetSessionAttrs = 'any' | 'prefer-standby' | 'primary' | 'read-write' | 'standby' | 'read-only'

/** What pgherd adds to pg.Pool's options. Every pg option keeps its name, meaning and default. */
export interface HerdOptions {
  /** One host, a comma list as in libpq, or an array. */
  host?: string | readonly string[] | undefined
  /** One port for all hosts, or one per host. */
  port?: number | string | readonly number[] | undefined
  /** libpq's words. Default `any`: reads are routed, writes go to the primary. */
  targetSessionAttrs?: TargetSessionAttrs | undefined
  /** Where replicas are found beside the configured hosts. Default: from a single configured host's pg_stat_replication. */
  discovery?: 'dns' | 'replication' | ReplicationSource | undefined
  /** The oldest a read may be, in milliseconds. Default 1000. `0`: all reads on the primary; `Infinity`: any replica. */
  maxLagMillis?: number | undefined
  /** A second bound, in bytes of WAL; both must hold. Default `Infinity`. */
  maxLagBytes?: number | undefined
  /** While no primary can be reached, reads may be this old, in milliseconds. Default 30000. */
  maxStaleMillis?: number | undefined
  /**
   * `pool` (default): a read sees every write acknowledged through this pool. `session`: every write of its own
   * `pool.session()`, and no other. `off`: only the lag bound counts.
   */
  readYourWrites?: 'pool' | 'session' | 'off' | undefined
  /** May plain reads and READ ONLY transactions on clients of connect() borrow a replica? Default true. */
  routeClients?: boolean | undefined
  /** Spans show the text of statements, with `?` for every literal and parameter. Default false. */
  traceQueryText?: boolean | undefined
  /** No replica qualifies: ask the primary (default), or reject with PGHERD_NO_REPLICA. */
  whenStale?: 'primary' | 'error' | undefined
  /** `observe`: everything goes to the primary, and `pool.decisions()` tells what would have gone where. */
  routing?: 'on' | 'observe' | undefined
  /** Functions that must run on the primary, whatever the catalogue says: names without a schema, or with one that is ignored. */
  primaryFunctions?: readonly string[] | undefined
  /** Functions that may run on a replica, whatever the catalogue or pgherd's own lists say. */
  replicaSafeFunctions?: readonly string[] | undefined
  /** Tables and views that must be read on the primary. */
  primaryRelations?: readonly string[] | undefined
  /** How one of several fit replicas is chosen. Default `leastInFlight`. */
  balance?: PolicyName | BalancePolicy | undefined
  /** Base of the probe loop, in milliseconds, ±20 %. Default 300. */
  monitorIntervalMillis?: number | undefined
  /** How long a statement may wait while no primary is known, in milliseconds. Default 30000. */
  failoverTimeoutMillis?: number | undefined
  /** How many statements may wait for a primary at once. Default 1000. */
  failoverQueue?: number | undefined
  /** How long a node may answer nothing at all before it counts as down, in milliseconds. Default 3000. */
  silentMillis?: number | undefined
  /** Use only insert positions for the lag bound: a proof for asynchronous commits too, at the price of older bounds. */
  strictAsyncCommit?: boolean | undefined
  /**
   * libpq's words for what a server may ask of a login, separated by commas: `scram-sha-256`, `md5`, `password`, `none`; each
   * with `!` in front: anything but these. Default: anything; a discovered server may never ask for `password` or `md5`.
   */
  requireAuth?: string | undefined
  /** May this discovered address be used? Configured ones are not asked about. */
  onDiscover?: ((node: { readonly host: string; readonly port: number }) => boolean) | undefined
}

export type Attributes = 'any' | 'primary' | 'standby'

export interface Seed {
  readonly host: string
  readonly port: number
  /** A name whose addresses are looked up; otherwise it is dialed as it stands. */
  readonly lookup: boolean
}

export interface Config {
  readonly seeds: readonly Seed[]
  /** pg's own options without host, port, connectionString and ssl; the password included and enumerable. */
  readonly client: Readonly<Record<string, unknown>>
  readonly ssl: boolean | Readonly<Record<string, unknown>>
  readonly attributes: Attributes
  readonly replication: { readonly use: boolean; readonly settings: ReplicationSettings }
  readonly maxLagMillis: number
  /** The user chose the lag bound: it is kept also where nothing can prove it. */
  readonly isBoundGiven: boolean
  readonly maxLagBytes: number
  readonly maxStaleMillis: number
  readonly readYourWrites: 'pool' | 'session' | 'off'
  readonly routeClients: boolean
  readonly traceQueryText: boolean
  readonly whenStale: 'primary' | 'error'
  readonly routing: 'on' | 'observe'
  readonly names: NameOptions
  readonly balance: BalancePolicy
  readonly monitorIntervalMillis: number
  readonly failoverTimeoutMillis: number
  /** The user chose failoverTimeoutMillis, so even a single server's connect errors are waited out. */
  readonly patient: boolean
  readonly connectionTimeoutMillis: number | null
  readonly failoverQueue: number
  readonly silentMillis: number
  readonly strictAsyncCommit: boolean
  readonly onDiscover: (node: { readonly host: string; readonly port: number }) => boolean
  /** What a server may ask of a login; null: anything. */
  readonly requireAuth: RequiredAuth | null
}

type Options = Readonly<Record<string, unknown>>
export type Environment = Readonly<Record<string, string | undefined>>
/** pg.defaults, as far as addresses are concerned. */
export interface Defaults {
  readonly host?: string | undefined
  readonly port?: number | string | undefined
  readonly ssl?: unknown
}

/** Every option of ours: what it may be, how that is checked, and what it is when absent. */
interface Rule {
  readonly initial: unknown
  readonly allowed: string
  readonly accepts: (value: unknown) => boolean
}

const millis = (initial: number, least: number, most = Infinity): Rule => ({
  initial,
  allowed: `a number of milliseconds of at least ${least}${most === Infinity ? ', or Infinity' : ''}`,
  accepts: (value) => typeof value === 'number' && value >= least && value <= most,
})
const oneOf = (initial: string, ...others: readonly string[]): Rule => ({
  initial,
  allowed: [initial, ...others].map((word) => `'${word}'`).join(' or '),
  accepts: (value) => typeof value === 'string' && [initial, ...others].includes(value),
})

const WORDS: Readonly<Record<TargetSessionAttrs, Attributes>> = {
  any: 'any',
  'prefer-standby': 'any',
  primary: 'primary',
  'read-write': 'primary',
  standby: 'standby',
  'read-only': 'standby',
}

const NAMES: Rule = {
  initial: [],
  allowed: "an array of names as SQL has them, such as ['touch', 'app.\"Touch\"']",
  accepts: (value) =>
    Array.isArray(value) && value.every((name) => typeof name === 'string' && lastPart(name) !== null),
}

const AUTH_WORDS = ['scram-sha-256', 'md5', 'password', 'gss', 'sspi', 'none'] as const

/** As libpq reads it (its documentation, `require_auth`): either a list of what is allowed, or of what is not. Null: neither. */
function authOf(text: string): RequiredAuth | null {
  const words = text.split(',').map((word) => word.trim())
  const negated = words.every((word) => word.startsWith('!'))
  const named = new Set(negated ? words.map((word) => word.slice(1)) : words)
  const isWord = (word: string) => (AUTH_WORDS as readonly string[]).includes(word)
  if (named.size !== words.length || ![...named].every(isWord)) return null
  return new Set(AUTH_WORDS.filter((word) => named.has(word) !== negated))
}

const RULES = {
  maxLagMillis: millis(1000, 0),
  maxLagBytes: {
    initial: Infinity,
    allowed: 'a number of bytes of at least 0, or Infinity',
    accepts: (value) => typeof value === 'number' && value >= 0,
  },
  maxStaleMillis: millis(30_000, 0),
  readYourWrites: oneOf('pool', 'session', 'off'),
  traceQueryText: { initial: false, allowed: 'true or false', accepts: (value) => typeof value === 'boolean' },
  routeClients: { initial: true, allowed: 'true or false', accepts: (value) => typeof value === 'boolean' },
  whenStale: oneOf('primary', 'error'),
  routing: oneOf('on', 'observe'),
  primaryFunctions: NAMES,
  replicaSafeFunctions: NAMES,
  primaryRelations: NAMES,
  balance: {
    initial: 'leastInFlight',
    allowed: "'leastInFlight' or a function (candidates, moment) => node",
    accepts: (value) => typeof value === 'function' || Object.hasOwn(policies, String(value)),
  },
  monitorIntervalMillis: millis(300, 10, 60_000),
  failoverTimeoutMillis: millis(30_000, 0),
  failoverQueue: {
    initial: 1000,
    allowed: 'a whole number of at least 0, or Infinity',
    accepts: (value) => value === Infinity || (Number.isInteger(value) && Number(value) >= 0),
  },
  silentMillis: millis(3000, 50, 600_000),
  strictAsyncCommit: { initial: false, allowed: 'true or false', accepts: (value) => typeof value === 'boolean' },
  requireAuth: {
    initial: undefined,
    allowed: `a list of ${AUTH_WORDS.map((word) => `'${word}'`).join(', ')}, or of these with ! in front of each`,
    accepts: (value) => typeof value === 'string' && authOf(value) !== null,
  },
  onDiscover: {
    initial: () => true,
    allowed: 'a function (node) => boolean',
    accepts: (value) => typeof value === 'function',
  },
  targetSessionAttrs: {
    initial: 'any',
    allowed: Object.keys(WORDS)
      .map((word) => `'${word}'`)
      .join(', '),
    accepts: (value) => typeof value === 'string' && Object.hasOwn(WORDS, value),
  },
  discovery: {
    initial: undefined,
    allowed: "'dns', 'replication' or replication({ address })",
    accepts: (value) => value === 'dns' || value === 'replication' || isReplicationSource(value),
  },
} as const satisfies Record<string, Rule>

function isReplicationSource(value: unknown): value is ReplicationSource {
  const source = value as Partial<ReplicationSource> | null
  if (typeof source !== 'object' || source?.source !== 'replication') return false
  return source.address === undefined || typeof source.address === 'function'
}

function refuse(message: string): never {
  throw new PgherdError('PGHERD_CONFIG', message)
}

/** The option's value, checked, or its default. Only `undefined` counts as absent. */
function chosen(options: Options, name: keyof typeof RULES): unknown {
  const value = options[name]
  const rule: Rule = RULES[name]
  if (value === undefined) return rule.initial
  if (!rule.accepts(value)) refuse(`option ${name} must be ${rule.allowed}, not ${shown(value)}`)
  return value
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : typeof value === 'object' ? 'an object' : String(value)
}

/** pg throws a TypeError for these, too, but shows what it was given, and a connection string has a password in it. */
function optionsOf(given: unknown): Options {
  if (typeof given === 'object' && given !== null && !(given instanceof URL)) return given as Options
  const error = new TypeError("new Pool() takes an object of options: { connectionString: 'postgres://...' }")
  throw Object.assign(error, { code: 'PGHERD_CONFIG', outcome: 'not-sent' })
}

/** Reads everything once. `given` is the user's own options object, before pg hides the password in its copy. */
export function resolveConfig(given: unknown, environment: Environment, defaults: Defaults): Config {
  const raw = optionsOf(given)
  const url = raw.connectionString ? parseUrl(raw.connectionString) : null
  // As pg does: whatever the connection string says beats the option beside it.
  const options: Options = { ...copied(raw), ...url?.options }
  const own: Options = url === null ? raw : Object.assign(Object.create(raw), url.own)
  const word = raw.targetSessionAttrs ?? own.targetSessionAttrs ?? (environment.PGTARGETSESSIONATTRS || undefined)
  const attributes = WORDS[chosen({ targetSessionAttrs: word }, 'targetSessionAttrs') as TargetSessionAttrs]
  const seeds = seedsOf(url?.hosts ?? null, options, environment, defaults)
  const requireAuth = chosen(
    { requireAuth: own.requireAuth ?? (environment.PGREQUIREAUTH || undefined) },
    'requireAuth'
  )
  const balance = chosen(own, 'balance') as PolicyName | BalancePolicy
  const timeout = options.connectionTimeoutMillis
  return Object.freeze({
    seeds,
    client: clientOptions(options),
    ssl: resolveSsl(options.ssl, environment, defaults),
    attributes,
    replication: replicationOf(chosen(own, 'discovery') as HerdOptions['discovery'], seeds.length === 1),
    maxLagMillis: chosen(own, 'maxLagMillis') as number,
    isBoundGiven: own.maxLagMillis !== undefined,
    maxLagBytes: chosen(own, 'maxLagBytes') as number,
    maxStaleMillis: chosen(own, 'maxStaleMillis') as number,
    readYourWrites: chosen(own, 'readYourWrites') as 'pool' | 'session' | 'off',
    routeClients: chosen(own, 'routeClients') as boolean,
    traceQueryText: chosen(own, 'traceQueryText') as boolean,
    whenStale: chosen(own, 'whenStale') as 'primary' | 'error',
    routing: chosen(own, 'routing') as 'on' | 'observe',
    names: namesOf(own),
    balance: typeof balance === 'function' ? balance : policies[balance],
    monitorIntervalMillis: chosen(own, 'monitorIntervalMillis') as number,
    failoverTimeoutMillis: chosen(own, 'failoverTimeoutMillis') as number,
    patient: own.failoverTimeoutMillis !== undefined,
    connectionTimeoutMillis: typeof timeout === 'number' && timeout > 0 ? timeout : null,
    failoverQueue: chosen(own, 'failoverQueue') as number,
    silentMillis: chosen(own, 'silentMillis') as number,
    strictAsyncCommit: chosen(own, 'strictAsyncCommit') as boolean,
    onDiscover: chosen(own, 'onDiscover') as Config['onDiscover'],
    requireAuth: requireAuth === undefined ? null : authOf(requireAuth as string),
  })
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

/** The last part of a name, as the server knows it: folded unless quoted. Null: that is no name. */
function lastPart(name: string): string | null {
  const [, quoted, plain] =
    /^(?:(?:"(?:[^"]|"")+"|[^".,\s()]+)\.)*(?:"((?:[^"]|"")+)"|([^".,\s()]+))$/.exec(name.trim()) ?? []
  if (quoted !== undefined) return quoted.replaceAll('""', '"')
  return plain?.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) ?? null
}

function namesOf(own: Options): NameOptions {
  const names = (option: keyof NameOptions) =>
    (chosen(own, option) as readonly string[]).map((name) => lastPart(name) ?? '')
  const primaryFunctions = names('primaryFunctions')
  const replicaSafeFunctions = names('replicaSafeFunctions')
  const both = primaryFunctions.find((name) => replicaSafeFunctions.includes(name))
  if (both !== undefined)
    refuse(`options primaryFunctions and replicaSafeFunctions both list '${both}'; a function can be in one`)
  return { primaryFunctions, replicaSafeFunctions, primaryRelations: names('primaryRelations') }
}

/** `{ ...options }` loses a password that pg has made non-enumerable, as in an options object taken from another pool. */
function copied(options: Options): Options {
  return 'password' in options ? { ...options, password: options.password } : { ...options }
}

function replicationOf(discovery: HerdOptions['discovery'], single: boolean): Config['replication'] {
  const named = discovery === 'replication' || isReplicationSource(discovery)
  const settings = isReplicationSource(discovery) ? discovery : {}
  return { use: named || (single && discovery !== 'dns'), settings }
}

/** Names that only we read, or that would fight with the node's own host and port. */
const NOT_FOR_CLIENTS: ReadonlySet<string> = new Set([
  ...Object.keys(RULES),
  ...['connectionString', 'host', 'port', 'ssl', 'target_session_attrs'],
])

function clientOptions(options: Options): Readonly<Record<string, unknown>> {
  const named = Object.fromEntries(Object.entries(options).filter(([name]) => !NOT_FOR_CLIENTS.has(name)))
  return Object.freeze('password' in named ? { ...named, password: ownPassword(named.password) } : named)
}

interface Url {
  /** What pg reads in a URL, as pg's parser gives it. */
  readonly options: Options
  /** Options of pgherd that stand in the URL. */
  readonly own: Options
  /** Several hosts; null: at most one, which `options.host` names. */
  readonly hosts: readonly HostPort[] | null
}

interface HostPort {
  readonly host: string
  readonly port: string
}

const AUTHORITY = /^([a-z][a-z0-9+.-]*:\/\/)([^/?#]*)(.*)$/is

/** pg's own parser reads everything but a list of hosts, which no URL parser takes: that list is cut out first. */
function parseUrl(given: unknown): Url {
  if (typeof given !== 'string') refuse('option connectionString must be a string: of a URL, its href')
  const text = given
  const [, scheme, authority, rest = ''] = AUTHORITY.exec(text) ?? []
  const at = authority?.lastIndexOf('@') ?? -1
  const list = authority?.slice(at + 1) ?? ''
  // libpq's `host=a,b dbname=shop`, or a bare list: pg's parser takes it for a database at a host named `base`.
  if (scheme === undefined && LIST_WITHOUT_SCHEME.test(text)) refuse(`connectionString ${NO_URL}`)
  if (scheme === undefined || authority === undefined || !list.includes(',')) {
    return { ...wordsOf(parse(text) as unknown as Options), hosts: null }
  }
  // Behind a / that is not written as %2F a password would stand where hosts are looked for, be dialed and be shown.
  if (rest.includes('@')) refuse(`connectionString ${AMBIGUOUS}`)
  const hosts = list.split(',').map(hostPort)
  const single = `${scheme}${authority.slice(0, at + 1)}one-of-many${rest}`
  return { ...wordsOf(parse(single) as unknown as Options), hosts }
}

/** A comma before any path or parameter. */
const LIST_WITHOUT_SCHEME = /^(?!socket:)[^/?#]*,/i
const NO_URL = 'lists hosts and is no URL: write it as postgres://user@db-a,db-b:5433/database'

const AMBIGUOUS =
  'has an @ behind the first /, ? or #, so it does not tell where its hosts begin. Write these characters of a user, a ' +
  'password, a database or a parameter as %40 (@), %2F (/), %3F (?) and %23 (#)'

/**
 * The words that pg.Client takes from a URL (pg/lib/connection-parameters.js). pg passes by all others: `max`, `log` and the
 * like are options of the pool's, and pg.Pool reads no URL.
 */
const URL_WORDS: ReadonlySet<string> = new Set([
  ...[
    'user',
    'password',
    'host',
    'port',
    'database',
    'options',
    'ssl',
    'sslnegotiation',
    'client_encoding',
    'replication',
  ],
  ...['application_name', 'fallback_application_name', 'statement_timeout', 'lock_timeout', 'query_timeout'],
  'idle_in_transaction_session_timeout',
])

function wordsOf(parsed: Options): Pick<Url, 'options' | 'own'> {
  const entries = Object.entries(parsed)
  const own = entries.filter(([name]) => Object.hasOwn(RULES, name)).map(([name, value]) => [name, typed(name, value)])
  // libpq's spellings.
  if (typeof parsed.target_session_attrs === 'string') own.push(['targetSessionAttrs', parsed.target_session_attrs])
  if (typeof parsed.require_auth === 'string') own.push(['requireAuth', parsed.require_auth])
  return {
    options: Object.fromEntries(entries.filter(([name]) => URL_WORDS.has(name))),
    own: Object.fromEntries(own),
  }
}

/** A word, a number or a boolean, as the option takes it; what is none of them is refused when the option is checked. */
function typed(name: string, value: unknown): unknown {
  const { initial, accepts }: Rule = RULES[name as keyof typeof RULES]
  if (typeof initial === 'object' || typeof initial === 'function') {
    refuse(`option ${name} cannot stand in connectionString: give it beside that`)
  }
  if (typeof value !== 'string' || accepts(value)) return value
  if (value === 'true' || value === 'false') return value === 'true'
  return /^(?:\d+(?:\.\d+)?|Infinity)$/.test(value) ? Number(value) : value
}

/** A list of hosts stands in it, which no other reader of URLs takes. */
export function hasHosts(text: string): boolean {
  return parseUrl(text).hosts !== null
}

/** The same URL with one host. */
export function withHost(text: string, { host, port }: { readonly host: string; readonly port: number }): string {
  const [, scheme, authority = '', rest] = AUTHORITY.exec(text) ?? []
  const user = authority.slice(0, authority.lastIndexOf('@') + 1)
  return `${scheme}${user}${host.includes(':') ? `[${host}]` : host}:${port}${rest}`
}

const HOST_PORT = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d*))?$/

/** The text is not shown: where a URL lacks its hosts, a password may stand there. */
function hostPort(text: string, index: number): HostPort {
  const match = HOST_PORT.exec(text.trim())
  const host = match === null ? null : decoded(match[1] ?? match[2] ?? '')
  if (match === null || host === null) {
    refuse(
      `connectionString names a host that cannot be read, number ${index + 1} of its list (expected host or host:port)`
    )
  }
  return { host, port: match[3] ?? '' }
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text)
  } catch {
    return null
  }
}

function seedsOf(
  hosts: readonly HostPort[] | null,
  options: Options,
  environment: Environment,
  defaults: Defaults
): readonly Seed[] {
  const names = hosts?.map(({ host }) => host) ?? list(hostsOf(options.host) || environment.PGHOST || defaults.host)
  // With one host it is an unknown name, as with pg.
  if (hosts === null && names.length > 1 && names.some((name) => WITH_PORT.test(name))) {
    refuse(
      'a host in option host, or in PGHOST, has a port behind it: ports stand in option port, or write both in connectionString'
    )
  }
  const common = list(options.port || environment.PGPORT || defaults.port)
  if (common.length === 0) refuse('option port is an empty array; leave it out, or name a port for each host')
  if (common.length > 1 && common.length !== names.length) {
    refuse(`option port must be one port, or one for each of the ${names.length} hosts; ${common.length} were given`)
  }
  const seeds = names.map((name, i) => {
    const own = hosts?.[i]?.port
    return seedOf(name || 'localhost', own || common[i] || common[0] || '5432')
  })
  return [...new Map(seeds.map((seed) => [keyOf(seed), seed])).values()]
}

/** `db-a:5433`; an IPv6 address has more colons than one, and a path begins with a slash. */
const WITH_PORT = /^[^/:]+:\d*$/

function hostsOf(host: unknown): unknown {
  if (!Array.isArray(host)) return host
  if (host.length === 0) refuse('option host is an empty array; leave it out, or name at least one host')
  if (host.every((name) => typeof name === 'string')) return host
  return refuse('option host must be a host name, or an array of host names')
}

/** pg takes anything here, and a comma list is libpq's. */
function list(value: unknown): string[] {
  const items = Array.isArray(value) ? value : String(value ?? '').split(',')
  return items.map((item) => String(item).trim())
}

function seedOf(host: string, port: string): Seed {
  const number = Number(port)
  if (!/^\d+$/.test(port) || number > 65_535) refuse(`option port must be a number from 0 to 65535, not '${port}'`)
  // RFC 6761: localhost is this machine, whatever number of addresses it has. A path is a Unix socket.
  const literal = isIP(host) !== 0 || host.startsWith('/') || host === 'localhost'
  return { host, port: number, lookup: !literal }
}

/** pg's rules, kept: an absent option is PGSSLMODE's, 'true' and 'no-verify' are words. */
function resolveSsl(ssl: unknown, environment: Environment, defaults: Defaults): Config['ssl'] {
  if (ssl === undefined) return fromMode(environment.PGSSLMODE) ?? resolveSsl(defaults.ssl ?? false, {}, {})
  if (ssl === 'no-verify') return { rejectUnauthorized: false }
  if (typeof ssl === 'object' && ssl !== null) {
    // pg makes the key non-enumerable on the user's own object: a second pool from the same object would lose it.
    const { key } = ssl as { readonly key?: unknown }
    return key === undefined ? { ...ssl } : { ...ssl, key }
  }
  return Boolean(ssl)
}

function fromMode(mode: string | undefined): Config['ssl'] | null {
  switch (mode) {
    case 'prefer':
    case 'require':
    case 'verify-ca':
    case 'verify-full':
      return true
    case 'no-verify':
      return { rejectUnauthorized: false }
    case 'disable':
      return false
    default:
      return null
  }
}

/** What pg needs to dial this very node: one host, one port, no connectionString, the name that its certificate carries. */
export function clientConfigFor(config: Config, address: NodeAddress): Record<string, unknown> {
  const { host, port, servername } = address
  return { ...config.client, host, port, ssl: withServername(config.ssl, servername) }
}

/** A probe's own session: none of the application's limits, parsers or hooks reach it, and operators can tell it apart. */
export function probeConfigFor(config: Config, address: NodeAddress): Record<string, unknown> {
  const { user, password, database, stream, options, sslnegotiation, client_encoding } = config.client
  const { enableChannelBinding, scramMaxIterations } = config.client
  const session = { user, password, database, stream, options, sslnegotiation, client_encoding }
  const given = Object.entries({ ...session, enableChannelBinding, scramMaxIterations })
  const { host, port, servername } = address
  return {
    ...Object.fromEntries(given.filter(([, value]) => value !== undefined)),
    host,
    port,
    ssl: withServername(config.ssl, servername),
    application_name: 'pgherd probe',
  }
}

function withServername(ssl: Config['ssl'], servername: string | null): unknown {
  if (ssl === false || servername === null) return ssl === true || ssl === false ? ssl : { ...ssl }
  // As in pg, a host that was named is checked by that name, also where `ssl` has another: each of several hosts by its own.
  return ssl === true ? { servername } : { ...ssl, servername }
}
