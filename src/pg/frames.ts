// What a server sends, in whatever pieces it comes -> whole messages, each checked before pg's parser sees it: of a known kind, of
// a length within the limit, well formed, and allowed in this phase of the session. Judges nothing else and sends nothing.

import type { Spoken } from '../core/sqlstates.js'
import {
  AUTHENTICATION,
  type AuthMethod,
  at,
  authenticationIn,
  ERROR,
  int32,
  isKnown,
  isWellFormed,
  READY,
  rowsFrom,
  spokenIn,
} from './messages.js'

const HEADER_BYTES = 5
/** No message of a login is nearly as long. */
export const LOGIN_BYTES = 1 << 20
/** PostgreSQL makes no longer message. */
export const RESULT_BYTES = 1 << 30

/** What is wrong with what a server sent. */
export interface Fault {
  /** `unsupported`: pg cannot do what the server asks for; `refused`: pgherd was told not to, or is sure not to. */
  readonly kind: 'protocol' | 'unsupported' | 'refused'
  readonly text: string
}

export interface Terms {
  /** The longest message behind the login, in bytes. */
  readonly limitBytes: number
  /** What the server may ask for; `none`: it lets us in without asking. Null: it may; else why it may not. */
  refusesAuth(method: AuthMethod | 'none'): string | null
  /** Messages that only some statements expect (COPY, suspended portals): may the present one be given this? */
  expects(letter: string): boolean
}

const LOGIN = 1
const LATER = 2
const STOP = 4
const EXPECTED = 8

/** Kind of a message -> when it may come; and whether it stops a walk, since it changes what counts for the next one. */
const RULES = new Uint8Array(256)
for (let type = 0; type < RULES.length; type++) if (isKnown(type)) RULES[type] = LATER
for (const letter of 'SZEN') RULES[at(letter)] = LOGIN | LATER
for (const letter of 'RKv') RULES[at(letter)] = LOGIN
for (const letter of 'ENZR') RULES[at(letter)] = (RULES[at(letter)] as number) | STOP
for (const letter of 'sGd') RULES[at(letter)] = LATER | EXPECTED

export class Frames {
  readonly #terms: Terms
  #phase: 'login' | 'welcome' | 'ready' = 'login'
  /** `asked`: the server has begun to prove that it knows the password, and has not shown it. */
  #sasl: 'none' | 'asked' | 'shown' = 'none'
  #asked = false
  #chunk: Uint8Array = NOTHING
  #from = 0
  /** A message that has come in part, in a buffer that grows with it. */
  #held: Buffer | null = null
  #heldBytes = 0
  /** The ErrorResponse behind which next() has stopped; null: it stopped elsewhere. */
  error: Spoken | null = null
  /** Set once, and nothing is given out any more. */
  fault: Fault | null = null

  constructor(terms: Terms) {
    this.#terms = terms
  }

  /** What has come. */
  push(chunk: Buffer): void {
    this.#chunk = this.#from < this.#chunk.length ? Buffer.concat([this.#chunk.subarray(this.#from), chunk]) : chunk
    this.#from = 0
  }

  /** Whole messages, up to one after which another rule may hold; null: more must come, or there is a fault. */
  next(): Buffer | null {
    this.error = null
    if (this.fault !== null) return null
    if (this.#held !== null && !this.#fill(this.#held)) return null
    const held = this.#held
    if (held === null) return this.#walk()
    this.#held = null
    const whole = held.subarray(0, this.#heldBytes)
    return this.#accepts(whole, 0, whole.length) ? whole : null
  }

  /** As many whole messages as there are, in place. */
  #walk(): Buffer | null {
    const chunk = this.#chunk
    const begin = this.#from
    const limit = this.#phase === 'ready' ? this.#terms.limitBytes : 0
    let place = rowsFrom(chunk, begin, limit)
    while (place + HEADER_BYTES <= chunk.length) {
      const type = chunk[place] as number
      const length = int32(chunk, place + 1)
      if (!this.#announced(type, length)) return null
      const end = place + 1 + length
      if (end > chunk.length) break
      if (!this.#accepts(chunk, place, end)) return null
      if (((RULES[type] as number) & STOP) !== 0) {
        place = end
        break
      }
      place = rowsFrom(chunk, end, limit)
    }
    this.#from = place
    if (place > begin) return chunk.subarray(begin, place) as Buffer
    if (place < chunk.length) this.#hold(chunk.subarray(place))
    this.#from = chunk.length
    return null
  }

  #hold(part: Uint8Array): void {
    this.#held = Buffer.allocUnsafe(Math.max(LEAST_HELD, part.length))
    this.#held.set(part)
    this.#heldBytes = part.length
  }

  /** Adds what has come to the message that was cut; false: it is not whole yet, or is none. */
  #fill(held: Buffer): boolean {
    if (this.#heldBytes < HEADER_BYTES && !this.#take(held, HEADER_BYTES)) return false
    const head = this.#held as Buffer
    const [type, length] = [head[0] as number, int32(head, 1)]
    return this.#announced(type, length) && this.#take(head, 1 + length)
  }

  /** True: `bytes` of the message are there. Grows by what has come, not by what was announced. */
  #take(held: Buffer, bytes: number): boolean {
    const part = this.#chunk.subarray(this.#from, this.#from + Math.max(0, bytes - this.#heldBytes))
    const needed = this.#heldBytes + part.length
    let room = held
    if (needed > held.length) {
      room = Buffer.allocUnsafe(Math.min(bytes, Math.max(needed, held.length * 2)))
      room.set(held.subarray(0, this.#heldBytes))
      this.#held = room
    }
    room.set(part, this.#heldBytes)
    this.#heldBytes = needed
    this.#from += part.length
    return needed >= bytes
  }

  /** Its header alone is enough to refuse it. */
  #announced(type: number, length: number): boolean {
    const [when, limit] = this.#phase === 'ready' ? [LATER, this.#terms.limitBytes] : [LOGIN, LOGIN_BYTES]
    if (length >= 4 && length <= limit && ((RULES[type] as number) & when) !== 0) return true
    return this.#refuse(this.#wrongHeader(type, length))
  }

  #wrongHeader(type: number, length: number): string {
    if (!isKnown(type)) return `a message of an unknown kind (0x${type.toString(16).padStart(2, '0')})`
    const limit = this.#phase === 'ready' ? this.#terms.limitBytes : LOGIN_BYTES
    const bytes = length >>> 0
    if (bytes < 4) return `${named(type)} of an impossible length (${bytes})`
    if (bytes > limit) return `${named(type)} of ${bytes} bytes, where at most ${limit} are taken`
    return `${named(type)}, which cannot come ${this.#phase === 'ready' ? 'behind' : 'before'} the login`
  }

  /** A whole message; its header is checked. */
  #accepts(bytes: Uint8Array, begin: number, end: number): boolean {
    const type = bytes[begin] as number
    const body = begin + HEADER_BYTES
    if (!isWellFormed(type, bytes, body, end)) return this.#refuse(`${named(type)} that is not well formed`)
    if (type === AUTHENTICATION) return this.#authenticates(bytes, body)
    if (type === ERROR) this.error = spokenIn(bytes, body)
    else if (type === READY) {
      if (this.#phase === 'login') return this.#refuse('a welcome without a login')
      this.#phase = 'ready'
    } else if (((RULES[type] as number) & EXPECTED) !== 0 && !this.#terms.expects(String.fromCharCode(type))) {
      return this.#refuse(`${named(type)} in answer to a statement that has no use for it`)
    }
    return true
  }

  #authenticates(bytes: Uint8Array, body: number): boolean {
    const method = authenticationIn(bytes, body)
    if (this.#phase !== 'login') return this.#refuse('a second login')
    switch (method) {
      case 'ok':
        // RFC 5802: a server that cannot show that it knows the password is not the one that was asked for.
        if (this.#sasl === 'asked') return this.#refuse('a welcome before it has shown that it knows the password')
        this.#phase = 'welcome'
        return this.#asked || this.#permits('none')
      case 'sasl-continue':
      case 'sasl-final':
        if (this.#sasl !== 'asked') return this.#refuse('a part of a login that was not begun')
        if (method === 'sasl-final') this.#sasl = 'shown'
        return true
      default:
        if (this.#sasl === 'asked') return this.#refuse('another request in the middle of a login')
        if (typeof method === 'number') return this.#lacks(`authentication of kind ${method}`)
        if (method === 'gss' || method === 'sspi') return this.#lacks(`${method.toUpperCase()} authentication`)
        this.#asked = true
        if (method === 'scram-sha-256') this.#sasl = 'asked'
        return this.#permits(method)
    }
  }

  #permits(method: AuthMethod | 'none'): boolean {
    const why = this.#terms.refusesAuth(method)
    if (why !== null) this.fault = { kind: 'refused', text: why }
    return why === null
  }

  #lacks(what: string): false {
    this.fault = { kind: 'unsupported', text: `asks for ${what}, which the pg driver does not have` }
    return false
  }

  #refuse(text: string): false {
    this.fault = { kind: 'protocol', text: `has sent ${text}` }
    return false
  }
}

const NOTHING = new Uint8Array(0)
const LEAST_HELD = 64

const NAMES: Readonly<Record<string, string>> = {
  R: 'an authentication request',
  K: 'a cancel key',
  S: 'a parameter status',
  Z: 'a ready-for-query',
  E: 'an error',
  N: 'a notice',
  A: 'a notification',
  v: 'a protocol negotiation',
  T: 'a row description',
  D: 'a data row',
  C: 'a command completion',
  G: 'a COPY FROM STDIN',
  H: 'a COPY TO STDOUT',
  W: 'a replication start',
  d: 'COPY data',
  s: 'a suspended portal',
}

function named(type: number): string {
  const letter = String.fromCharCode(type)
  return Object.hasOwn(NAMES, letter) ? (NAMES[letter] ?? '') : `a message '${letter}'`
}
