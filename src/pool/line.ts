// What its holder sends on a client: one after the other, as on one connection.

import { inContext } from '../runtime/context.js'

export class Line {
  readonly #turns: (() => void)[] = []
  readonly #waiters: (() => void)[] = []
  #isBusy = false

  /** Something is under way, and perhaps more waits. */
  get isBusy(): boolean {
    return this.#isBusy
  }

  /** `turn` calls next() when it is over. The first in line runs at once, in the context of its caller; so does each other one. */
  add(turn: () => void): void {
    if (this.#isBusy) this.#turns.push(inContext(turn))
    else {
      this.#isBusy = true
      turn()
    }
  }

  /** What was under way is over. */
  readonly next = (): void => {
    const turn = this.#turns.shift()
    if (turn !== undefined) {
      turn()
      return
    }
    this.#isBusy = false
    for (const tell of this.#waiters.splice(0)) tell()
  }

  /** Calls when nothing waits in line any more. */
  whenFree(tell: () => void): void {
    if (this.#isBusy) this.#waiters.push(tell)
    else tell()
  }
}
