/**
 * Waiting on a condition, with a deadline that tells what was awaited. Never a blind sleep.
 */
import { systemClock } from '../runtime/clock.js'

const POLL_MILLIS = 5
const DEADLINE_MILLIS = 15_000

export interface Patience {
  readonly millis?: number
  /** What the error shows when the deadline passes, for example the end of a server's log. */
  readonly evidence?: () => string
}

/** Looks again and again until `look` returns something other than undefined or false; that is the result. */
export async function until<T>(
  awaited: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  patience: Patience = {}
): Promise<T> {
  const millis = patience.millis ?? DEADLINE_MILLIS
  const deadline = systemClock.mono() + millis
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (systemClock.mono() > deadline) {
      const evidence = patience.evidence?.()
      throw new Error(`waited ${millis} ms for ${awaited}${evidence ? `\n${evidence}` : ''}`)
    }
    await new Promise<void>((resolve) => systemClock.alarm(POLL_MILLIS, resolve, 'process'))
  }
}
