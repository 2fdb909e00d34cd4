// A client on which statements are sent without waiting for the answers before them (pg's pipeline mode, 8.23 and later), from open() to
// close(). pg's query_timeout would begin with the call there, and end the connection, so it is off meanwhile. Decides nothing.

import type { Client } from 'pg'
import type { Internals } from './internals.js'
import { pipelines } from './pipeline.js'

interface Stream {
  cork?(): void
  uncork?(): void
}

interface Piped {
  readonly connection?: { readonly stream?: Stream }
  readonly connectionParameters?: { query_timeout?: unknown }
}

export class Pipelined {
  readonly #client: Client
  readonly #internals: Internals
  readonly #answered: () => void
  readonly #uncork: () => void
  readonly #counts = () => {
    this.#answers++
  }
  readonly #timeout: unknown
  #answers = 0
  #isCorked = false

  /** `answered` is called behind every answer, when the server is ready for the next statement. */
  constructor(client: Client, answered: () => void) {
    this.#client = client
    this.#internals = client as unknown as Internals
    this.#answered = answered
    const piped = client as unknown as Piped
    const stream = piped.connection?.stream
    this.#uncork = () => {
      this.#isCorked = false
      stream?.uncork?.()
    }
    this.#timeout = piped.connectionParameters?.query_timeout
    this.#switch(true, undefined)
    // Before pg's own listener, which takes the next statement up, and tells what has been answered.
    this.#internals.connection?.prependListener('readyForQuery', this.#counts)
    this.#internals.connection?.on('readyForQuery', answered)
  }

  /** Answers so far, to whatever was sent: hooks of the application may have sent something, too. */
  get answers(): number {
    return this.#answers
  }

  /** So many answers there will have been when what was sent last is answered. */
  get last(): number {
    return this.#answers + this.unanswered
  }

  /** The pool's query_timeout, in milliseconds; 0: none. */
  get timeoutMillis(): number {
    return Number(this.#timeout) || 0
  }

  /** What is sent until the code that runs now has returned goes out in one packet, where there are packets. */
  hold(): void {
    if (this.#isCorked) return
    this.#isCorked = true
    ;(this.#internals.connection?.stream as Stream | undefined)?.cork?.()
    process.nextTick(this.#uncork)
  }

  /** Statements that were sent, and are not answered. */
  get unanswered(): number {
    const { readyForQuery, _sentQueryQueue = [] } = this.#internals
    // What has failed is not under way for pg, and yet the server is to say that it is ready.
    return _sentQueryQueue.length + (readyForQuery ? 0 : 1)
  }

  /** Nothing that was sent is unanswered, and the server is ready. */
  get isDrained(): boolean {
    return this.unanswered === 0 && this.#internals._queryQueue.length === 0
  }

  /** Its socket keeps the process alive, or does not. */
  keepsProcess(does: boolean): void {
    const client = this.#client as unknown as { ref(): void; unref(): void }
    if (does) client.ref()
    else client.unref()
  }

  /** A plain client again. */
  close(): void {
    this.#internals.connection?.removeListener('readyForQuery', this.#counts)
    this.#internals.connection?.removeListener('readyForQuery', this.#answered)
    this.#switch(false, this.#timeout)
  }

  #switch(pipeline: boolean, timeout: unknown): void {
    const piped = this.#client as unknown as Piped
    pipelines(this.#client, pipeline)
    if (this.#timeout && piped.connectionParameters !== undefined) piped.connectionParameters.query_timeout = timeout
  }
}
