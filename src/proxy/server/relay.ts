// Bytes of one chunk that go to the same exchange, side by side: they are written together, not message by message.

import type { Framer } from '../wire/framer.js'
import type { Exchange } from './traffic.js'

export class Relay {
  #chunk: Buffer | null = null
  #of: Exchange | null = null
  #from = 0
  #to = 0

  /** The framer's present piece. */
  add(of: Exchange, { bytes, from, to }: Framer): void {
    if (this.#of === of && this.#chunk === bytes && this.#to === from) {
      this.#to = to
      return
    }
    this.flush()
    this.#of = of
    this.#chunk = bytes
    this.#from = from
    this.#to = to
  }

  /** Before anything else is written, and at the end of a chunk. */
  flush(): void {
    const [of, chunk] = [this.#of, this.#chunk]
    if (of === null || chunk === null) return
    this.#of = this.#chunk = null
    of.write(chunk.subarray(this.#from, this.#to))
  }
}
