// A statement of pgherd's own sending has failed: what made the error, and how far the statement was.

import type { Client } from 'pg'
import { phaseOf } from '../core/session/commit.js'
import type { ServerSession } from '../core/session/server-session.js'
import { stepsOf } from '../core/sql/steps.js'
import { clearOutcome } from '../errors.js'
import type { Attempt } from '../herd/herd.js'
import { isSubmittable } from '../pg/submittable.js'
import { heardOn, mark, sourceOf, sourceOfStatement } from '../pg/tap.js'
import { isAnswered } from '../pg/turn.js'
import type { Statement } from '../router/statement.js'

/** What had been heard of errors and of the connection when a statement was sent. */
export interface Before {
  readonly errors: number
  readonly heard: number
}

export function beforeOn(client: Client): Before {
  return { errors: mark(), heard: heardOn(client) }
}

/** Notes both in the attempt. */
export function judge(
  error: unknown,
  place: Attempt,
  { query, text }: Statement,
  client: Client,
  session: ServerSession,
  { errors, heard }: Before
): void {
  place.source = isSubmittable(query)
    ? sourceOf(error, client, errors)
    : sourceOfStatement(error, client, errors, heard)
  // Until then only what cannot be put into bytes has failed, which says so itself.
  if (place.source === 'unproven' && heardOn(client) > heard) clearOutcome(error)
  place.phase = reached(client, session, text)
}

/** How far the statement was that has failed now. */
function reached(client: Client, { exchange, ending, reading }: ServerSession, text: string | null): Attempt['phase'] {
  // Answered to its end, and its rows could not be read.
  if (isAnswered(client)) return ending === 'committed' ? 'committed' : 'completed'
  if (exchange.completed === 0) return 'handed'
  const phase = phaseOf(text === null ? null : stepsOf(text), exchange)
  // What only reads may run again elsewhere.
  return reading && phase === 'committed' ? 'completed' : phase
}
