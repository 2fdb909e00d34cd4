// What all server connections of one proxy share.

import type { NodeAddress, NodeKey } from '../../core/cluster/address.js'
import type { Router } from '../../router/router.js'
import type { Clock } from '../../runtime/clock.js'
import type { ProxyOptions, Worker } from '../options.js'
import type { ServerConnection } from './connection.js'
import type { DialError, Dialing } from './dial.js'

export interface ServerParts {
  readonly clock: Clock
  readonly router: Router
  readonly options: ProxyOptions
  readonly worker: Worker | null
  /** Texts of settings that a server has taken before. */
  readonly vouched: Vouched
  dialing(address: NodeAddress, user: string, database: string): Dialing
  /** A connection is ready. */
  opened(connection: ServerConnection, user: string, database: string): void
  /** A server has refused a login, or could not be reached. */
  refusedLogin(user: string, error: DialError): void
  tooLate(key: NodeKey, waiting: number): Error
}

const MOST_VOUCHED = 10_000

/** Bounded. */
export class Vouched {
  readonly #texts = new Set<string>()

  has(text: string): boolean {
    return this.#texts.has(text)
  }

  add(text: string): void {
    if (this.#texts.size >= MOST_VOUCHED) this.#texts.clear()
    this.#texts.add(text)
  }
}
