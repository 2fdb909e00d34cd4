// A server that lets this pool have no more connections (53300): those that it has are its `max` for a while, and the caller that
// would have got the next one waits in line for one of them, as at `max`. Opens nothing, and knows nothing of statements.

import type { Alarm, Clock } from '../runtime/clock.js'
import type { Connected, InnerPool } from './internals.js'
import { sessionOf } from './watch.js'

/** For so long; then one more is tried. */
const CEILING_MILLIS = 5000

/** pg's words for a wait in its queue that took too long. */
const IN_QUEUE = 'timeout exceeded when trying to connect'

export class Ceiling {
  readonly #inner: InnerPool
  readonly #clock: Clock
  readonly #max: number
  #alarm: Alarm | null = null

  constructor(inner: InnerPool, clock: Clock) {
    this.#inner = inner
    this.#clock = clock
    this.#max = inner.options.max
  }

  /**
   * The caller waits at the head of the line, until `deadline` on the monotonic clock. False: there is no connection to wait for.
   * `hope`: one that logs in at this moment may be let in, which would do, too.
   */
  park(connected: Connected, deadline: number, hope: 'any' | 'ready'): boolean {
    const inner = this.#inner
    const ready = this.#ready
    if (inner.ending || (hope === 'ready' ? ready : inner._clients.length) === 0) return false
    inner.options.max = Math.max(1, ready)
    this.#alarm?.cancel()
    this.#alarm = this.#clock.alarm(CEILING_MILLIS, () => this.#lift())
    inner._pendingQueue.unshift(this.#item(connected, deadline))
    // One may have become idle while the other was refused.
    if (inner._idle.length > 0) process.nextTick(() => inner._pulseQueue())
    return true
  }

  /** Another connection was let in. */
  connected(): void {
    if (this.#alarm !== null) this.#inner.options.max = Math.min(this.#max, Math.max(1, this.#ready))
  }

  end(): void {
    this.#alarm?.cancel()
    this.#alarm = null
  }

  get #ready(): number {
    return this.#inner._clients.filter((client) => sessionOf(client)?.readyAt !== null).length
  }

  #item(connected: Connected, deadline: number): { callback: Connected; timedOut: boolean } {
    let alarm: Alarm | undefined
    const item = {
      callback: ((error, client, release) => {
        alarm?.cancel()
        connected(error, client, release)
      }) as Connected,
      timedOut: false,
    }
    if (deadline === Infinity) return item
    alarm = this.#clock.alarm(Math.max(0, deadline - this.#clock.mono()), () => {
      const place = this.#inner._pendingQueue.indexOf(item)
      if (place >= 0) this.#inner._pendingQueue.splice(place, 1)
      item.timedOut = true
      connected(new Error(IN_QUEUE), undefined, () => {})
    })
    return item
  }

  #lift(): void {
    const inner = this.#inner
    this.#alarm = null
    inner.options.max = this.#max
    for (let free = this.#max - inner._clients.length; free > 0 && inner._pendingQueue.length > 0; free--) {
      inner._pulseQueue()
    }
  }
}
