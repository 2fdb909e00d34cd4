// Statements that the proxy answers itself: DEALLOCATE of a name that only it knows, DISCARD ALL of a session that no server has, the token.

import type { Intake } from '../session/intake.js'
import type { Result } from '../session/local.js'
import type { TextPlan } from '../session/plan.js'

const TOKEN = /^[\s;]*show\s+pgherd\.token[\s;]*$/i

export interface Own {
  readonly intake: Intake
  /** A server connection has what the session has. */
  readonly isKept: boolean
  discard(): void
  token(): Promise<string | null>
}

/** Null: a server answers it. */
export function ownAnswer(text: string, plan: TextPlan, own: Own): Promise<Result> | Result | null {
  if (plan.verdict.intent === 'read') return null
  const { deallocates: name, discards } = plan
  if (name !== null && name !== '*' && own.intake.has(name)) {
    own.intake.forget(name)
    return { tag: 'DEALLOCATE' }
  }
  if (!own.isKept && name === '*') {
    own.intake.forget(null)
    if (discards) own.discard()
    return { tag: discards ? 'DISCARD ALL' : 'DEALLOCATE ALL' }
  }
  return TOKEN.test(text) ? tokenOf(own) : null
}

async function tokenOf(own: Own): Promise<Result> {
  return { tag: 'SHOW', rows: { columns: ['pgherd.token'], rows: [[(await own.token()) ?? '']] } }
}
