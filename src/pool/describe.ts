// What pool.options says of where the pool leads. Libraries read host, port and connectionString there, and know of one server:
// for several hosts they see the primary, or the first host while there is none.

import { hasHosts, withHost } from '../config/hosts.js'

interface Address {
  readonly host: string
  readonly port: number
}

/** Replaces the lists in `options` by what they lead to now. */
export function describe(
  options: Record<string, unknown>,
  seeds: readonly Address[],
  primary: () => Address | undefined
): void {
  const [first] = seeds
  if (seeds.length < 2 || first === undefined) return
  const address = () => primary() ?? first
  const { connectionString } = options
  const shown = { enumerable: true, configurable: true }
  Object.defineProperty(options, 'host', { ...shown, get: () => address().host })
  Object.defineProperty(options, 'port', { ...shown, get: () => address().port })
  if (typeof connectionString !== 'string' || !hasHosts(connectionString)) return
  Object.defineProperty(options, 'connectionString', { ...shown, get: () => withHost(connectionString, address()) })
}
