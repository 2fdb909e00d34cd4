// Ends what the server of a lane is at work on, without hitting the reads behind it.

import type { PoolClient } from 'pg'
import { ask } from '../pg/own-query.js'
import { discard } from '../pg/socket.js'
import type { LaneOwner } from './lane-owner.js'

/** The first pause before another request; each is twice as long as the one before. */
const PAUSE_MILLIS = 10
/** After so long a connection that a cancelled statement still keeps busy is given up. */
const CANCEL_MILLIS = 2000

export class LaneCancel {
  readonly #owner: LaneOwner
  readonly #client: PoolClient
  readonly #over: () => void
  #isCancelling = false
  /** Empty questions behind cancel requests that are not answered. */
  #asked = 0
  #headChanged: (() => void) | null = null

  /** `over` is called when a request can hit nothing that is sent from then on. */
  constructor(owner: LaneOwner, client: PoolClient, over: () => void) {
    this.#owner = owner
    this.#client = client
    this.#over = over
  }

  /** A request may hit what is sent now. */
  get isUnderWay(): boolean {
    return this.#isCancelling || this.#asked > 0
  }

  /** The lane has another head, or has ended. */
  headChanged(): void {
    this.#headChanged?.()
  }

  /**
   * As long as `isHead` the head is to end. A request may overtake its statement, so it is sent again. A connection that stays busy is
   * given up, and its other reads go elsewhere.
   */
  async end(isHead: () => boolean): Promise<void> {
    if (this.#isCancelling) return
    this.#isCancelling = true
    const { clock } = this.#owner
    const from = clock.mono()
    for (let pause = PAUSE_MILLIS; isHead(); pause *= 2) {
      if (clock.mono() - from > CANCEL_MILLIS) {
        discard(this.#client)
        return
      }
      await this.#owner.cancelOnce(this.#client)
      if (isHead()) await this.#changed(pause)
    }
    this.#isCancelling = false
    // The request's connection is closed, so the server's process has its signal; it has acted on that when it answers this.
    this.#asked++
    ask(this.#client, '', () => {
      this.#asked--
      process.nextTick(this.#over)
    })
  }

  /** Resolves when there is another head, or after so long. */
  #changed(millis: number): Promise<void> {
    return new Promise((resolve) => {
      const over = () => {
        alarm.cancel()
        this.#headChanged = null
        resolve()
      }
      const alarm = this.#owner.clock.alarm(millis, over, 'process')
      this.#headChanged = over
    })
  }
}
