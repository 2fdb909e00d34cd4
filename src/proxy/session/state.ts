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
  #owed: string | null = null

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
    let fresh: readonly Made[] = NOTHING
    let discards = false
    this.#owed = null
    for (const plan of plans) {
      if (plan.made.length > 0) fresh = fresh === NOTHING ? plan.made : [...fresh, ...plan.made]
      if (plan.rewinds && this.#inBlock.length > 0) this.pin('SET')
      // A statement that has failed has left nothing; of several some may have succeeded.
      const hasLeft = !hasFailed || plans.length > 1 || !plan.verdict.single
      if (plan.pins !== null && hasLeft) this.pin(plan.pins)
      if (plan.undoes && !hasFailed) this.#inBlock = fresh = NOTHING
      if (plan.discards) discards = true
    }
    if (hasFailed && fresh.length > 0) {
      // Which of several were made is not known.
      if (fresh.length > 1 || plans.length > 1 || status !== 'I') this.pin('SET')
      fresh = NOTHING
    }
    if (discards && !hasFailed) return this.#discard()
    const before = this.#inBlock
    const made = before === NOTHING ? fresh : fresh === NOTHING ? before : [...before, ...fresh]
    if (status === 'T' && ending !== 'chained') {
      if (hasFailed) return own
      this.#inBlock = made
      this.#owed = owedFor(fresh, this.began)
      return own
    }
    if (status === 'E') return own
    this.#inBlock = NOTHING
    if (ending !== 'committed' && ending !== 'chained') return own
    if (made.length === 0) return own
    this.#settings = withMade(this.#settings, made, this.began)
    // What was reset in the transaction was set again before its next statement.
    const there = withMade(withMade(own, before, this.began), fresh, NO_SETTINGS)
    return sameAs(there, this.#settings)
  }

  /** DISCARD ALL: as at the start. The connection has no settings then. */
  #discard(): Settings {
    this.#settings = this.began
    this.#inBlock = NOTHING
    this.#pinned = null
    return NO_SETTINGS
  }

  /**
   * RESET in a transaction gives the settings that the proxy has logged in with: what makes them those that the client began with, to be
   * sent ahead of its next statement; null: nothing.
   */
  owed(): string | null {
    const owed = this.#owed
    this.#owed = null
    return owed
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

function owedFor(made: readonly Made[], began: Settings): string | null {
  if (began.size === 0) return null
  const parts: string[] = []
  for (const { name, statement } of made) {
    if (name === null) parts.push(...began.values())
    else if (statement === null && began.has(name)) parts.push(began.get(name) as string)
  }
  return parts.length === 0 ? null : parts.join('; ')
}

function sameAs(there: Settings, own: Settings): Settings {
  if (there.size !== own.size) return there
  for (const [name, statement] of own) if (there.get(name) !== statement) return there
  return own
}
