// A question of the proxy's own to a server, and errors of servers as values.

import type { Source, Spoken } from '../../core/cluster/failure.js'
import type { UnderWay } from '../../core/session/server-session.js'
import { Back } from '../wire/letters.js'
import type { Exchange, Piece } from './traffic.js'

const NO_INSERTS: Buffer[] = []
const ASIDE: UnderWay = { text: null, isAside: true }

/** An error that a server has sent, as it was sent, with all that belongs to the answer. */
export class ServerError extends Error {
  readonly code: string
  readonly spoken: Spoken
  /** The answer from its beginning to ReadyForQuery; without that where the session has ended. */
  readonly answer: readonly Buffer[]

  constructor(message: string, spoken: Spoken, answer: readonly Buffer[]) {
    super(message)
    this.code = spoken.code ?? 'XX000'
    this.spoken = spoken
    this.answer = answer
  }
}

/** A question of the proxy's own; the first value of its first row. */
export class Question implements Exchange {
  readonly underWay = ASIDE
  readonly inserts = NO_INSERTS
  readonly #told: (error: unknown, value: string | null, source: Source) => void
  #value: string | null = null
  #hasRow = false
  #spoken: Spoken | null = null
  #message = ''

  constructor(told: (error: unknown, value: string | null, source: Source) => void) {
    this.#told = told
  }

  piece({ type, bytes, from, to, begins, ends }: Piece): boolean {
    if (type === Back.dataRow && !this.#hasRow && begins && ends) {
      this.#hasRow = true
      const length = to - from >= 11 ? bytes.readInt32BE(from + 7) : -1
      if (length >= 0 && from + 11 + length <= to) this.#value = bytes.toString('utf8', from + 11, from + 11 + length)
    }
    if (type === Back.error) this.#message = messageIn(bytes, from + 5, to)
    return false
  }

  failed(spoken: Spoken): void {
    this.#spoken ??= spoken
  }

  ended(): void {
    const spoken = this.#spoken
    if (spoken === null) this.#told(null, this.#value, 'pgherd')
    else this.#told(new ServerError(this.#message, spoken, []), null, spoken)
  }

  lost(error: Error, source: Source): void {
    const spoken = this.#spoken
    if (spoken === null) this.#told(error, null, source)
    else this.#told(new ServerError(this.#message, spoken, []), null, spoken)
  }

  write(): void {}
  parameter(): void {}
}

/** Field M of an ErrorResponse. */
export function messageIn(bytes: Buffer, from: number, to: number): string {
  for (let place = from; place < to && bytes[place] !== 0; ) {
    const zero = bytes.indexOf(0, place + 1)
    if (zero === -1 || zero >= to) break
    if (bytes[place] === 0x4d) return bytes.toString('utf8', place + 1, zero)
    place = zero + 1
  }
  return 'an error'
}
