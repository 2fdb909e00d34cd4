// What the console sees of the proxy, and may do with it.

import type { Config } from '../../config/config.js'
import type { Router } from '../../router/router.js'
import type { Clock } from '../../runtime/clock.js'
import type { Client } from '../client/client.js'
import type { ProxyOptions } from '../options.js'
import type { Sides } from '../server/sides.js'
import type { Said } from '../wire/write.js'
import type { Team } from './team.js'

export interface Counted {
  readonly units: number
  readonly received: number
  readonly sent: number
}

export function counted(all: readonly Counted[]): Counted {
  let [units, received, sent] = [0, 0, 0]
  for (const each of all) {
    units += each.units
    received += each.received
    sent += each.sent
  }
  return { units, received, sent }
}

/** A row of SHOW CONFIG. */
export interface Told {
  readonly key: string
  readonly value: string
  readonly initial: string
  readonly changes: boolean
  /** flag, environment, file or default. */
  readonly source: string
}

export interface Managed {
  readonly router: Router
  readonly sides: Sides
  readonly clients: ReadonlyMap<number, Client>
  readonly isPaused: boolean
  readonly logins: number
  /** As they are now. */
  readonly options: ProxyOptions
  readonly parts: {
    readonly clock: Clock
    readonly config: Config
    readonly version: string
    /** Reads the configuration and its files again. A list: done, but for what it names. */
    reload(): Said | readonly string[] | Promise<Said | readonly string[]>
    /** What is in force. */
    shown(): readonly Told[]
    shutdown(waits: boolean): void
    /** Null: this is the only process. */
    readonly team: Team | null
  }
  counted(): Counted
  /** Units wait from now on, but for those of transactions under way. */
  pause(): void
  resume(): void
}
