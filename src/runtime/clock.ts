// Time and chance. The only file that imports timers, reads a clock or draws random numbers; all other code gets a Clock.

import type { Instant } from '../core/cluster/instant.js'

export interface Alarm {
  cancel(): void
}

export interface Clock {
  now(): Instant
  /** The monotonic part of now(), where only order and duration within this run matter. */
  mono(): number
  /** Calls `ring` once after `millis`. Unless `hold` is 'process', the alarm never keeps Node alive. */
  alarm(millis: number, ring: () => void, hold?: 'process'): Alarm
  /** Resolves after one full turn of I/O: what had arrived while the event loop was blocked has been read by then. */
  turn(): Promise<void>
  /** 0 ≤ x < 1 */
  random(): number
}

/** The clocks may drift apart by less than this: the wall clock is being slewed. */
const DRIFT_MILLIS = 20

/**
 * Returns Instants whose wall part never goes back. At each step it advances by the clock that advanced more. So a wall clock
 * that is set back afterwards does not hide that the machine slept.
 */
export function steadily(): (mono: number, wall: number) => Instant {
  let offset: number | null = null
  let gained = 0
  return (mono, wall) => {
    const ahead = wall - mono
    offset ??= ahead
    if (Math.abs(ahead - offset) > DRIFT_MILLIS) {
      gained += Math.max(0, ahead - offset)
      offset = ahead
    }
    return { mono, wall: mono + gained }
  }
}

const instant = steadily()

export const systemClock: Clock = {
  now: () => instant(performance.now(), Date.now()),
  mono: () => performance.now(),
  alarm(millis, ring, hold) {
    // Longer delays than 2^31-1 ms would fire at once.
    const timer = setTimeout(ring, Math.min(millis, 0x7fffffff))
    if (hold !== 'process') timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
  turn: () => new Promise((resolve) => setImmediate(() => setImmediate(resolve))),
  random: Math.random,
}

/** Returns the time of day, for people to read. No decision depends on it. */
export function timeOfDay(): Date {
  return new Date()
}

/** `millis` spread evenly by ±20 %, so that many pools do not probe in step. */
export function jittered(millis: number, clock: Clock): number {
  return millis * (0.8 + 0.4 * clock.random())
}
