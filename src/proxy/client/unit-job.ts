// A unit of a client, as the server connections take it.

import type { Scope } from '../../core/session/causal-scope.js'
import type { ServerConnection } from '../server/connection.js'
import type { Ended, Sink } from '../server/exchange.js'
import type { Job, Running } from '../server/job.js'
import type { Settings } from '../session/settings.js'
import type { SessionState } from '../session/state.js'
import type { Unit } from '../session/unit.js'
import type { Identity } from './parts.js'
import { textOf } from './routed.js'
import type { UnderWay } from './under-way.js'

/** What has the unit run. */
export interface Host extends Sink {
  readonly state: SessionState
  keeps(connection: ServerConnection, ended: Ended): boolean
  goesOn(connection: ServerConnection): void
}

export class UnitJob implements Job {
  readonly user: string
  readonly database: string
  readonly scope: Scope | undefined
  readonly settings: Settings
  readonly unit: Unit
  readonly text: string | null
  readonly shape: string | null
  readonly isAlone: boolean
  readonly isOpen: boolean
  readonly sink: Sink
  readonly #now: UnderWay
  readonly #host: Host
  readonly #home: { readonly isGone: boolean }

  constructor(
    now: UnderWay,
    host: Host,
    home: { readonly isGone: boolean },
    { user, database }: Identity,
    scope: Scope | undefined,
    unit: Unit,
    shape: string | null
  ) {
    this.#now = now
    this.#host = this.sink = host
    this.#home = home
    this.user = user
    this.database = database
    this.scope = scope
    this.settings = host.state.settings
    this.unit = unit
    this.text = textOf(unit)
    this.shape = shape
    this.isOpen = !unit.isComplete
    this.isAlone = this.isOpen || (this.text !== null && /\bcopy\b/i.test(this.text))
  }

  get isGone(): boolean {
    return this.#home.isGone
  }

  waits(withdraw: (() => void) | null): void {
    this.#now.waits(withdraw)
  }

  runsOn(connection: ServerConnection, running: Running): void {
    this.#now.runsOn(connection, running)
  }

  goesOn(connection: ServerConnection): void {
    this.#host.goesOn(connection)
  }

  failed(connection: ServerConnection, running: Running): void {
    this.#now.failed(connection, running)
  }

  keeps(connection: ServerConnection, ended: Ended): boolean {
    return this.#host.keeps(connection, ended)
  }
}
