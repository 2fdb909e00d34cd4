// What a server may ask of a login: libpq's `require_auth`, and the rule for servers that the user did not name. A server that can
// add a row to pg_stat_replication could otherwise collect the application's password (cleartext), or a hash that is as good (md5).

import type { Client } from 'pg'
import type { NodeAddress } from '../core/cluster/address.js'
import type { AuthMethod } from './messages.js'

export type ClientClass = new (config?: object) => Client

/** libpq's words. `none`: the server lets us in without asking, or by the certificate of the connection alone. */
export type RequiredAuth = ReadonlySet<AuthMethod | 'none'>

/** Null: a server may ask for this; else why it may not. */
export type AuthRule = (method: AuthMethod | 'none') => string | null

/** `required` null: any. */
export function authRule(required: RequiredAuth | null, origin: NodeAddress['origin']): AuthRule {
  return (method) => {
    if (required !== null && !required.has(method)) {
      const asks = method === 'none' ? 'asks for no authentication at all' : `asks for ${NAMES[method]}`
      return `${asks}, and requireAuth allows only ${[...required].join(',')}`
    }
    if (origin === 'configured' || (method !== 'password' && method !== 'md5')) return null
    return (
      `is a discovered server and asks for ${NAMES[method]}; it is refused. ` +
      'Use scram-sha-256 or certificates there, or name the host in the configuration'
    )
  }
}

const NAMES: Readonly<Record<AuthMethod, string>> = {
  password: 'a cleartext password',
  md5: 'an md5 password',
  gss: 'GSSAPI authentication',
  sspi: 'SSPI authentication',
  'scram-sha-256': 'a SCRAM-SHA-256 login',
}
