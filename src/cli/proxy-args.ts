// The words behind `pgherd proxy`, and what they, the environment and the file together ask of the proxy, or what is wrong with that. Reads
// no file and no environment.

import { parseArgs } from 'node:util'
import { AUTH_QUERY, DEFAULTS, type PoolMode, type ProxyOptions } from '../proxy/options.js'
import {
  endpointIn,
  hostIn,
  isUrl,
  KEYS,
  type Key,
  type Layer,
  lagIn,
  SETTINGS,
  type Settled,
  STRENGTH,
  type Value,
  valued,
} from './proxy-settings.js'

export interface Listen {
  readonly host: string
  readonly port: number
}

/** What stands behind `pgherd proxy`. */
export interface ProxyWords {
  readonly kind: 'proxy'
  readonly flags: Layer
  /** The file with the rest; absent: the environment may name one. */
  readonly config: string | null
  readonly demo: boolean
}

export interface ProxyWanted {
  /** Absent: DATABASE_URL or PGHOST tells. */
  readonly url: string | null
  readonly listen: Listen
  readonly metrics: Listen | null
  /** Absent: the URL may tell. */
  readonly maxLagMillis: number | null
  readonly options: ProxyOptions
  readonly authFile: string | null
  readonly tlsCert: string | null
  readonly tlsKey: string | null
  readonly isTlsRequired: boolean
  readonly drainMillis: number
  readonly workers: number
}

const TEXT_FLAGS = KEYS.flatMap((key) => {
  const { flag } = SETTINGS[key]
  return flag === null ? [] : [[flag, key] as const]
})

const WORDS = {
  ...Object.fromEntries(TEXT_FLAGS.map(([flag]) => [flag, { type: 'string' } as const])),
  config: { type: 'string' },
  listen: { type: 'string' },
  trust: { type: 'boolean' },
  'tls-required': { type: 'boolean' },
  demo: { type: 'boolean' },
} as const

/** A text: what is wrong. */
export function proxyWordsOf(words: readonly string[]): ProxyWords | string {
  try {
    return read(words)
  } catch (error) {
    const [message = ''] = String((error as Error).message).split(/\. |\n/)
    return message.replace(/^[A-Z]/, (letter) => letter.toLowerCase())
  }
}

function read(words: readonly string[]): ProxyWords {
  const parsed = parseArgs({ args: [...words], options: WORDS, allowPositionals: true })
  const values: Readonly<Record<string, string | boolean | undefined>> = parsed.values
  const [url, ...more] = parsed.positionals
  if (more.length > 0) throw new Error('proxy takes one URL; several hosts are a list in it: postgres://a,b/shop')
  if (url !== undefined && !isUrl(url))
    throw new Error('that is no URL: it looks like postgres://user@host:5432,otherhost/database')
  const demo = values.demo === true
  if (demo && url !== undefined) throw new Error('--demo starts its own servers: leave the URL out')
  if (demo && (values.workers !== undefined || values.config !== undefined))
    throw new Error('--demo is one process with the defaults: leave --workers and --config out')
  const flags = new Map<Key, Value>()
  const give = (key: Key, text: string, name: string) => flags.set(key, valued(key, text, 'flag', name))
  if (url !== undefined) give('url', url, 'the URL')
  for (const [flag, key] of TEXT_FLAGS) {
    const text = values[flag]
    if (typeof text === 'string') give(key, text, `--${flag}`)
  }
  if (typeof values.listen === 'string') {
    const { host, port } = endpoint(values.listen, '--listen')
    give('listen_addr', host, '--listen')
    give('listen_port', String(port), '--listen')
  }
  if (values.trust === true || demo) give('auth_type', 'trust', demo ? '--demo' : '--trust')
  if (values['tls-required'] === true) give('client_tls_sslmode', 'require', '--tls-required')
  const config = typeof values.config === 'string' ? values.config : null
  return { kind: 'proxy', flags, config, demo }
}

function endpoint(text: string, name: string): Listen {
  const found = endpointIn(text)
  if (found === null) throw new Error(`${name} must be an address and a port, such as 127.0.0.1:6432`)
  return found
}

/** Throws where values do not go together. Each alone was looked at where it was given. */
export function wantedBy(settled: Settled): ProxyWanted {
  const text = (key: Key): string | null => settled[key].text || null
  const millis = (key: Key): number => Math.round(Number(settled[key].text) * 1000)
  const listen = { host: hostIn(settled.listen_addr.text), port: Number(settled.listen_port.text) }
  const [authType, authFile, authQuery] = authOf(settled, listen.host)
  const { tlsCert, tlsKey, isTlsRequired } = tlsOf(settled)
  const metrics = text('metrics')
  return {
    url: text('url'),
    listen,
    metrics: metrics === null ? null : endpoint(metrics, settled.metrics.name),
    maxLagMillis: settled.max_lag.source === 'default' ? null : lagIn(settled.max_lag.text),
    options: {
      ...DEFAULTS,
      poolMode: settled.pool_mode.text as PoolMode,
      maxClientConn: Number(settled.max_client_conn.text),
      defaultPoolSize: Number(settled.default_pool_size.text),
      serverLifetimeMillis: millis('server_lifetime'),
      serverIdleTimeoutMillis: millis('server_idle_timeout'),
      serverConnectTimeoutMillis: millis('server_connect_timeout'),
      clientLoginTimeoutMillis: millis('client_login_timeout'),
      queryWaitTimeoutMillis: millis('query_wait_timeout'),
      cancelWaitTimeoutMillis: millis('cancel_wait_timeout'),
      maxPreparedStatements: Number(settled.max_prepared_statements.text),
      maxPacketSize: Number(settled.max_packet_size.text),
      authType,
      authQuery: authQuery === 'default' ? AUTH_QUERY : authQuery,
      adminUsers: listIn(text('admin_users')),
      statsUsers: listIn(text('stats_users')),
    },
    authFile,
    tlsCert,
    tlsKey,
    isTlsRequired,
    drainMillis: millis('drain_timeout'),
    workers: Number(settled.workers.text),
  }
}

function authOf(settled: Settled, host: string): readonly [ProxyOptions['authType'], string | null, string | null] {
  const { auth_type: type, auth_file: file, auth_query: query } = settled
  const given = [file, query].filter(({ text }) => text !== '')
  if (type.text !== 'trust') {
    if (given.length === 0)
      throw new Error(
        'proxy must know its users: --auth-file FILE (auth_file), --auth-query default (auth_query), or --trust (auth_type = trust) on a ' +
          'loopback address'
      )
    return ['scram-sha-256', file.text || null, query.text || null]
  }
  if (!isLoopback(host))
    throw new Error(`${type.name} lets everyone in, so it needs a loopback address in --listen (listen_addr)`)
  // What a stronger place says goes before it: `--trust` in a call, beside a file for others.
  const beside = given.find(({ source }) => STRENGTH.indexOf(source) <= STRENGTH.indexOf(type.source))
  if (beside !== undefined)
    throw new Error(`${type.name} asks for no password: leave --auth-file and --auth-query out (auth_file, auth_query)`)
  return ['trust', null, null]
}

function tlsOf(settled: Settled): Pick<ProxyWanted, 'tlsCert' | 'tlsKey' | 'isTlsRequired'> {
  const { client_tls_sslmode: mode, client_tls_cert_file: cert, client_tls_key_file: key } = settled
  if ((cert.text === '') !== (key.text === ''))
    throw new Error('--tls-cert and --tls-key belong together (client_tls_cert_file, client_tls_key_file)')
  if (mode.text === 'require' && cert.text === '')
    throw new Error(`${mode.name} needs --tls-cert and --tls-key (client_tls_cert_file, client_tls_key_file)`)
  const isOff = mode.text === 'disable' || cert.text === ''
  return {
    tlsCert: isOff ? null : cert.text,
    tlsKey: isOff ? null : key.text,
    isTlsRequired: mode.text === 'require',
  }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

function listIn(text: string | null): ReadonlySet<string> {
  const names = (text ?? '').split(',').map((each) => each.trim())
  return new Set(names.filter((each) => each !== ''))
}
