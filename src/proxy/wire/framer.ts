// Bytes in whatever pieces they come -> messages of the protocol, in place. A message that must be inspected is given out whole; of any
// other only as much is held as its rule asks for, and its body passes in the pieces in which it comes. Refuses lengths and kinds that
// no peer may send. One for each direction of a connection; it judges no contents.

import { HEADER_BYTES, int32 } from './letters.js'

/** By the letter of a message. */
export interface FrameRules {
  /** Bytes of the body that are there before the message is given out; at most its length. */
  readonly least: Float64Array
  /** The longest body, in bytes; -1: no peer sends such a message. */
  readonly most: Float64Array
}

/** Any length that the protocol can say. */
const LONGEST = 0x7fffffff - 4

export interface Rule {
  readonly least?: number
  readonly most?: number
}

/** `rules`: letters, and what holds for them. What is not listed is refused. */
export function frameRules(rules: Readonly<Record<string, Rule>>): FrameRules {
  const [least, most] = [new Float64Array(256), new Float64Array(256).fill(-1)]
  for (const [letters, rule] of Object.entries(rules)) {
    for (const letter of letters) {
      least[letter.charCodeAt(0)] = rule.least ?? 0
      most[letter.charCodeAt(0)] = rule.most ?? LONGEST
    }
  }
  return { least, most }
}

const NOTHING = Buffer.alloc(0)
const LEAST_HELD = 256

export class Framer {
  #rules: FrameRules
  #chunk: Buffer = NOTHING
  #at = 0
  /** Bytes of a message under way that are yet to come. */
  #left = 0
  /** A message that has come in part, in a buffer that grows with it. */
  #held: Buffer | null = null
  #heldBytes = 0

  // The piece that next() has found: `bytes` from `from` to `to`.

  type = 0
  bytes: Buffer = NOTHING
  from = 0
  to = 0
  /** The piece has the header of its message, and the end of it. */
  begins = false
  ends = false
  /** Of the message that begins: header and body. */
  total = 0
  /** What is wrong with what came; set once, and nothing is given out any more. */
  fault: string | null = null

  constructor(rules: FrameRules) {
    this.#rules = rules
  }

  /** From the next message on. */
  rule(rules: FrameRules): void {
    this.#rules = rules
  }

  /** The last chunk must have been read to its end. */
  push(chunk: Buffer): void {
    this.#chunk = this.#at < this.#chunk.length ? Buffer.concat([this.#chunk.subarray(this.#at), chunk]) : chunk
    this.#at = 0
  }

  /** What has come and was not given out; nothing is given out behind that. */
  rest(): Buffer {
    const rest = this.#chunk.subarray(this.#at)
    this.#at = this.#chunk.length
    return this.#held === null ? rest : Buffer.concat([this.#held.subarray(0, this.#heldBytes), rest])
  }

  /** Bytes that are held of a message that is not there as far as its rule asks for. */
  get held(): number {
    return this.#heldBytes
  }

  /** Between two messages. */
  get isAtRest(): boolean {
    return this.#left === 0 && this.#held === null && this.#at >= this.#chunk.length
  }

  /** False: more must come, or there is a fault. */
  next(): boolean {
    if (this.fault !== null) return false
    if (this.#left > 0) return this.#more()
    if (this.#held !== null) return this.#fill()
    const [chunk, at] = [this.#chunk, this.#at]
    const there = chunk.length - at
    if (there < HEADER_BYTES) return there > 0 && this.#hold()
    const type = chunk[at] as number
    const length = int32(chunk, at + 1)
    if (!this.#accepts(type, length)) return false
    const total = length + 1
    const needed = HEADER_BYTES + Math.min(length - 4, this.#rules.least[type] as number)
    if (there < needed) return this.#hold()
    this.#begin(type, total)
    return this.#give(chunk, at, Math.min(chunk.length, at + total), total)
  }

  /** The body of a long message goes on. */
  #more(): boolean {
    const [chunk, at] = [this.#chunk, this.#at]
    if (at >= chunk.length) return false
    this.begins = false
    return this.#give(chunk, at, Math.min(chunk.length, at + this.#left), this.#left)
  }

  #begin(type: number, total: number): void {
    this.type = type
    this.total = total
    this.begins = true
  }

  #give(bytes: Buffer, from: number, to: number, left: number): true {
    this.bytes = bytes
    this.from = from
    this.to = to
    this.#left = left - (to - from)
    this.ends = this.#left === 0
    this.#at = to
    return true
  }

  #hold(): false {
    const part = this.#chunk.subarray(this.#at)
    this.#held = Buffer.allocUnsafe(Math.max(LEAST_HELD, part.length))
    this.#held.set(part)
    this.#heldBytes = part.length
    this.#at = this.#chunk.length
    return false
  }

  /** Adds what has come to the message that was cut. */
  #fill(): boolean {
    if (!this.#take(HEADER_BYTES)) return false
    const head = this.#held as Buffer
    const [type, length] = [head[0] as number, int32(head, 1)]
    if (!this.#accepts(type, length)) return false
    const needed = HEADER_BYTES + Math.min(length - 4, this.#rules.least[type] as number)
    if (!this.#take(needed)) return false
    const [held, bytes] = [this.#held as Buffer, this.#heldBytes]
    this.#held = null
    this.#heldBytes = 0
    this.#begin(type, length + 1)
    const { from, to } = { from: 0, to: bytes }
    this.bytes = held
    this.from = from
    this.to = to
    this.#left = length + 1 - bytes
    this.ends = this.#left === 0
    return true
  }

  /** True: so many bytes of the message are there. Grows by what has come, not by what was announced. */
  #take(bytes: number): boolean {
    const held = this.#held as Buffer
    if (this.#heldBytes >= bytes) return true
    const part = this.#chunk.subarray(this.#at, this.#at + bytes - this.#heldBytes)
    const needed = this.#heldBytes + part.length
    let room = held
    if (needed > held.length) {
      room = Buffer.allocUnsafe(Math.min(bytes, Math.max(needed, held.length * 2)))
      room.set(held.subarray(0, this.#heldBytes))
      this.#held = room
    }
    room.set(part, this.#heldBytes)
    this.#heldBytes = needed
    this.#at += part.length
    return needed >= bytes
  }

  #accepts(type: number, length: number): boolean {
    const most = this.#rules.most[type] as number
    if (most >= 0 && length >= 4 && length - 4 <= most) return true
    const named = type > 32 && type < 127 ? `'${String.fromCharCode(type)}'` : `0x${type.toString(16)}`
    if (most < 0) this.fault = `a message of the unexpected kind ${named}`
    else if (length < 4) this.fault = `a message ${named} of the impossible length ${length}`
    else this.fault = `a message ${named} of ${length} bytes, where at most ${most + 4} are taken`
    return false
  }
}
