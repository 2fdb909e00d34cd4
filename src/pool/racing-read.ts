// One of two attempts at the read of a client that borrows: what its server notifies is told only if its answer is the client's.

import type { Notice } from '../pg/internals.js'
import type { Sending } from './parts.js'

export class RacingRead implements Sending {
  readonly types: unknown
  readonly #of: Sending
  readonly #notices: unknown[] = []
  #onClose: (() => void) | null = null

  constructor(of: Sending) {
    this.#of = of
    this.types = of.types
  }

  readonly notice: Notice = (message) => {
    this.#notices.push(message)
  }

  get isClosed(): boolean {
    return this.#of.isClosed
  }

  onClose(call: () => void): () => void {
    this.#onClose = call
    return () => {
      this.#onClose = null
    }
  }

  /** The client was closed. */
  close(): void {
    this.#onClose?.()
  }

  /** Its answer is the client's. */
  tell(): void {
    for (const message of this.#notices.splice(0)) this.#of.notice(message)
  }
}
