// What goes to a server: small parts in one packet, large ones as they are.

import type { Duplex } from 'node:stream'

const JOINED_BYTES = 16 << 10

export class Outgoing {
  readonly #socket: Duplex
  readonly #leading: Buffer[] = []
  #drained: (() => void) | null = null

  constructor(socket: Duplex) {
    this.#socket = socket
    socket.on('drain', () => this.#tell())
  }

  /** Goes ahead of what is written next. */
  lead(bytes: Buffer): void {
    this.#leading.push(bytes)
  }

  /** False: the writer should wait for drained(). */
  write(given: readonly Buffer[]): boolean {
    const bytes = this.#leading.length === 0 ? given : [...this.#leading.splice(0), ...given]
    const [first] = bytes
    if (first === undefined) return true
    if (bytes.length === 1) return this.#socket.write(first)
    let all = 0
    for (const each of bytes) all += each.length
    if (all <= JOINED_BYTES) return this.#socket.write(Buffer.concat(bytes as Buffer[], all))
    this.#socket.cork()
    let isFree = true
    for (const each of bytes) isFree = this.#socket.write(each)
    this.#socket.uncork()
    return isFree
  }

  drained(then: () => void): void {
    this.#drained = then
  }

  #tell(): void {
    const then = this.#drained
    this.#drained = null
    then?.()
  }

  /** The connection is gone: what waits for it goes on. */
  end(): void {
    this.#tell()
  }
}
