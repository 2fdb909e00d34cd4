// What `pgherd proxy` can be told: one table of keys, each with its flag, its default, and whether it may change while the proxy runs. A
// value is looked at where it was given, so that what is wrong with it names that place. Reads no file and no environment.

import { meantBy } from '../core/spelling.js'
import { entriesIn } from './ini.js'

type Kind =
  | { readonly is: 'text' }
  | { readonly is: 'url' }
  | { readonly is: 'port' }
  | { readonly is: 'endpoint' }
  | { readonly is: 'lag' }
  | { readonly is: 'seconds'; readonly least: number }
  | { readonly is: 'whole'; readonly least: number; readonly most?: number }
  | { readonly is: 'one'; readonly of: readonly string[] }

export interface Setting {
  /** Without its dashes; null: --listen, --trust and --tls-required say it, or the word without a dash. */
  readonly flag: string | null
  readonly kind: Kind
  /** '': it is not set. */
  readonly initial: string
  /** SIGHUP and RELOAD may change it. */
  readonly changes: boolean
}

const TEXT: Kind = { is: 'text' }
const SECONDS: Kind = { is: 'seconds', least: 0 }
const FROM_ONE: Kind = { is: 'seconds', least: 1 }
const count = (least: number, most = 2 ** 31 - 1): Kind => ({ is: 'whole', least, most })
const one = (...of: string[]): Kind => ({ is: 'one', of })
const setting = (flag: string | null, kind: Kind, initial: string, changes = true): Setting => ({
  flag,
  kind,
  initial,
  changes,
})

/** Under PgBouncer's names where they mean the same. */
export const SETTINGS = {
  url: setting(null, { is: 'url' }, '', false),
  listen_addr: setting(null, TEXT, '127.0.0.1', false),
  listen_port: setting(null, { is: 'port' }, '6432', false),
  auth_type: setting(null, one('scram-sha-256', 'trust'), 'scram-sha-256'),
  auth_file: setting('auth-file', TEXT, ''),
  auth_query: setting('auth-query', TEXT, ''),
  admin_users: setting('admin-users', TEXT, ''),
  stats_users: setting('stats-users', TEXT, ''),
  client_tls_sslmode: setting(null, one('disable', 'allow', 'prefer', 'require'), 'prefer'),
  client_tls_cert_file: setting('tls-cert', TEXT, ''),
  client_tls_key_file: setting('tls-key', TEXT, ''),
  pool_mode: setting('pool-mode', one('transaction', 'session', 'statement'), 'transaction'),
  default_pool_size: setting('pool-size', count(1), '20'),
  max_client_conn: setting('max-clients', count(1), '1000'),
  max_prepared_statements: setting('max-prepared-statements', count(1), '200'),
  max_packet_size: setting('max-packet-size', count(65_536, 2 ** 30), String(2 ** 30), false),
  query_wait_timeout: setting('query-wait-timeout', SECONDS, '120'),
  server_lifetime: setting('server-lifetime', SECONDS, '3600'),
  server_idle_timeout: setting('server-idle-timeout', SECONDS, '600', false),
  server_connect_timeout: setting('server-connect-timeout', FROM_ONE, '15'),
  client_login_timeout: setting('client-login-timeout', FROM_ONE, '60'),
  cancel_wait_timeout: setting('cancel-wait-timeout', FROM_ONE, '10'),
  max_lag: setting('max-lag', { is: 'lag' }, '1000', false),
  workers: setting('workers', count(1, 64), '1', false),
  drain_timeout: setting('drain', SECONDS, '30'),
  metrics: setting('metrics', { is: 'endpoint' }, '', false),
} as const satisfies Record<string, Setting>

export type Key = keyof typeof SETTINGS
export const KEYS = Object.keys(SETTINGS) as Key[]

/** From the strongest. */
export type Source = 'flag' | 'environment' | 'file' | 'default'
export const STRENGTH: readonly Source[] = ['flag', 'environment', 'file', 'default']

export interface Value {
  readonly text: string
  readonly source: Source
  /** As the place has it where the value stands, for messages. */
  readonly name: string
}

export type Layer = ReadonlyMap<Key, Value>
export type Settled = Readonly<Record<Key, Value>>

/** Names of PgBouncer's that mean nothing here. */
const FOREIGN: ReadonlySet<string> = new Set([
  ...['logfile', 'pidfile', 'syslog', 'verbose', 'unix_socket_dir', 'so_reuseport', 'peer_id', 'user', 'auth_hba_file'],
  ...['auth_user', 'auth_dbname', 'min_pool_size', 'reserve_pool_size', 'reserve_pool_timeout', 'max_db_connections'],
  ...['max_user_connections', 'server_reset_query', 'server_check_query', 'server_check_delay', 'server_fast_close'],
  ...['server_login_retry', 'server_round_robin', 'ignore_startup_parameters', 'track_extra_parameters'],
  ...['client_idle_timeout', 'idle_transaction_timeout', 'transaction_timeout', 'query_timeout', 'query_wait_notify'],
  ...['client_tls_ca_file', 'client_tls_protocols', 'client_tls_ciphers', 'server_tls_sslmode', 'server_tls_ca_file'],
  ...['server_tls_key_file', 'server_tls_cert_file', 'stats_period', 'log_connections', 'log_disconnections'],
  ...['log_pooler_errors', 'log_stats', 'dns_max_ttl', 'pkt_buf', 'listen_backlog', 'tcp_keepalive', 'job_name'],
])

function isKey(name: string): name is Key {
  return Object.hasOwn(SETTINGS, name)
}

function unknown(name: string, what: string): Error {
  const meant = meantBy(name, KEYS)
  if (meant !== null) return new Error(`there is no ${what} ${name}: did you mean ${meant}?`)
  if (name.startsWith('server_tls_'))
    return new Error(`there is no ${what} ${name}: TLS to the servers is told in url, by sslmode and sslrootcert`)
  if (FOREIGN.has(name))
    return new Error(`there is no ${what} ${name}: PgBouncer has it, the proxy does not. Leave it out`)
  return new Error(`there is no ${what} ${name}`)
}

/** A value of this key, looked at. Throws where it is none. */
export function valued(key: Key, text: string, source: Source, name: string): Value {
  const wrong = mustBe(SETTINGS[key].kind, text)
  if (wrong !== null) throw new Error(`${name} must be ${wrong}`)
  return { text, source, name }
}

/** Timers of Node go no further. */
const MOST_SECONDS = 2_000_000

function mustBe(kind: Kind, text: string): string | null {
  switch (kind.is) {
    case 'text':
      return null
    case 'url':
      return isUrl(text) ? null : 'a URL, such as postgres://user@host:5432,otherhost/database'
    case 'port':
      return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? null : 'a port, up to 65535'
    case 'endpoint':
      return endpointIn(text) === null ? 'an address and a port, such as 127.0.0.1:6432' : null
    case 'lag':
      return lagIn(text) === null ? 'a number of milliseconds, or infinity' : null
    case 'seconds': {
      const { least } = kind
      const isOne = /^\d{1,7}(?:\.\d+)?$/.test(text) && Number(text) >= least && Number(text) <= MOST_SECONDS
      return isOne ? null : `a number of seconds from ${least} to ${MOST_SECONDS}`
    }
    case 'whole': {
      const { least, most = Infinity } = kind
      if (!/^\d+$/.test(text) || Number(text) < least) return `a whole number of at least ${least}`
      return Number(text) <= most ? null : `a whole number of at most ${most}`
    }
    case 'one':
      return kind.of.includes(text) ? null : kind.of.join(', ').replace(/, ([^,]*)$/, ' or $1')
  }
}

/** `127.0.0.1:6432`, `[::1]:6432`, `:6432` for all addresses. */
export function endpointIn(text: string): { readonly host: string; readonly port: number } | null {
  const [, six, four = '', port = ''] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  if (port === '' || Number(port) > 65_535) return null
  return { host: hostIn(six ?? four), port: Number(port) }
}

export function hostIn(text: string): string {
  return text === '' || text === '*' ? '0.0.0.0' : text
}

export function lagIn(text: string): number | null {
  const millis = /^inf(?:inity)?$/i.test(text) ? Infinity : Number(text)
  return millis >= 0 && text.trim() !== '' ? millis : null
}

/** As pg takes it; a path is the directory of a Unix socket. */
export function isUrl(word: string): boolean {
  return /^(?:postgres(?:ql)?|socket):/i.test(word) || word.startsWith('/')
}

// Where values come from.

/** Throws where the text is no configuration file, or has a key that there is not. A key without a value counts as not given. */
export function fileLayer(text: string): Layer {
  const layer = new Map<Key, Value>()
  for (const { key, value, line } of entriesIn(text)) {
    if (!isKey(key)) throw unknownAt(line, key)
    if (value !== '') layer.set(key, valued(key, value, 'file', `${key} in line ${line}`))
  }
  return layer
}

function unknownAt(line: number, key: string): Error {
  return new Error(`line ${line}: ${unknown(key, 'key').message}`)
}

const PREFIX = 'PGHERD_PROXY_'
/** The variable of --config. */
export const CONFIG_VARIABLE = `${PREFIX}CONFIG`

/**
 * PGHERD_PROXY_ and the key in capitals. Others that begin so may be set by what runs the proxy (Kubernetes does it for a service of that
 * name): only those that look like a key are refused.
 */
export function environmentLayer(environment: Readonly<Record<string, string | undefined>>): Layer {
  const layer = new Map<Key, Value>()
  for (const [name, text = ''] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || name === CONFIG_VARIABLE || text === '') continue
    const key = name.slice(PREFIX.length).toLowerCase()
    if (isKey(key)) layer.set(key, valued(key, text, 'environment', name))
    else {
      const meant = meantBy(key, KEYS)
      if (meant !== null) throw new Error(`${name} is not known: did you mean ${PREFIX}${meant.toUpperCase()}?`)
    }
  }
  return layer
}

/** Of each key the value of the strongest layer that has one; they come in that order. */
export function settle(layers: readonly Layer[]): Settled {
  return Object.fromEntries(
    KEYS.map((key) => {
      const found = layers.find((layer) => layer.has(key))?.get(key)
      return [key, found ?? { text: SETTINGS[key].initial, source: 'default', name: key }]
    })
  ) as Record<Key, Value>
}

/** `fresh`, but for what may not change while the proxy runs. `stays`: keys whose new value waits for a restart. */
export function resettle(
  before: Settled,
  fresh: Settled
): { readonly settled: Settled; readonly stays: readonly Key[] } {
  const stays = KEYS.filter((key) => !SETTINGS[key].changes && fresh[key].text !== before[key].text)
  const kept = Object.fromEntries(stays.map((key) => [key, before[key]]))
  return { settled: { ...fresh, ...kept }, stays }
}
