// How the proxy logs in to a server as one of its users: the address and TLS of the configuration, the secret of the user.

import type { Config } from '../../config/config.js'
import { clientConfigFor } from '../../config/dial.js'
import type { NodeAddress } from '../../core/cluster/address.js'
import { authRule } from '../../pg/weak-auth.js'
import type { Users } from '../auth/users.js'
import type { ProxyOptions } from '../options.js'
import type { Dialing } from './dial.js'

interface Given {
  readonly config: Config
  readonly options: ProxyOptions
}

export function dialingOf(
  address: NodeAddress,
  user: string,
  database: string,
  { config, options }: Given,
  users: Users
): Dialing {
  const { ssl, ...client } = clientConfigFor(config, address)
  const { options: startup, application_name: name } = client
  const parameters = new Map([['application_name', typeof name === 'string' ? name : 'pgherd proxy']])
  if (typeof startup === 'string' && startup !== '') parameters.set('options', startup)
  return {
    address,
    ssl: ssl as Dialing['ssl'],
    user,
    database,
    secret: users.secretOf(user) ?? ownSecret(user, config),
    parameters,
    rule: authRule(config.requireAuth, address.origin),
    timeoutMillis: config.connectionTimeoutMillis ?? options.serverConnectTimeoutMillis,
  }
}

/** The user of the configuration may be one of the clients', too. */
function ownSecret(user: string, { client }: Config): Dialing['secret'] {
  const { user: own, password } = client
  return user === own && typeof password === 'string' ? { kind: 'password', password } : null
}
