// URLs and lists of hosts -> the addresses to start from, and the options that a URL carries. Refuses what cannot be read, and
// never shows a part of a URL: a password may stand in it.

import { isIP } from 'node:net'
import { parse } from 'pg-connection-string'
import { keyOf, type Traits, traitsOf } from '../core/cluster/address.js'
import { fromText, isOption, type OptionName, type Options, refuse, weightsOf, zonesOf } from './options.js'

export interface Seed extends Traits {
  readonly host: string
  readonly port: number
  /** A name whose addresses are looked up; otherwise it is dialed as it stands. */
  readonly lookup: boolean
}

export type Environment = Readonly<Record<string, string | undefined>>
/** pg.defaults, as far as addresses are concerned. */
export interface Defaults {
  readonly host?: string | undefined
  readonly port?: number | string | undefined
  readonly ssl?: unknown
}

export interface Url {
  /** What pg reads in a URL, as pg's parser gives it. */
  readonly options: Options
  /** Options of pgherd that stand in the URL. */
  readonly own: Options
  /** Several hosts; null: at most one, which `options.host` names. */
  readonly hosts: readonly HostPort[] | null
  /** Parameters of the URL that are neither pg's nor pgherd's. */
  readonly strange: readonly string[]
}

interface HostPort {
  readonly host: string
  readonly port: string
}

const AUTHORITY = /^([a-z][a-z0-9+.-]*:\/\/)([^/?#]*)(.*)$/is

/** pg's own parser reads everything but a list of hosts, which no URL parser takes: that list is cut out first. */
export function parseUrl(given: unknown): Url {
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

/** libpq's spellings of pgherd's options. */
const LIBPQ_WORDS: Readonly<Record<string, OptionName>> = {
  target_session_attrs: 'targetSessionAttrs',
  require_auth: 'requireAuth',
}

function wordsOf(parsed: Options): Omit<Url, 'hosts'> {
  const entries = Object.entries(parsed)
  const own = Object.fromEntries(
    entries.flatMap(([name, value]) => (isOption(name) ? [[name, fromText(name, value)]] : []))
  )
  for (const [name, option] of Object.entries(LIBPQ_WORDS)) {
    if (typeof parsed[name] === 'string') own[option] = parsed[name]
  }
  const strange = Object.keys(parsed).filter(
    (name) => !URL_WORDS.has(name) && !isOption(name) && !(name in LIBPQ_WORDS)
  )
  return { options: Object.fromEntries(entries.filter(([name]) => URL_WORDS.has(name))), own, strange }
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

/** What was given for all hosts, or for each. */
export interface Listed {
  readonly weights: unknown
  readonly zones: unknown
}

export function seedsOf(
  hosts: readonly HostPort[] | null,
  options: Options,
  { weights, zones }: Listed,
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
  const port = forEach(common, names.length, 'port')
  const weight = forEach(weights === undefined ? [] : (weightsOf(weights) ?? []), names.length, 'weight')
  const zone = forEach(zones === undefined ? [] : (zonesOf(zones) ?? []), names.length, 'zone')
  const seeds = names.map((name, i): Seed => {
    const seed = seedOf(name || 'localhost', hosts?.[i]?.port || port(i) || port(0) || '5432')
    const traits = { weight: weight(i), zone: zone(i) || undefined }
    return { ...seed, ...traitsOf(traits) }
  })
  return [...new Map(seeds.map((seed) => [keyOf(seed), seed])).values()]
}

/** The value of each host, where there is one for all or one for each. */
function forEach<T>(
  given: readonly T[],
  hosts: number,
  what: 'port' | 'weight' | 'zone'
): (index: number) => T | undefined {
  const name = what === 'port' ? what : `${what}s`
  if (given.length > 1 && given.length !== hosts) {
    refuse(`option ${name} must be one ${what}, or one for each of the ${hosts} hosts; ${given.length} were given`)
  }
  return (index) => (given.length === 1 ? given[0] : given[index])
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
