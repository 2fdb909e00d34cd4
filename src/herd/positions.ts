// How far the primary's WAL reaches. It is asked right after each acknowledged write, and all waiters share the answer. At most four
// questions are on their way at once. With one alone, a reader would also wait for the answer about the write before its own.
// It judges nothing: the probes find out why a question has failed.

import type { NodeKey } from '../core/cluster/address.js'
import type { Instant } from '../core/cluster/instant.js'
import type { Clock } from '../runtime/clock.js'
import type { Probe } from './probe.js'
import type { Store } from './store.js'

const MOST_IN_FLIGHT = 4
/** The primary serves a read better that would wait longer than this for a position. */
const DEADLINE_MILLIS = 1000
/** Weight of the newest trip in the usual trip. */
const NEWEST = 0.2

interface Flight {
  readonly sentAt: number
  readonly landed: Promise<void>
}

export class PositionQuestions {
  readonly #store: Store
  readonly #clock: Clock
  readonly #probeOf: (key: NodeKey) => Probe | undefined
  readonly #flights: Flight[] = []
  /** The question that is sent when an answer has come back. */
  #next: { readonly landed: Promise<void>; readonly begin: () => void } | null = null
  #tripMillis = 1
  #asked = 0

  constructor(store: Store, clock: Clock, probeOf: (key: NodeKey) => Probe | undefined) {
    this.#store = store
    this.#clock = clock
    this.#probeOf = probeOf
  }

  /** From the primary and back, usually, in milliseconds. */
  get tripMillis(): number {
    return this.#tripMillis
  }

  /** How many questions were sent. */
  get asked(): number {
    return this.#asked
  }

  /** Has the primary asked, now or as soon as one of the questions on their way is answered. */
  ask(): void {
    if (this.#flights.length < MOST_IN_FLIGHT) this.#send()
    else this.#next ??= this.#waiting()
  }

  /** Resolves when a question that was sent after `since` is answered, or will not be. Null: there is no such question. */
  after(since: number): Promise<void> | null {
    const flight = this.#flights.find(({ sentAt }) => sentAt > since)
    return flight?.landed ?? this.#next?.landed ?? null
  }

  #waiting(): { readonly landed: Promise<void>; readonly begin: () => void } {
    let begin = () => {}
    const landed = new Promise<void>((resolve) => {
      begin = () => void this.#send().then(resolve)
    })
    return { landed, begin }
  }

  #send(): Promise<void> {
    const { primary } = this.#store.topology
    const probe = primary === null ? undefined : this.#probeOf(primary)
    if (primary === null || probe === undefined) return Promise.resolve()
    const startedAt = this.#clock.now()
    this.#asked++
    const landed = this.#fly(primary, probe, startedAt).then(() => {
      this.#flights.splice(this.#flights.indexOf(flight), 1)
      const next = this.#next
      this.#next = null
      next?.begin()
    })
    const flight = { sentAt: startedAt.mono, landed }
    this.#flights.push(flight)
    return landed
  }

  async #fly(key: NodeKey, probe: Probe, startedAt: Instant): Promise<void> {
    const answer = await probe.position(DEADLINE_MILLIS)
    if (answer === null) return
    this.#tripMillis += NEWEST * (this.#clock.mono() - startedAt.mono - this.#tripMillis)
    const { timeline, ...positions } = answer
    this.#store.dispatch({ kind: 'sampled', key, startedAt, at: this.#clock.now(), timeline, positions })
  }
}
