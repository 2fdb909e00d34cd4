// The unit that a client has under way: its parts, what its texts do, the connection that it runs on, and how it fares.

import type { ServerConnection } from '../server/connection.js'
import type { Running } from '../server/job.js'
import type { NodeSide } from '../server/node-side.js'
import type { TextPlan } from '../session/plan.js'
import { encode, type Unit } from '../session/unit.js'
import type { ClientParts } from './parts.js'

const NO_PLANS: readonly TextPlan[] = []

export class UnderWay {
  unit: Unit | null = null
  plans: readonly TextPlan[] = NO_PLANS
  connection: ServerConnection | null = null
  side: NodeSide | null = null
  /** Null: it has no connection yet. */
  running: Running | null = null
  /** Ends its wait for a connection; null: it does not wait. */
  withdraw: (() => void) | null = null
  waitingSince: number | null = null
  /** The server does not take what the client sends as fast as that comes. */
  isChoked = false
  wasInBlock = false
  /** So many messages of the client were carried out. */
  reached = 0
  readonly #parts: ClientParts
  readonly #again: () => void
  readonly #later: () => void

  /** `again`: more of what the client sends can be acted on; `later`: when what runs now is done. */
  constructor(parts: ClientParts, again: () => void, later: () => void) {
    this.#parts = parts
    this.#again = again
    this.#later = later
  }

  begin(unit: Unit): void {
    this.unit = unit
    this.reached = 0
    this.plans = unit.texts.length === 0 ? NO_PLANS : unit.texts.map((text) => this.#parts.plans.of(text))
  }

  end(): void {
    this.unit = this.connection = this.running = this.side = this.withdraw = null
    this.isChoked = false
  }

  /** Bytes for the server. */
  send(bytes: readonly Buffer[]): void {
    const { connection } = this
    if (connection !== null && !connection.write(bytes)) this.choke(connection)
  }

  choke(connection: ServerConnection): void {
    this.isChoked = true
    connection.drained(() => {
      this.isChoked = false
      this.#again()
    })
  }

  /** More of the unit, which was sent in part. */
  extend(more: Unit): void {
    const { unit, connection, running } = this
    if (unit === null || connection === null || running === null) return
    this.plans = [...this.plans, ...more.texts.map((text) => this.#parts.plans.of(text))]
    unit.isComplete = more.isComplete
    unit.texts.push(...more.texts)
    const { bytes, expects } = encode(more, connection, true)
    running.extend(expects ?? [])
    this.send(bytes)
  }

  // What happens to it.

  waits(withdraw: (() => void) | null): void {
    this.withdraw = withdraw
    this.waitingSince = withdraw === null ? null : this.#parts.clock.mono()
  }

  runsOn(connection: ServerConnection, running: Running): void {
    this.connection = connection
    this.running = running
    // More of it may be there already.
    if (this.unit?.isComplete === false) this.#later()
  }

  /** It has failed, and may run elsewhere. */
  failed(connection: ServerConnection, { reached }: Running): void {
    this.reached = reached
    this.leaves(connection)
    this.running = this.connection = null
  }

  /** What stays on the connection. */
  leaves(connection: ServerConnection): void {
    // A session lock outlives the failure of its statement.
    for (const plan of this.plans) if (plan.soils || plan.pins !== null) connection.isSoiled = true
    if (!connection.isStale) return
    // A result type has changed under a name: what is named anew gets another.
    for (const part of this.unit?.parts ?? []) if (part.kind === 'use') this.#parts.library.outdate(part.named.prepared)
  }
}
