// What a client sends, as messages: chunks wait here while a unit of the client runs, up to a bound behind which its socket is not read.

import type { Duplex } from 'node:stream'
import { type FrameRules, Framer } from '../wire/framer.js'

export interface Taker {
  /** The piece can be acted on now. False: again() is called when it can. */
  mayTake(piece: Framer): boolean
  /** False: the client is done. */
  take(piece: Framer): boolean
  breaks(fault: string): void
}

/** Bytes of a client that wait while one of its units runs. */
const MOST_WAITING = 256 << 10

export class Inlet {
  readonly #socket: Duplex
  readonly #framer: Framer
  readonly #taker: Taker
  readonly #chunks: Buffer[] = []
  #bytes = 0
  #isPaused = false
  /** The framer has found a piece that could not be acted on yet. */
  #hasPiece = false
  #isReading = false
  #isOver = false
  received = 0

  constructor(socket: Duplex, rules: FrameRules, taker: Taker) {
    this.#socket = socket
    this.#framer = new Framer(rules)
    this.#taker = taker
    socket.on('data', (chunk: Buffer) => this.push(chunk))
  }

  push(chunk: Buffer): void {
    if (this.#isOver) return
    this.received += chunk.length
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    this.again()
    if (this.#bytes <= MOST_WAITING || this.#isPaused) return
    this.#isPaused = true
    this.#socket.pause()
  }

  /** Takes what there is, as far as it can be acted on. */
  again(): void {
    if (this.#isReading || this.#isOver) return
    this.#isReading = true
    while (this.#next()) if (!this.#taker.take(this.#framer)) break
    this.#isReading = false
    if (!this.#isPaused || this.#bytes > MOST_WAITING / 2 || this.#isOver) return
    this.#isPaused = false
    this.#socket.resume()
  }

  /** The same, when what runs now is done. */
  later(): void {
    process.nextTick(() => this.again())
  }

  #next(): boolean {
    const framer = this.#framer
    while (!this.#hasPiece && !this.#isOver) {
      if (framer.next()) this.#hasPiece = true
      else if (framer.fault !== null) {
        this.#taker.breaks(framer.fault)
        return false
      } else {
        const chunk = this.#chunks.shift()
        if (chunk === undefined) return false
        this.#bytes -= chunk.length
        framer.push(chunk)
      }
    }
    if (this.#isOver || !this.#taker.mayTake(framer)) return false
    this.#hasPiece = false
    return true
  }

  end(): void {
    this.#isOver = true
    this.#chunks.length = 0
  }
}
