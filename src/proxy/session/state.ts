// The session of one client between its units: its settings, what a transaction has set so far, whether it must keep its connection. Values
// in, values out; what the server said is the only truth about commits.

import type { Ending } from '../../core/session/commit.js'
import type { TextPlan } from './plan.js'
import { type Made, NO_SETTINGS, type Settings, withMade } from './settings.js'

/** How a unit has ended, as far as the session is concerned. */
export interface UnitOutcome {
  readonly ending: Ending | null
  readonly status: 'I' | 'T' | 'E'
  readonly hasFailed: boolean
}

export class SessionState {
  readonly began: Settings
  #settings: Settings
  #inBlock: readonly Made[] = NOTHING
  #pinned: string | null = null

  constructor(began: Settings) {
    this.began = began
    this.#settings = began
  }

  /** As they are outside of any transaction. */
  get settings(): Settings {
    return this.#settings
  }

  /** As they are now, in the transaction. */
  get present(): Settings {
    return this.#inBlock.length === 0 ? this.#settings : withMade(this.#settings, this.#inBlock, this.began)
  }

  /** What of its state cannot be taken to another connection; null: nothing. */
  get pinned(): string | null {
    return this.#pinned
  }

  pin(what: string): void {
    this.#pinned ??= what
  }

  /**
   * A unit is done. `own`: the settings of its connection then; gives those after it, which are the client's own object where they are
   * the same.
   */
  after(plans: readonly TextPlan[], { ending, status, hasFailed }: UnitOutcome, own: Settings): Settings {
    let made: readonly Made[] = this.#inBlock
    let discards = false
    for (const plan of plans) {
      if (plan.made.length > 0) made = made === NOTHING ? plan.made : [...made, ...plan.made]
      if (plan.rewinds && this.#inBlock.length > 0) this.pin('SET')
      if (plan.pins !== null && !(hasFailed && status === 'I' && plans.length === 1)) this.pin(plan.pins)
      if (plan.discards) discards = true
    }
    if (discards && !hasFailed) return this.#discard()
    if (status === 'T' && ending !== 'chained') {
      this.#inBlock = hasFailed ? this.#inBlock : made
      return own
    }
    if (status === 'E') return own
    this.#inBlock = NOTHING
    if (ending !== 'committed' && ending !== 'chained') return own
    if (made.length === 0) return own
    this.#settings = withMade(this.#settings, made, this.began)
    const there = withMade(own, made, NO_SETTINGS)
    return sameAs(there, this.#settings)
  }

  /** DISCARD ALL: as at the start. The connection has no settings then. */
  #discard(): Settings {
    this.#settings = this.began
    this.#inBlock = NOTHING
    this.#pinned = null
    return NO_SETTINGS
  }

  discard(): void {
    this.#discard()
  }

  /** Its connection is gone, and a transaction with it. */
  lost(): void {
    this.#inBlock = NOTHING
  }
}

const NOTHING: readonly Made[] = []

function sameAs(there: Settings, own: Settings): Settings {
  if (there.size !== own.size) return there
  for (const [name, statement] of own) if (there.get(name) !== statement) return there
  return own
}
