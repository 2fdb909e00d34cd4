// Questions to one node over a connection of their own, which ends with the answers. The catalogue is read this way.

import pg from 'pg'
import type { NodeAddress } from '../core/cluster/address.js'
import { loggedIn } from '../pg/login.js'
import { answeredInside, type Row } from '../pg/own-query.js'
import { tap } from '../pg/tap.js'
import type { RequiredAuth } from '../pg/weak-auth.js'
import type { Clock } from '../runtime/clock.js'
import { intakeOf, internals } from './probe-connection.js'
import { OWN_SETTINGS } from './probe-sql.js'

/**
 * Asks a node over a connection of its own. The connection ends with the answers, with the deadline or with `signal`. All texts run
 * in one transaction that only reads; a text sees what was committed before it began. Gives the rows of each text.
 */
export type Question = (
  address: NodeAddress,
  texts: readonly string[],
  millis: number,
  signal: AbortSignal
) => Promise<readonly (readonly Row[])[]>

export function connectionQuestion(
  clock: Clock,
  configOf: (address: NodeAddress) => Record<string, unknown>,
  required: RequiredAuth | null
): Question {
  return async (address, texts, millis, signal) => {
    let newest: pg.Client | null = null
    const drop = () => newest !== null && internals(newest).connection?.stream?.destroy()
    const make = () => {
      newest = new pg.Client(configOf(address))
      tap(newest, newest, intakeOf(required, address.origin))
      return newest.on('error', drop)
    }
    const alarm = clock.alarm(millis, drop)
    signal.addEventListener('abort', drop)
    try {
      const client = await loggedIn(make)
      internals(client).unref()
      const answers = await answeredInside(client, OWN_SETTINGS, texts)
      client.end(() => {})
      return answers
    } catch (error) {
      drop()
      throw error
    } finally {
      alarm.cancel()
      signal.removeEventListener('abort', drop)
    }
  }
}
