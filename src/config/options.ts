// The options of pgherd: one table, from which their types, checks and defaults are derived. docs/options.md explains each.

import { isIP } from 'node:net'
import { type BalancePolicy, type PolicyName, policies } from '../core/cluster/balance.js'
import { type Misspelt, meantBy } from '../core/spelling.js'
import type { DnsSource } from '../discovery/dns.js'
import type { PatroniSource } from '../discovery/patroni.js'
import type { ReplicationSource } from '../discovery/replication.js'
import { PgherdError } from '../errors.js'
import type { RequiredAuth } from '../pg/weak-auth.js'

/** An options object before any check. */
export type Options = Readonly<Record<string, unknown>>

interface Option<T> {
  /** The value where the option is absent. */
  readonly initial: T
  /** Completes the sentence "option … must be …". */
  readonly allowed: string
  /** Returns true for a `T` that the option may have. */
  readonly accepts: (value: unknown) => boolean
}

export type Attributes = 'any' | 'primary' | 'standby'

/** libpq's words for targetSessionAttrs, with pgherd's word for each. */
export const ATTRIBUTES = {
  any: 'any',
  'prefer-standby': 'any',
  primary: 'primary',
  'read-write': 'primary',
  standby: 'standby',
  'read-only': 'standby',
} as const satisfies Record<string, Attributes>

export type TargetSessionAttrs = keyof typeof ATTRIBUTES

const AUTH_WORDS = ['scram-sha-256', 'md5', 'password', 'gss', 'sspi', 'none'] as const

type OnDiscover = (node: { readonly host: string; readonly port: number }) => boolean

/** The comment of an entry is what editors show for the option: HerdOptions takes it over. */
export const OPTIONS = {
  /** libpq's words. Default `any`: reads are routed, writes go to the primary. */
  targetSessionAttrs: option<TargetSessionAttrs>(
    'any',
    quoted(Object.keys(ATTRIBUTES)).join(', '),
    (value) => typeof value === 'string' && Object.hasOwn(ATTRIBUTES, value)
  ),
  /** Where replicas are found beside the configured hosts. Default: from a single configured host's pg_stat_replication. */
  discovery: option<'dns' | 'replication' | ReplicationSource | DnsSource | PatroniSource | undefined>(
    undefined,
    "'dns', 'replication', replication({ address }), dns({ servers, srv, intervalMillis }) or patroni({ urls, fromHosts, port })",
    (value) =>
      value === 'dns' ||
      value === 'replication' ||
      [isReplicationSource, isDnsSource, isPatroniSource].some((is) => is(value))
  ),
  /** The oldest a read may be, in milliseconds. Default 1000. `0`: all reads on the primary; `Infinity`: any replica. */
  maxLagMillis: millis(1000, 0),
  /** A second bound, in bytes of WAL; both must hold. Default `Infinity`. */
  maxLagBytes: option<number>(
    Infinity,
    'a number of bytes of at least 0, or Infinity',
    (value) => typeof value === 'number' && value >= 0
  ),
  /** While no primary can be reached, reads may be this old, in milliseconds. Default 30000. */
  maxStaleMillis: millis(30_000, 0),
  /**
   * `pool` (default): a read sees every write acknowledged through this pool. `session`: every write of its own
   * `pool.session()`, and no other. `off`: only the lag bound counts.
   */
  readYourWrites: oneOf('pool', 'session', 'off'),
  /** May plain reads and READ ONLY transactions on clients of connect() borrow a replica? Default true. */
  routeClients: yesOrNo(true),
  /** Do plain reads of a replica share a few of its connections, each sent without waiting for the one before? Default true. */
  pipelineReads: yesOrNo(true),
  /** Spans show the text of statements, with `?` for every literal and parameter. Default false. */
  traceQueryText: yesOrNo(false),
  /** No replica qualifies: ask the primary (default), or reject with PGHERD_NO_REPLICA. */
  whenStale: oneOf('primary', 'error'),
  /** `observe`: everything goes to the primary, and `pool.decisions()` tells what would have gone where. */
  routing: oneOf('on', 'observe'),
  /** Functions that must run on the primary, whatever the catalogue says: names without a schema, or with one that is ignored. */
  primaryFunctions: names(),
  /** Functions that may run on a replica, whatever the catalogue or pgherd's own lists say. */
  replicaSafeFunctions: names(),
  /** Tables and views that must be read on the primary. */
  primaryRelations: names(),
  /** The zone that this process is in: reads go to replicas there while one of them can serve. Default: PGHERD_ZONE. */
  zone: option<string | undefined>(
    undefined,
    'the name of one zone, without a comma (those of the hosts stand in zones)',
    (value) => typeof value === 'string' && /^[^,]*[^,\s][^,]*$/.test(value)
  ),
  /** The zone of each host, in the order of the hosts, or one for all: a comma list or an array. */
  zones: option<string | readonly string[] | undefined>(
    undefined,
    'a zone for all hosts, or one for each: a comma list or an array of texts',
    (value) => zonesOf(value) !== null
  ),
  /**
   * The share of reads of each host, in the order of the hosts, or one for all: a comma list or an array. 0: no reads, unless
   * nothing else can serve. Default 1.
   */
  weights: option<number | string | readonly number[] | undefined>(
    undefined,
    'a number of at least 0 for all hosts, or one for each: a comma list or an array of numbers',
    (value) => weightsOf(value) !== null
  ),
  /** How one of several fit replicas is chosen. Default `leastInFlight`. */
  balance: option<PolicyName | BalancePolicy>(
    'leastInFlight',
    "'leastInFlight' or a function (candidates, moment) => node",
    (value) => typeof value === 'function' || Object.hasOwn(policies, String(value))
  ),
  /**
   * A read that a replica has not answered after so many milliseconds is sent to a second replica as well, and the first answer counts.
   * At most 5 % of reads are. Default `Infinity`: none is.
   */
  hedgeMillis: millis(Infinity, 1),
  /** Base of the probe loop, in milliseconds, ±20 %. Default 300. */
  monitorIntervalMillis: millis(300, 10, 60_000),
  /** How long a statement may wait while no primary is known, in milliseconds. Default 30000. */
  failoverTimeoutMillis: millis(30_000, 0),
  /** How many statements may wait for a primary at once. Default 1000. */
  failoverQueue: option<number>(
    1000,
    'a whole number of at least 0, or Infinity',
    (value) => value === Infinity || (Number.isInteger(value) && Number(value) >= 0)
  ),
  /** How long a node may answer nothing at all before it counts as down, in milliseconds. Default 3000. */
  silentMillis: millis(3000, 50, 600_000),
  /** Use only insert positions for the lag bound: a proof for asynchronous commits too, at the price of older bounds. */
  strictAsyncCommit: yesOrNo(false),
  /**
   * libpq's words for what a server may ask of a login, separated by commas: `scram-sha-256`, `md5`, `password`, `none`; each
   * with `!` in front: anything but these. Default: anything; a discovered server may never ask for `password` or `md5`.
   */
  requireAuth: option<string | undefined>(
    undefined,
    `a list of ${quoted(AUTH_WORDS).join(', ')}, or of these with ! in front of each`,
    (value) => typeof value === 'string' && authOf(value) !== null
  ),
  /** May this discovered address be used? Configured ones are not asked about. */
  onDiscover: option<OnDiscover>(
    () => true,
    'a function (node) => boolean',
    (value) => typeof value === 'function'
  ),
}

type Table = typeof OPTIONS
export type OptionName = keyof Table

/** The value of every option, checked, or its default. */
export type Values = { readonly [K in OptionName]: Table[K]['initial'] }

type Given = { -readonly [K in OptionName]?: Table[K]['initial'] | undefined }

/** What pgherd adds to pg.Pool's options. Every pg option keeps its name, meaning and default. */
export interface HerdOptions extends Given {
  /** One host, a comma list as in libpq, or an array. */
  host?: string | readonly string[] | undefined
  /** One port for all hosts, or one per host. */
  port?: number | string | readonly number[] | undefined
}

function option<T>(initial: T, allowed: string, accepts: (value: unknown) => boolean): Option<T> {
  return { initial, allowed, accepts }
}

function millis(initial: number, least: number, most = Infinity): Option<number> {
  const allowed = `a number of milliseconds of at least ${least}${most === Infinity ? ', or Infinity' : ''}`
  return option(initial, allowed, (value) => typeof value === 'number' && value >= least && value <= most)
}

function oneOf<const Word extends string>(initial: Word, ...others: readonly Word[]): Option<Word> {
  const words: readonly unknown[] = [initial, ...others]
  return option(initial, quoted([initial, ...others]).join(' or '), (value) => words.includes(value))
}

function yesOrNo(initial: boolean): Option<boolean> {
  return option(initial, 'true or false', (value) => typeof value === 'boolean')
}

function names(): Option<readonly string[]> {
  return option<readonly string[]>(
    [],
    "an array of names as SQL has them, such as ['touch', 'app.\"Touch\"']",
    (value) => Array.isArray(value) && value.every((name) => typeof name === 'string' && lastPart(name) !== null)
  )
}

function quoted(words: readonly string[]): string[] {
  return words.map((word) => `'${word}'`)
}

export function isOption(name: string): name is OptionName {
  return Object.hasOwn(OPTIONS, name)
}

/**
 * pg's own options, of its pool (pg-pool/index.js), its client (pg/lib/client.js) and its parameters of a connection
 * (pg/lib/connection-parameters.js).
 */
const OF_PG: ReadonlySet<string> = new Set([
  ...['connectionString', 'user', 'password', 'host', 'port', 'database', 'ssl', 'sslnegotiation', 'options'],
  ...['application_name', 'fallback_application_name', 'client_encoding', 'replication', 'binary', 'types', 'stream'],
  ...['statement_timeout', 'lock_timeout', 'query_timeout', 'idle_in_transaction_session_timeout', 'pipeline'],
  ...['connectionTimeoutMillis', 'idleTimeoutMillis', 'keepAlive', 'keepAliveInitialDelayMillis', 'connection'],
  ...['max', 'min', 'maxUses', 'maxLifetimeSeconds', 'allowExitOnIdle', 'poolSize', 'log', 'Client', 'Promise'],
  ...['onConnect', 'verify', 'enableChannelBinding', 'scramMaxIterations'],
])

/** Names that are no option of pg or pgherd, and look like one of pgherd's. */
export function misspelt(names: readonly string[]): readonly Misspelt[] {
  return names.flatMap((asked) => {
    const meant = OF_PG.has(asked) || isOption(asked) ? null : meantBy(asked, Object.keys(OPTIONS))
    return meant === null ? [] : [{ asked, meant }]
  })
}

/** Checks what was given for each option. Only `undefined` counts as absent. */
export function valuesOf(given: (name: OptionName) => unknown): Values {
  const names = Object.keys(OPTIONS).filter(isOption)
  return Object.fromEntries(names.map((name) => [name, checked(name, given(name))])) as Values
}

function checked(name: OptionName, given: unknown): unknown {
  const { initial, allowed, accepts } = OPTIONS[name]
  if (given === undefined) return initial
  if (!accepts(given)) refuse(`option ${name} must be ${allowed}, not ${shown(given)}`)
  return given
}

/** A word, a number or a boolean of a URL, as the option takes it. The check of the option refuses everything else. */
export function fromText(name: OptionName, text: unknown): unknown {
  const { initial, accepts } = OPTIONS[name]
  if (typeof initial === 'object' || typeof initial === 'function') {
    refuse(`option ${name} cannot stand in connectionString: give it beside that`)
  }
  if (typeof text !== 'string' || accepts(text)) return text
  if (text === 'true' || text === 'false') return text === 'true'
  return /^(?:\d+(?:\.\d+)?|Infinity)$/.test(text) ? Number(text) : text
}

export function refuse(message: string): never {
  throw new PgherdError('PGHERD_CONFIG', message)
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : typeof value === 'object' ? 'an object' : String(value)
}

export function isReplicationSource(value: unknown): value is ReplicationSource {
  const source = value as Partial<ReplicationSource> | null
  if (typeof source !== 'object' || source?.source !== 'replication') return false
  return source.address === undefined || typeof source.address === 'function'
}

export function isDnsSource(value: unknown): value is DnsSource {
  const source = value as Partial<DnsSource> | null
  if (typeof source !== 'object' || source?.source !== 'dns') return false
  const { servers, srv, intervalMillis } = source
  const isInterval = typeof intervalMillis === 'number' && intervalMillis >= 1000
  return (
    (servers === undefined || (Array.isArray(servers) && servers.length > 0 && servers.every(isNameServer))) &&
    (srv === undefined ||
      typeof srv === 'boolean' ||
      (typeof srv === 'string' && /^[^.\s]+(?:\.[^.\s]+)*$/.test(srv))) &&
    (intervalMillis === undefined || isInterval)
  )
}

export function isPatroniSource(value: unknown): value is PatroniSource {
  const source = value as Partial<PatroniSource> | null
  if (typeof source !== 'object' || source?.source !== 'patroni') return false
  const { urls, fromHosts, port, tls } = source
  const isUrls = urls === undefined ? fromHosts === true : Array.isArray(urls) && urls.length > 0 && urls.every(isHttp)
  return (
    isUrls &&
    (fromHosts === undefined || typeof fromHosts === 'boolean') &&
    (port === undefined || (Number.isInteger(port) && port > 0 && port <= 65_535)) &&
    (tls === undefined || (typeof tls === 'object' && tls !== null))
  )
}

function isHttp(value: unknown): boolean {
  return typeof value === 'string' && /^https?:\/\//i.test(value) && URL.canParse(value)
}

/** As Node's dns.setServers() takes it: an address, and perhaps a port. */
function isNameServer(value: unknown): boolean {
  const [, v6, v4, port = '53'] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(String(value)) ?? []
  return typeof value === 'string' && (isIP(value) !== 0 || (isIP(v6 ?? v4 ?? '') !== 0 && Number(port) <= 65_535))
}

/** The last part of a name, as the server knows it: folded unless quoted. Null: the text is no name. */
export function lastPart(name: string): string | null {
  const [, quoted, plain] =
    /^(?:(?:"(?:[^"]|"")+"|[^".,\s()]+)\.)*(?:"((?:[^"]|"")+)"|([^".,\s()]+))$/.exec(name.trim()) ?? []
  if (quoted !== undefined) return quoted.replaceAll('""', '"')
  return plain?.replace(/[A-Z]/g, (letter) => letter.toLowerCase()) ?? null
}

/** Null: something is no weight. */
export function weightsOf(given: unknown): readonly number[] | null {
  const words = typeof given === 'string' ? given.split(',') : null
  const weights = words?.map((word) => (word.trim() === '' ? Number.NaN : Number(word))) ?? [given].flat()
  return weights.length > 0 && weights.every(isWeight) ? weights : null
}

export function isWeight(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value !== Infinity
}

/** Null: something is no zone. An empty text stands for a zone that is not known. */
export function zonesOf(given: unknown): readonly string[] | null {
  const zones: unknown = typeof given === 'string' ? given.split(',') : given
  if (!Array.isArray(zones) || zones.length === 0) return null
  return zones.every((zone) => typeof zone === 'string') ? zones.map((zone) => zone.trim()) : null
}

/** As libpq reads it (its documentation, `require_auth`): a list of what is allowed, or of what is not. Null: neither. */
export function authOf(text: string): RequiredAuth | null {
  const words = text.split(',').map((word) => word.trim())
  const negated = words.every((word) => word.startsWith('!'))
  const named = new Set(negated ? words.map((word) => word.slice(1)) : words)
  const isWord = (word: string) => AUTH_WORDS.some((each) => each === word)
  if (named.size !== words.length || ![...named].every(isWord)) return null
  return new Set(AUTH_WORDS.filter((word) => named.has(word) !== negated))
}
