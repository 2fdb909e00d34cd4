// Holds flows back while something is arranged, and tells when the last of them has come to rest.

export class Gate {
  #isOpen = true
  #inside = 0
  #waiting: (() => void)[] = []
  #resting: (() => void)[] = []

  /** Passes one turn of a flow through the gate, when it is open. */
  async through<T>(turn: () => Promise<T>): Promise<T> {
    while (!this.#isOpen) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#inside++
    try {
      return await turn()
    } finally {
      this.#inside--
      if (this.#inside === 0) for (const rest of this.#resting.splice(0)) rest()
    }
  }

  /** Resolves when nobody is inside any more. */
  async close(): Promise<void> {
    this.#isOpen = false
    if (this.#inside > 0) await new Promise<void>((resolve) => this.#resting.push(resolve))
  }

  open(): void {
    this.#isOpen = true
    for (const go of this.#waiting.splice(0)) go()
  }
}
