// The server connection that a client keeps: for a transaction, for state of its session, or because its pool is one of sessions. A READ ONLY
// transaction on a replica remembers what shapes it, so that it can go on at the primary.

import type { Scope } from '../../core/session/causal-scope.js'
import { after, begun, isPinned, type Loan } from '../../core/session/client-session.js'
import { isPromoted } from '../../core/session/server-session.js'
import { needsPrimary, openingOf } from '../../core/sql/effects.js'
import type { Reader } from '../../router/statement.js'
import type { ServerConnection } from '../server/connection.js'
import type { Keeper } from '../server/listening.js'
import type { NodeSide } from '../server/node-side.js'
import type { TextPlan } from '../session/plan.js'

/** lent: on the replica. move: the transaction goes on at the primary. refuse: neither server can do it unnoticed. gone: it was promoted. */
export type OnReplica = 'lent' | 'move' | 'refuse' | 'gone'

export class Keeping {
  readonly connection: ServerConnection
  readonly side: NodeSide
  readonly isReplica: boolean
  #loan: Loan<string> | null = null

  constructor(
    connection: ServerConnection,
    side: NodeSide,
    isReplica: boolean,
    scope: Scope | undefined,
    keeper: Keeper
  ) {
    this.connection = connection
    this.side = side
    this.isReplica = isReplica
    const { node } = side
    connection.session.takes({ scope: scope ?? null, node, insists: false, isReplica, isLent: false })
    connection.session.sends(scope)
    connection.keeper = keeper
  }

  get inBlock(): boolean {
    return this.connection.status !== 'I'
  }

  /** What the primary must be told to get where the transaction is; null: it cannot be told. */
  get shape(): string | null {
    const loan = this.#loan
    if (loan === null) return null
    // What may only stand before the first query must not be possible afterwards, either.
    return [...loan.shape, ...(loan.hasRead ? ['SELECT 1'] : [])].join('; ')
  }

  /** How texts fare in a READ ONLY transaction on a replica. */
  plan(texts: readonly string[], plans: readonly TextPlan[], reader: Reader): OnReplica {
    if (!this.isReplica || this.connection.status !== 'T') return 'lent'
    const mayMove = this.#loan !== null && !isPinned(this.#loan)
    if (isPromoted(this.side.node, this.connection.session)) return mayMove ? 'move' : 'gone'
    const wants = texts.some((text, i) => {
      const plan = plans[i]
      // Settings are followed, and mean the same on any server.
      if (plan === undefined || plan.made.length > 0 || plan.deallocates !== null || SHOWS.test(text)) return false
      return needsPrimary(text, plan.verdict, reader.effect(text))
    })
    if (!wants) return 'lent'
    return mayMove ? 'move' : 'refuse'
  }

  /** A unit has succeeded. */
  note(texts: readonly string[], plans: readonly TextPlan[], reader: Reader): void {
    if (!this.isReplica) return
    texts.forEach((text, i) => {
      const plan = plans[i]
      if (plan === undefined) return
      if (this.#loan === null) {
        const opening = openingOf(text)
        // The session's default may keep a snapshot.
        if (opening !== null) this.#loan = begun(text, text, opening.isolation ?? 'repeatable read', Infinity)
        return
      }
      const asked = { text, sql: text, sqlClass: plan.verdict, effect: reader.effect(text), route: undefined }
      this.#loan = after(this.#loan, { ...asked, isNamed: false, isSubmittable: false }, text)
    })
  }
}

const SHOWS = /^[\s;]*show\b/i
