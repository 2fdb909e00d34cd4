// The words behind `pgherd proxy` -> what the proxy is to do, or what is wrong with them. Reads no file and no environment.

import { parseArgs } from 'node:util'
import { AUTH_QUERY, DEFAULTS, type PoolMode, type ProxyOptions } from '../proxy/options.js'

export interface Listen {
  readonly host: string
  readonly port: number
}

export interface ProxyWanted {
  readonly kind: 'proxy'
  /** Absent: the environment tells. */
  readonly url: string | null
  readonly listen: Listen
  readonly metrics: Listen | null
  readonly maxLagMillis: number | null
  readonly options: ProxyOptions
  readonly authFile: string | null
  readonly tlsCert: string | null
  readonly tlsKey: string | null
  readonly isTlsRequired: boolean
  readonly drainMillis: number
  /** It starts servers of its own, and `url` is null. */
  readonly demo: boolean
}

const WORDS = {
  listen: { type: 'string' },
  metrics: { type: 'string' },
  'max-lag': { type: 'string' },
  'pool-mode': { type: 'string' },
  'pool-size': { type: 'string' },
  'max-clients': { type: 'string' },
  trust: { type: 'boolean' },
  'auth-file': { type: 'string' },
  'auth-query': { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'tls-required': { type: 'boolean' },
  'admin-users': { type: 'string' },
  'stats-users': { type: 'string' },
  'query-wait-timeout': { type: 'string' },
  drain: { type: 'string' },
  demo: { type: 'boolean' },
} as const

const MODES: readonly PoolMode[] = ['transaction', 'session', 'statement']

/** A text: what is wrong. */
export function proxyWantedOf(words: readonly string[], isUrl: (word: string) => boolean): ProxyWanted | string {
  try {
    return read(words, isUrl)
  } catch (error) {
    const [message = ''] = String((error as Error).message).split(/\. |\n/)
    return message.replace(/^[A-Z]/, (letter) => letter.toLowerCase())
  }
}

function read(words: readonly string[], isUrl: (word: string) => boolean): ProxyWanted {
  const { values, positionals } = parseArgs({ args: [...words], options: WORDS, allowPositionals: true })
  const [url = null, ...more] = positionals
  if (more.length > 0) throw new Error('proxy takes one URL; several hosts are a list in it: postgres://a,b/shop')
  if (url !== null && !isUrl(url))
    throw new Error('that is no URL: it looks like postgres://user@host:5432,otherhost/database')
  const demo = values.demo === true
  const listen = listenIn(values.listen ?? '127.0.0.1:6432', '--listen')
  const trust = values.trust === true || demo
  const open = demo ? '--demo' : '--trust'
  const [authFile, authQuery] = [values['auth-file'] ?? null, values['auth-query'] ?? null]
  if (trust && !isLoopback(listen.host))
    throw new Error(`${open} lets everyone in, so it needs a loopback address in --listen`)
  if (trust && (authFile !== null || authQuery !== null))
    throw new Error(`${open} asks for no password: leave --auth-file and --auth-query out`)
  if (!trust && authFile === null && authQuery === null)
    throw new Error(
      'proxy must know its users: --auth-file FILE, --auth-query default, or --trust on a loopback address'
    )
  const [tlsCert, tlsKey] = [values['tls-cert'] ?? null, values['tls-key'] ?? null]
  if ((tlsCert === null) !== (tlsKey === null)) throw new Error('--tls-cert and --tls-key belong together')
  if (values['tls-required'] === true && tlsCert === null)
    throw new Error('--tls-required needs --tls-cert and --tls-key')
  const mode = values['pool-mode'] ?? DEFAULTS.poolMode
  const poolMode = MODES.find((each) => each === mode)
  if (poolMode === undefined) throw new Error(`--pool-mode must be ${MODES.join(', ')}`)
  if (demo && url !== null) throw new Error('--demo starts its own servers: leave the URL out')
  return {
    kind: 'proxy',
    url,
    listen,
    metrics: values.metrics === undefined ? null : listenIn(values.metrics, '--metrics'),
    maxLagMillis: lagIn(values['max-lag']),
    options: {
      ...DEFAULTS,
      poolMode,
      defaultPoolSize: numberIn(values['pool-size'], '--pool-size', 1, DEFAULTS.defaultPoolSize),
      maxClientConn: numberIn(values['max-clients'], '--max-clients', 1, DEFAULTS.maxClientConn),
      queryWaitTimeoutMillis:
        numberIn(values['query-wait-timeout'], '--query-wait-timeout', 0, DEFAULTS.queryWaitTimeoutMillis / 1000) *
        1000,
      authType: trust ? 'trust' : 'scram-sha-256',
      authQuery: authQuery === 'default' ? AUTH_QUERY : authQuery,
      adminUsers: listIn(values['admin-users']),
      statsUsers: listIn(values['stats-users']),
    },
    authFile,
    tlsCert,
    tlsKey,
    isTlsRequired: values['tls-required'] === true,
    drainMillis: numberIn(values.drain, '--drain', 0, 30) * 1000,
    demo,
  }
}

/** `127.0.0.1:6432`, `[::1]:6432`, `:6432` for all addresses. */
export function listenIn(text: string, name: string): Listen {
  const [, six, four = '', port = ''] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  if (port === '' || Number(port) > 65_535)
    throw new Error(`${name} must be an address and a port, such as 127.0.0.1:6432`)
  const host = six ?? four
  return { host: host === '' || host === '*' ? '0.0.0.0' : host, port: Number(port) }
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}

function numberIn(text: string | undefined, name: string, least: number, otherwise: number): number {
  if (text === undefined) return otherwise
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < least) throw new Error(`${name} must be a whole number of at least ${least}`)
  return number
}

function lagIn(text: string | undefined): number | null {
  if (text === undefined) return null
  const millis = /^inf(?:inity)?$/i.test(text) ? Infinity : Number(text)
  if (!(millis >= 0) || text.trim() === '') throw new Error('--max-lag must be a number of milliseconds, or infinity')
  return millis
}

function listIn(text: string | undefined): ReadonlySet<string> {
  return new Set(
    (text ?? '')
      .split(',')
      .map((each) => each.trim())
      .filter((each) => each !== '')
  )
}
