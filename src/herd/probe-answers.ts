// Asks the questions of a probe on a given client, and turns answers and errors into values. What they mean is decided in core/.

import type { Client } from 'pg'
import { type Checked, detailIn, sightingIn } from '../core/cluster/answers.js'
import { type Failure, failureOf, verdictOf } from '../core/cluster/failure.js'
import type { Sighting } from '../core/cluster/sighting.js'
import { isTooOld, tooOldText } from '../core/cluster/version.js'
import { isA } from '../core/thrown.js'
import { PgherdError } from '../errors.js'
import { type answered, type Row, Unasked } from '../pg/own-query.js'
import { madeBy } from '../pg/tap.js'
import type { Clock } from '../runtime/clock.js'
import { DETAIL, IDENTITY, LEAN, ROLE } from './probe-sql.js'

/**
 * `lean` asks for role, positions and timeline, `full` for everything. `changed` asks for everything where the lean answer differs
 * from the one before it in more than positions.
 */
export type Depth = 'lean' | 'full' | 'changed'

/** How one question is asked. */
export type Answered = typeof answered

/** What a look has come to within a moment. */
export type Early =
  | { readonly kind: 'value'; readonly value: Sighting }
  | { readonly kind: 'error'; readonly error: unknown }
  | { readonly kind: 'late' }

/** Thrown where an answer did not come in time, or where the question was given up. */
export const OVERDUE = new Error('overdue')

const SILENCE: Failure = {
  kind: 'silent',
  sent: 'never',
  accuses: true,
  origin: 'driver',
  severity: null,
  code: null,
  message: 'no answer to a probe in time',
  error: new Error('no answer to a probe in time'),
}

/**
 * Questions are asked one after the other. A connection to PgBouncer (1.18) that is dropped between two answers would leave the
 * second answer to the client that has the server connection next.
 */
export async function sightOn(
  client: Client,
  depth: Depth,
  answer: Answered,
  before: Sighting | null = null
): Promise<Sighting> {
  const sighting = usable(sightingIn(await asked(client, LEAN, ROLE, answer)))
  if (depth === 'lean' || (depth === 'changed' && before !== null && isAlike(sighting, before))) return sighting
  const row = await asked(client, DETAIL, IDENTITY, answer)
  const detail = usable(detailIn(row, (client as Login).processID))
  refuseOld(detail.version)
  return { ...sighting, detail }
}

/** What is asked here means something else on an older server, or nothing. */
export function refuseOld(version: string | null): void {
  if (version !== null && isTooOld(version)) throw new PgherdError('PGHERD_VERSION', `${tooOldText(version)}.`)
}

/** What pg keeps of BackendKeyData, and its published types do not name. libpq's binding keeps nothing. */
interface Login {
  readonly processID?: number | null
}

/** Nothing but positions differs. */
function isAlike(a: Sighting, b: Sighting): boolean {
  return (
    a.inRecovery === b.inRecovery &&
    a.timeline === b.timeline &&
    a.feeds === b.feeds &&
    a.receiver?.pid === b.receiver?.pid &&
    a.receiver?.timeline === b.receiver?.timeline &&
    a.receiver?.streaming === b.receiver?.streaming
  )
}

/** 55000 is not among them: the role changed between test and call. The failure says so, and the next look sees the new role. */
const FORBIDDEN = new Set(['42501', '0A000', '42883', '42P01'])

async function asked(client: Client, text: string, fallback: string | null, answer: Answered): Promise<Row | null> {
  try {
    const [row] = await answer(client, text)
    return row ?? null
  } catch (error) {
    if (!FORBIDDEN.has((error as { readonly code?: string }).code ?? '')) throw error
    return fallback === null ? null : asked(client, fallback, null, answer)
  }
}

/** An answer that PostgreSQL does not give counts as none. */
export function usable<T>(checked: Checked<T>): T {
  if (checked.kind === 'value') return checked.value
  throw new PgherdError(
    'PGHERD_PROTOCOL',
    `a probe was answered without a usable value of ${checked.field}: the server is not what it seems to be.`
  )
}

export function failureIn(error: unknown): Failure {
  if (error === OVERDUE) return SILENCE
  return failureOf(error, 'connect', isA(error, PgherdError) || isA(error, Unasked) ? 'pgherd' : madeBy(error))
}

/** A new connection was turned away by what is, or is not, behind the address. No older session refutes that. */
export function isProof(error: unknown): boolean {
  return verdictOf(failureIn(error)) === 'down'
}

/** A deadline that rings late, as the event loop was blocked, waits one turn: answers that have arrived meanwhile are read then. */
export async function within<T>(clock: Clock, millis: number, answer: Promise<T>): Promise<T> {
  answer.catch(() => {}) // an answer that fails after the deadline has been reported as silence already
  let alarm: { cancel(): void } | undefined
  const overdue = new Promise<never>((_, reject) => {
    alarm = clock.alarm(millis, () => {
      clock.turn().then(() => reject(OVERDUE))
    })
  })
  try {
    return await Promise.race([answer, overdue])
  } finally {
    alarm?.cancel()
  }
}

/** What `look` has come to after at most `millis`. */
export async function soon(clock: Clock, millis: number, look: Promise<Sighting>): Promise<Early> {
  let alarm: { cancel(): void } | undefined
  const late = new Promise<Early>((resolve) => {
    alarm = clock.alarm(millis, () => resolve({ kind: 'late' }))
  })
  const over = look.then(
    (value): Early => ({ kind: 'value', value }),
    (error): Early => ({ kind: 'error', error })
  )
  const early = await Promise.race([over, late])
  alarm?.cancel()
  return early
}
