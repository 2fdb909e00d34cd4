// A transaction that runs on a replica for a client of the primary: what is known of it, so that it can move to the primary, or
// be given back. Sends nothing but ROLLBACK.

import type { PoolClient } from 'pg'
import type { Verdict } from '../core/classify.js'
import { closingOf, type Effect, type Opening } from '../core/session.js'
import type { QueryArgs } from './query-args.js'
import { outcomeOn } from './turn.js'

/** A transaction on a replica, from its BEGIN on. */
export interface Loan {
  readonly client: PoolClient
  readonly opening: Opening
  /** The statements so far that shape the transaction: what another server must be told to get where this one is. */
  readonly shape: QueryArgs[]
  /** It has read, so it may have a snapshot. */
  hasRead: boolean
  /** It has what cannot be told to another server: cursors. */
  fixed: boolean
  /** Session state that it will leave behind if it commits. */
  readonly left: QueryArgs[]
  /** Its session is not as the next one expects it. */
  polluted: boolean
  /** Its connection broke. */
  broken: unknown
  /** Gives the client back. */
  end(error?: Error | boolean): void
}

export function remember(loan: Loan, args: QueryArgs, verdict: Verdict | null, effect: Effect): void {
  const text = args.text ?? ''
  if (verdict?.intent === 'read') loan.hasRead = true
  else if (effect === 'transaction') {
    if (/^\s*(?:declare|fetch|move)\b/i.test(text)) loan.fixed = true
    if (closingOf(text) === null) loan.shape.push(args)
    else {
      // AND CHAIN: the next one begins as this one did.
      loan.shape.length = 1
      loan.hasRead = loan.fixed = false
    }
  } else if (effect === 'taints') {
    loan.left.push(args)
    loan.polluted = true
  } else loan.hasRead = true
}

export async function giveBack(loan: Loan): Promise<void> {
  if (loan.broken !== null) return loan.end(true)
  const { error } = await outcomeOn(loan.client, { query: 'rollback' } as QueryArgs)
  loan.end(error !== null || loan.polluted)
}

export function loanOf(client: PoolClient, opening: Opening, args: QueryArgs): Loan {
  const failed = (error: unknown) => {
    loan.broken ??= error
  }
  const loan: Loan = {
    client,
    opening,
    shape: [args],
    hasRead: false,
    fixed: false,
    left: [],
    polluted: false,
    broken: null,
    end: (error) => {
      client.removeListener('error', failed)
      client.release(error)
    },
  }
  client.on('error', failed)
  return loan
}
