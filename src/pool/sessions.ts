// Which session of pool.session() the code that runs now belongs to, however deep. AsyncLocalStorage tells; nothing is switched on
// before the first session.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { Scope } from '../core/session/causal-scope.js'

export class Sessions {
  #used = false

  /** The innermost session around the code that runs now. */
  get current(): Scope | undefined {
    if (!this.#used) return undefined
    let around = storage.getStore()
    while (around !== undefined && around.of !== this) around = around.outer
    return around?.scope
  }

  run<T>(scope: Scope, work: () => T): T {
    this.#used = true
    return storage.run({ of: this, scope, outer: storage.getStore() }, work)
  }
}

/** The sessions around the code that runs now, of all pools, from the inside out. */
interface Around {
  readonly of: Sessions
  readonly scope: Scope
  readonly outer: Around | undefined
}

/** One for all pools: a storage that was used once costs every promise of the process from then on (Node 20), ended pool or not. */
export const storage = new AsyncLocalStorage<Around>()
