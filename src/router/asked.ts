// A request on its way, as the router hands it to the herd: decided once, and anew while it waits. Values only.

import type { Failure, Repeatable } from '../core/cluster/failure.js'
import type { Target } from '../core/cluster/selection.js'
import type { Request } from '../herd/herd.js'
import type { Routed } from './routing.js'
import type { Statement } from './statement.js'

export class Asked implements Request {
  readonly signal: AbortSignal | undefined
  readonly endless: true | undefined
  readonly again: (() => Request) | undefined
  readonly #statement: Statement | null
  #routed: Routed

  /**
   * `anew`: decides it anew; null: it stays as it is. `isEndless`: a cursor or a stream, which lives as long as its reader pleases.
   * `statement`: it may be sent to a second replica, if its text allows that.
   */
  constructor(
    routed: Routed,
    anew: (() => Routed) | null,
    signal: AbortSignal | undefined,
    isEndless: boolean,
    statement: Statement | null = null
  ) {
    this.#routed = routed
    this.#statement = statement
    this.signal = signal
    this.endless = isEndless ? true : undefined
    this.again =
      anew === null
        ? undefined
        : () => {
            this.#routed = anew()
            return this
          }
  }

  /** As it was decided last. */
  get routed(): Routed {
    return this.#routed
  }

  get target(): Target {
    return this.#routed.target
  }

  get repairs(): boolean {
    return this.#routed.repairs
  }

  /** Of two answers one is dropped whole. */
  get hedge(): boolean {
    return this.#routed.hedge === true && this.#statement?.isPlain === true
  }

  stays(): boolean {
    return this.#routed.stays?.() ?? false
  }

  repeat(): Repeatable {
    return this.#routed.repeat()
  }

  learn(refusal: Failure, what: 'refused' | 'served'): void {
    this.#routed.learn?.(refusal, what)
  }
}
