// One moment, by two clocks, and the time between two. Values only.

/**
 * One moment in milliseconds: on the monotonic clock, which stands still while the machine sleeps, and as the time that has
 * passed by that or the wall clock, whichever said more at every step. Neither is the time of day.
 */
export interface Instant {
  readonly mono: number
  readonly wall: number
}

/** Milliseconds from `from` to `to`: the larger of the two clocks' opinions, so that neither sleep nor a clock set back hides age. */
export function elapsed(from: Instant, to: Instant): number {
  return Math.max(to.mono - from.mono, to.wall - from.wall)
}
