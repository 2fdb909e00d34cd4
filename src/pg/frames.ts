// Walks over the messages that a server sends, in whatever pieces they come, and reads of each ErrorResponse what says whether it
// speaks of the session or of a statement. Copies nothing, judges nothing, and goes on past whatever it does not know.

import type { Spoken } from '../core/sqlstates.js'

const ERROR = 0x45 // 'E'
const NOTICE = 0x4e // 'N'
const HEADER_BYTES = 5
/** No SQLSTATE, severity or name of a C function is longer. */
const LONGEST = 64

const [SEVERITY, CODE, ROUTINE, WHERE, QUERY] = [...'VCRWq'].map((field) => field.charCodeAt(0)) as [
  number,
  number,
  number,
  number,
  number,
]

export class Frames {
  /** Bytes of a header that has come in part, and their value. */
  #headed = 0
  #type = 0
  #length = 0
  /** Bytes of the present message that are still to come. */
  #left = 0
  #reading: Reading | null = null
  /** The ErrorResponse behind which walk() has stopped; null: it stopped elsewhere. */
  error: Spoken | null = null

  /** Goes on at `from`, and stops behind an ErrorResponse or NoticeResponse, else at the end of the chunk. */
  walk(chunk: Uint8Array, from: number): number {
    const { length } = chunk
    this.error = null
    let at = from
    while (at < length) {
      if (this.#left > 0) {
        const end = Math.min(length, at + this.#left)
        this.#left -= end - at
        this.#reading?.take(chunk, at, end)
        at = end
      } else if (this.#headed > 0) this.#head(chunk[at++] as number)
      else {
        at = pastWhole(chunk, at)
        if (at + HEADER_BYTES <= length) {
          this.#begin(chunk[at] as number, lengthAt(chunk, at + 1))
          at += HEADER_BYTES
        } else if (at < length) this.#head(chunk[at++] as number)
      }
      if (this.#left > 0 || this.#reading === null) continue
      this.error = this.#reading.type === ERROR ? this.#reading.spoken() : null
      this.#reading = null
      return at
    }
    return at
  }

  /** One byte of a header that is cut by the end of a chunk. */
  #head(byte: number): void {
    if (this.#headed === 0) {
      this.#type = byte
      this.#length = 0
    } else this.#length = this.#length * 256 + byte
    if (++this.#headed < HEADER_BYTES) return
    this.#headed = 0
    this.#begin(this.#type, this.#length)
  }

  /** A length counts itself, so one below 4 is a lie; the parser goes on as if it were 4. */
  #begin(type: number, length: number): void {
    this.#left = Math.max(0, length - 4)
    if (type === ERROR || type === NOTICE) this.#reading = new Reading(type)
  }
}

/** Rows by the thousand: past each message that is there as a whole, and needs no reading. */
function pastWhole(chunk: Uint8Array, from: number): number {
  let at = from
  while (at + HEADER_BYTES <= chunk.length) {
    const type = chunk[at]
    const end = at + 1 + lengthAt(chunk, at + 1)
    if (type === ERROR || type === NOTICE || end > chunk.length || end < at + HEADER_BYTES) break
    at = end
  }
  return at
}

function lengthAt(chunk: Uint8Array, at: number): number {
  const [a, b] = [chunk[at] as number, chunk[at + 1] as number]
  const [c, d] = [chunk[at + 2] as number, chunk[at + 3] as number]
  return a * 0x1000000 + ((b << 16) | (c << 8) | d)
}

/** The fields of one message: each a letter and a text that ends with a zero, and a zero in the end. */
class Reading {
  readonly type: number
  #field = 0
  #inside = false
  #text = ''
  #severity: string | null = null
  #code: string | null = null
  #routine: string | null = null
  #nested = false

  constructor(type: number) {
    this.type = type
  }

  take(chunk: Uint8Array, from: number, to: number): void {
    for (let at = from; at < to; at++) {
      const byte = chunk[at] as number
      if (!this.#inside) {
        this.#field = byte
        this.#text = ''
        this.#inside = byte !== 0
      } else if (byte === 0) this.#end()
      else if (this.#isWanted() && this.#text.length < LONGEST) this.#text += String.fromCharCode(byte)
    }
  }

  #isWanted(): boolean {
    return this.#field === SEVERITY || this.#field === CODE || this.#field === ROUTINE
  }

  #end(): void {
    this.#inside = false
    if (this.#field === SEVERITY) this.#severity = this.#text
    else if (this.#field === CODE) this.#code = this.#text
    else if (this.#field === ROUTINE) this.#routine = this.#text
    else if (this.#field === WHERE || this.#field === QUERY) this.#nested = true
  }

  spoken(): Spoken {
    const severity = SEVERITIES.find((known) => known === this.#severity) ?? null
    return { code: this.#code, severity, routine: this.#routine, nested: this.#nested, begun: false, starting: false }
  }
}

const SEVERITIES = ['ERROR', 'FATAL', 'PANIC'] as const
