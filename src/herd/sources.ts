// When to ask the discovery sources: at the start, every few seconds while statements come, at once when the primary is lost.
// A source that fails or answers nothing changes nothing: the last good list stands.

import type { Alarm, Clock } from '../clock.js'
import { jittered } from '../clock.js'
import { failureOf } from '../core/failure.js'
import type { Discovery } from '../discovery/discovery.js'
import type { Store } from './store.js'

const INTERVAL_MILLIS = 5_000
const RETRY_MILLIS = 500

interface Round {
  readonly source: Discovery
  alarm: Alarm | null
  asking: boolean
}

export class Sources {
  readonly #store: Store
  readonly #clock: Clock
  readonly #rounds: readonly Round[]
  readonly #busy: () => boolean
  readonly #resting: () => boolean
  #stopped = false

  constructor(store: Store, clock: Clock, sources: readonly Discovery[], busy: () => boolean, resting: () => boolean) {
    this.#store = store
    this.#clock = clock
    this.#rounds = sources.map((source) => ({ source, alarm: null, asking: false }))
    this.#busy = busy
    this.#resting = resting
  }

  start(): void {
    this.wake()
  }

  /** Asks every source now. */
  wake(): void {
    for (const round of this.#rounds) void this.#ask(round)
  }

  stop(): void {
    this.#stopped = true
    for (const { alarm } of this.#rounds) alarm?.cancel()
  }

  async #ask(round: Round): Promise<void> {
    if (round.asking || this.#stopped) return
    round.asking = true
    round.alarm?.cancel()
    const { name: source } = round.source
    try {
      const found = round.source.discover()
      // The first statement must not wait for what is known: with one server it dials before it returns, as with pg.
      const addresses = found instanceof Promise ? await found : found
      this.#tell(() => this.#store.dispatch({ kind: 'discovered', source, addresses, at: this.#clock.now() }))
    } catch (error) {
      const failure = failureOf(error, 'connect')
      this.#tell(() => this.#store.dispatch({ kind: 'discovery-failed', source, failure, at: this.#clock.now() }))
    } finally {
      round.asking = false
    }
    // While nobody asks for a node nobody needs its address: the next statement wakes the sources.
    if (this.#stopped || this.#resting()) return
    const urgent = this.#busy() && this.#store.topology.primary === null
    const millis = jittered(urgent ? RETRY_MILLIS : INTERVAL_MILLIS, this.#clock)
    round.alarm = this.#clock.alarm(millis, () => void this.#ask(round))
  }

  #tell(dispatch: () => void): void {
    if (!this.#stopped) dispatch()
  }
}
