// A replica that fails again and again is left alone for longer and longer, and comes back little by little: its caches are
// cold, and its next failure costs every read that it holds. Probes go on meanwhile; only reads keep away. Looks at no clock.

import { elapsed, type Instant } from './instant.js'

export interface Breaker {
  /** Failures in a row, each sooner after the one before than FORGIVEN_MILLIS. */
  readonly strikes: number
  readonly failedAt: Instant
  /** When it answered again; null: it has not. */
  readonly returnedAt: Instant | null
}

const SHORTEST_MILLIS = 1000
const LONGEST_MILLIS = 30_000
/** A node that has served so long is as good as any. */
const FORGIVEN_MILLIS = 60_000
/** From its first read to its full share. */
const SLOW_START_MILLIS = 10_000
const LEAST_SHARE = 0.1

/** After another failure. */
export function struck(breaker: Breaker | null, at: Instant): Breaker {
  const since = breaker === null ? Infinity : elapsed(breaker.returnedAt ?? breaker.failedAt, at)
  const strikes = breaker !== null && since < FORGIVEN_MILLIS ? breaker.strikes + 1 : 1
  return { strikes, failedAt: at, returnedAt: null }
}

/** After the first answer since. */
export function returned(breaker: Breaker | null, at: Instant): Breaker | null {
  return breaker === null || breaker.returnedAt !== null ? breaker : { ...breaker, returnedAt: at }
}

/** Reads keep away from it. */
export function isOpen(breaker: Breaker | null, now: Instant): boolean {
  return breaker !== null && elapsed(breaker.failedAt, now) < openMillis(breaker)
}

function openMillis({ strikes }: Breaker): number {
  return Math.min(LONGEST_MILLIS, SHORTEST_MILLIS * 2 ** (strikes - 1))
}

/** Its share of what it would get otherwise, from a tenth to 1. */
export function shareOf(breaker: Breaker | null, now: Instant): number {
  if (breaker === null) return 1
  const closed = elapsed(breaker.failedAt, now) - openMillis(breaker)
  const back = breaker.returnedAt === null ? 0 : elapsed(breaker.returnedAt, now)
  return Math.min(1, Math.max(LEAST_SHARE, Math.min(closed, back) / SLOW_START_MILLIS))
}
