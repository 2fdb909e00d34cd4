// A clock that moves when a test says so. Alarms ring in their order, and everything they set going settles before the next.

import type { Instant } from '../../src/core/cluster/instant.js'
import type { Alarm, Clock } from '../../src/runtime/clock.js'

interface Pending {
  readonly at: number
  readonly ring: () => void
}

export class ManualClock implements Clock {
  #now = 1000
  readonly #alarms = new Set<Pending>()

  now(): Instant {
    return { mono: this.#now, wall: this.#now }
  }

  mono(): number {
    return this.#now
  }

  alarm(millis: number, ring: () => void): Alarm {
    const pending = { at: this.#now + millis, ring }
    this.#alarms.add(pending)
    return { cancel: () => this.#alarms.delete(pending) }
  }

  turn(): Promise<void> {
    return settled()
  }

  random(): number {
    return 0.5
  }

  /** How many alarms are set: what would ring some day. */
  get pending(): number {
    return this.#alarms.size
  }

  async advance(millis: number): Promise<void> {
    const goal = this.#now + millis
    await settled()
    for (;;) {
      const [next] = [...this.#alarms].sort((a, b) => a.at - b.at)
      if (next === undefined || next.at > goal) break
      this.#alarms.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.ring()
      await settled()
    }
    this.#now = goal
  }
}

/** Lets every promise that can go on go on: a few turns of the event loop, no time. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}
