// A clock for pools that can do what clocks of machines do: stand still while the machine sleeps, and be set.

import type { Instant } from '../../src/core/cluster/instant.js'
import { type Alarm, type Clock, steadily } from '../../src/runtime/clock.js'
export class MachineClock implements Clock {
  readonly #system: Clock
  readonly #instant = steadily()
  #slept = 0
  #set = 0

  constructor(system: Clock) {
    this.#system = system
  }

  now(): Instant {
    return this.#instant(this.mono(), Date.now() + this.#set)
  }

  mono(): number {
    return this.#system.mono() - this.#slept
  }

  alarm(millis: number, ring: () => void, hold?: 'process'): Alarm {
    return this.#system.alarm(millis, ring, hold)
  }

  turn(): Promise<void> {
    return this.#system.turn()
  }

  random(): number {
    return this.#system.random()
  }

  /** The process does nothing for so long, and its monotonic clock does not notice. */
  sleep(millis: number): void {
    block(millis)
    this.#slept += millis
  }

  /** Somebody sets the wall clock. */
  set(byMillis: number): void {
    this.#set += byMillis
  }
}

/** The event loop stands still for so long. */
export function block(millis: number): void {
  const until = performance.now() + millis
  while (performance.now() < until);
}
