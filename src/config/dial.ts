// What pg needs to connect to one node: one host, one port, TLS, and pg's own options. Never prints a value of a secret.

import type { NodeAddress } from '../core/cluster/address.js'
import { ownPassword } from '../pg/login.js'
import type { Defaults, Environment } from './hosts.js'
import { OPTIONS, type Options } from './options.js'

export type Ssl = boolean | Readonly<Record<string, unknown>>

/** What all connections of a pool have in common. */
export interface Dialing {
  /** pg's own options without host, port, connectionString and ssl; the password included and enumerable. */
  readonly client: Options
  readonly ssl: Ssl
}

/** What pg needs to dial this very node: one host, one port, no connectionString, the name that its certificate carries. */
export function clientConfigFor({ client, ssl }: Dialing, address: NodeAddress): Record<string, unknown> {
  const { host, port, servername } = address
  return { ...client, host, port, ssl: withServername(ssl, servername) }
}

/** A probe's own session: none of the application's limits, parsers or hooks reach it, and operators can tell it apart. */
export function probeConfigFor({ client, ssl }: Dialing, address: NodeAddress): Record<string, unknown> {
  const { user, password, database, stream, options, sslnegotiation, client_encoding } = client
  const { enableChannelBinding, scramMaxIterations } = client
  const session = { user, password, database, stream, options, sslnegotiation, client_encoding }
  const given = Object.entries({ ...session, enableChannelBinding, scramMaxIterations })
  const { host, port, servername } = address
  return {
    ...Object.fromEntries(given.filter(([, value]) => value !== undefined)),
    host,
    port,
    ssl: withServername(ssl, servername),
    application_name: 'pgherd probe',
  }
}

function withServername(ssl: Ssl, servername: string | null): Ssl {
  if (ssl === false || servername === null) return ssl === true || ssl === false ? ssl : { ...ssl }
  // As in pg, a host that was named is checked by that name, also where `ssl` has another: each of several hosts by its own.
  return ssl === true ? { servername } : { ...ssl, servername }
}

/** Names that pgherd alone reads, or that would contradict the node's own host and port. */
const NOT_FOR_CLIENTS: ReadonlySet<string> = new Set([
  ...Object.keys(OPTIONS),
  ...['connectionString', 'host', 'port', 'ssl', 'target_session_attrs'],
])

export function clientOptions(options: Options): Options {
  const named = Object.fromEntries(Object.entries(options).filter(([name]) => !NOT_FOR_CLIENTS.has(name)))
  return Object.freeze('password' in named ? { ...named, password: ownPassword(named.password) } : named)
}

/** pg's rules, kept: an absent option is PGSSLMODE's, 'true' and 'no-verify' are words. */
export function resolveSsl(ssl: unknown, environment: Environment, defaults: Defaults): Ssl {
  if (ssl === undefined) return fromMode(environment.PGSSLMODE) ?? resolveSsl(defaults.ssl ?? false, {}, {})
  if (ssl === 'no-verify') return { rejectUnauthorized: false }
  if (typeof ssl === 'object' && ssl !== null) {
    // pg makes the key non-enumerable on the user's own object: a second pool from the same object would lose it.
    const key: unknown = Reflect.get(ssl, 'key')
    return key === undefined ? { ...ssl } : { ...ssl, key }
  }
  return Boolean(ssl)
}

function fromMode(mode: string | undefined): Ssl | null {
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
