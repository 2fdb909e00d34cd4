// Many processes, as many herds, that use the same scripted servers on one clock: what each server is asked, and when.

import { resolveConfig } from '../../src/config/config.js'
import type { Instant } from '../../src/core/cluster/instant.js'
import { Herd } from '../../src/herd/herd.js'
import type { Depth } from '../../src/herd/probe-answers.js'
import type { Alarm, Clock } from '../../src/runtime/clock.js'
import { literal, nothing, probesOf, type Server } from './scripted-herd.js'

interface Pending {
  readonly at: number
  readonly ring: () => void
}

/** As ManualClock, for thousands of alarms; and chance that a test can repeat. */
class CrowdedClock implements Clock {
  #now = 1000
  #seed = 1
  readonly #chance: number | undefined
  /** By the millisecond in which they ring. */
  readonly #alarms = new Map<number, Set<Pending>>()

  constructor(chance: number | undefined) {
    this.#chance = chance
  }

  now(): Instant {
    return { mono: this.#now, wall: this.#now }
  }

  mono(): number {
    return this.#now
  }

  alarm(millis: number, ring: () => void): Alarm {
    const pending = { at: this.#now + Math.max(0, millis), ring }
    const slot = Math.floor(pending.at)
    const alarms = this.#alarms.get(slot) ?? new Set()
    this.#alarms.set(slot, alarms.add(pending))
    return { cancel: () => alarms.delete(pending) }
  }

  turn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve))
  }

  /** A linear congruential generator (Numerical Recipes). */
  random(): number {
    this.#seed = (this.#seed * 1_664_525 + 1_013_904_223) % 2 ** 32
    return this.#chance ?? this.#seed / 2 ** 32
  }

  async advance(millis: number): Promise<void> {
    const goal = this.#now + millis
    await this.turn()
    for (let slot = Math.floor(this.#now); slot <= goal; slot++) await this.#ring(slot, goal)
    this.#now = goal
  }

  async #ring(slot: number, goal: number): Promise<void> {
    const alarms = this.#alarms.get(slot)
    for (;;) {
      const due = [...(alarms ?? [])].filter(({ at }) => at <= goal).sort((a, b) => a.at - b.at)
      if (due.length === 0) break
      for (const pending of due) {
        if (!alarms?.delete(pending)) continue
        this.#now = Math.max(this.#now, pending.at)
        pending.ring()
      }
      await this.turn()
    }
    if (alarms?.size === 0) this.#alarms.delete(slot)
  }
}

/** One look at one server. */
export interface Look {
  readonly at: number
  readonly server: Server
  readonly depth: Depth
  /** It needs a connection of its own first. */
  readonly isNew: boolean
}

export interface ManyHerds {
  readonly herds: readonly Herd[]
  readonly clock: CrowdedClock
  readonly looks: Look[]
  end(): void
}

/** They are in use, and well past their start. `chance`: what the clock draws; otherwise it draws as random numbers come. */
export async function manyHerds(
  count: number,
  servers: Readonly<Record<string, Server>>,
  chance?: number
): Promise<ManyHerds> {
  const clock = new CrowdedClock(chance)
  const config = resolveConfig({ host: Object.keys(servers).map(literal) }, {}, {})
  const looks: Look[] = []
  const herds = Array.from({ length: count }, () => {
    const probes = probesOf(servers, clock, (server, depth, isNew) =>
      looks.push({ at: clock.mono(), server, depth, isNew })
    )
    return new Herd(config, { clock, probes, ask: nothing, busy: () => true })
  })
  for (const herd of herds) {
    herd.open()
    await clock.advance(1)
  }
  await clock.advance(1000)
  looks.length = 0
  const end = () => {
    for (const herd of herds) {
      herd.end()
      herd.close()
    }
  }
  return { herds, clock, looks, end }
}

/** The most of them in any `millis` in a row. */
export function crest(looks: readonly Look[], millis: number): number {
  let most = 0
  for (let first = 0, last = 0; last < looks.length; last++) {
    while ((looks[last] as Look).at - (looks[first] as Look).at >= millis) first++
    most = Math.max(most, last - first + 1)
  }
  return most
}
