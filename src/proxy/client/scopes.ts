// Which session the code that runs now belongs to: that of one client connection, named for as long as the router is asked something.

import type { Scope } from '../../core/session/causal-scope.js'

export class Scopes {
  #current: Scope | undefined

  get current(): Scope | undefined {
    return this.#current
  }

  run<T>(scope: Scope, work: () => T): T {
    return this.within(scope, work)
  }

  /** What `work` does before it waits belongs to the session. */
  within<T>(scope: Scope | undefined, work: () => T): T {
    const around = this.#current
    this.#current = scope
    try {
      return work()
    } finally {
      this.#current = around
    }
  }
}
