// What the console sees of the proxy, and may do with it.

import type { Config } from '../../config/config.js'
import type { Router } from '../../router/router.js'
import type { Clock } from '../../runtime/clock.js'
import type { Client } from '../client/client.js'
import type { ProxyOptions } from '../options.js'
import type { Sides } from '../server/sides.js'
import type { Said } from '../wire/write.js'

export interface Counted {
  units: number
  received: number
  sent: number
}

export interface Managed {
  readonly router: Router
  readonly sides: Sides
  readonly clients: ReadonlyMap<number, Client>
  readonly isPaused: boolean
  readonly logins: number
  readonly parts: {
    readonly clock: Clock
    readonly config: Config
    readonly options: ProxyOptions
    readonly version: string
    /** Reads the files of the configuration again; null: done. */
    reload(): Said | null
    shutdown(waits: boolean): void
  }
  counted(): Counted
  /** Units wait from now on, but for those of transactions under way. */
  pause(): void
  resume(): void
}
