// pgherd watch: the topology as it changes. Decides when to probe and which changes to report; shows.ts prints them. A key or a
// signal ends it.

import { type Clock, systemClock, timeOfDay } from '../runtime/clock.js'
import type { Command } from './args.js'
import { type Change, changesBetween, failoverText, present, Reads, warningText } from './changes.js'
import { type Looking, lookAround, lookAt, pause } from './herd.js'
import { type Entry, Lines, Live, type Place, type Show } from './shows.js'
import { isScreen } from './terminal.js'

const TICK_MILLIS = 250
const FIRST_LOOK_MILLIS = 2000
const MOST_ENTRIES = 500

export interface Outside extends Place {
  /** Resolves with the exit code. */
  readonly ended: Promise<number>
  /** Calls back with each warning of the process. */
  readonly warned: (listener: (message: string) => void) => void
}

export async function watch(
  wanted: Extract<Command, { kind: 'watch' }>,
  outside: Outside,
  clock: Clock = systemClock
): Promise<number> {
  const looking = lookAt(wanted, outside.environment)
  const live = !wanted.json && isScreen(outside.output, outside.environment)
  const show = live ? new Live(looking, outside) : new Lines(outside, wanted.json)
  const log = new Log(looking, show)
  let code: number | null = null
  try {
    outside.warned((message) => log.add([warningText(message)]))
    show.draw(looking.pool.topology(), log.entries)
    const over = outside.ended.then((ended) => {
      code = ended
    })
    await Promise.race([lookAround(looking, clock, FIRST_LOOK_MILLIS), over])
    if (code === null) log.begin()
    while (code === null) {
      looking.pool.health() // keeps it looking
      log.tick(clock.mono())
      await Promise.race([pause(clock, TICK_MILLIS), over])
    }
    return code
  } finally {
    show.end(looking.pool.topology(), log.entries)
    await looking.pool.end()
  }
}

/** What happened, the newest last. */
class Log {
  readonly entries: Entry[] = []
  readonly #looking: Looking
  readonly #show: Show
  readonly #reads = new Reads()

  constructor(looking: Looking, show: Show) {
    this.#looking = looking
    this.#show = show
  }

  /** Reports what was found before this call by its present state, and from then on every change. */
  begin(): void {
    const { pool } = this.#looking
    this.#show.begin()
    this.add(present(pool.topology()))
    pool.on('topology', (after, before) => this.add(changesBetween(before, after)))
    pool.on('failover', (failover) => this.add([failoverText(failover)]))
  }

  tick(now: number): void {
    this.add(this.#reads.note(this.#looking.pool.topology(), now))
  }

  add(changes: readonly Change[]): void {
    const at = timeOfDay()
    const entries = changes.map((change) => ({ ...change, at }))
    this.entries.push(...entries)
    this.entries.splice(0, this.entries.length - MOST_ENTRIES)
    if (entries.length > 0) this.#show.told(entries)
    this.#show.draw(this.#looking.pool.topology(), this.entries)
  }
}
