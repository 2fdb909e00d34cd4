// What a server sends, in whatever pieces it comes -> whole messages, each checked before pg's parser sees it: of a known kind, of
// a length within the limit, well formed, and allowed in this phase of the session. Judges nothing else and sends nothing.

import type { Spoken } from '../core/cluster/sqlstates.js'
import {
  AUTHENTICATION,
  type AuthMethod,
  at,
  authenticationIn,
  DATA_ROW,
  DESCRIPTION,
  ERROR,
  int16,
  int32,
  isKnown,
  isWellFormed,
  longestIn,
  READY,
  rowsFrom,
  spokenIn,
} from './messages.js'

const HEADER_BYTES = 5
/** No message of a login is nearly as long. */
export const LOGIN_BYTES = 1 << 20
/** PostgreSQL makes no longer message. */
export const RESULT_BYTES = 1 << 30
/** V8's longest string. pg's parser makes one of each value, name and text, and throws at the socket where it cannot. */
export const STRING_BYTES = 2 ** 29 - 24

/** What is wrong with what a server sent. */
export interface Fault {
  /**
   * `unsupported`: pg cannot do what the server asks for; `refused`: pgherd was told not to, or is sure not to; `size`: pg cannot
   * read what is well formed.
   */
  readonly kind: 'protocol' | 'unsupported' | 'refused' | 'size'
  readonly text: string
}

export interface Terms {
  /** The longest message behind the login, in bytes. */
  readonly limitBytes: number
  /** What the server may ask for; `none`: it lets us in without asking. Null: it may; else why it may not. */
  refusesAuth(method: AuthMethod | 'none'): string | null
  /** Messages that pg gives to the present statement: can it be given this? */
  expects(letter: Given): boolean
}

/** Letter of a message that is a statement's; `bare D`: a row that no description came before. */
export type Given = 'T' | 'D' | 'bare D' | 'C' | 'I' | 's' | 'G' | 'd'

const LOGIN = 1
const LATER = 2
const STOP = 4
const EXPECTED = 8

/** Kind of a message -> when it may come; and whether it stops a walk, since it changes what counts for the next one. */
const RULES = new Uint8Array(256)
for (let type = 0; type < RULES.length; type++) if (isKnown(type)) RULES[type] = LATER
for (const letter of 'SZEN') RULES[at(letter)] = LOGIN | LATER
for (const letter of 'RK') RULES[at(letter)] = LOGIN
// An answer to a wish for a newer protocol, and pg has none.
RULES[at('v')] = 0
for (const letter of 'ENZR') RULES[at(letter)] = (RULES[at(letter)] as number) | STOP
for (const letter of 'TCIsGd') RULES[at(letter)] = LATER | EXPECTED
/** What ends a result: the next rows have a description of their own. */
const ENDS = new Set([...'CInZE'].map(at))
/** No row can be of so many columns. */
const UNKNOWN = -1

export class Frames {
  readonly #terms: Terms
  #phase: 'login' | 'welcome' | 'ready' = 'login'
  /** `asked`: the server has begun to prove that it knows the password, and has not shown it. */
  #sasl: 'none' | 'asked' | 'shown' = 'none'
  #asked = false
  /** The server has refused the login, or pg has given it up: nothing may follow that makes it succeed. */
  #failed: 'no' | 'refused' | 'given up' = 'no'
  /** Columns that the server has described. */
  #described = UNKNOWN
  /** The same, once the statement is known to take rows. */
  #taken = UNKNOWN
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

  /** pg takes the login for failed: true, and nothing more is given out. False: it was over before. */
  giveUp(): boolean {
    if (this.#phase === 'ready') return false
    this.#failed = 'given up'
    return true
  }

  /** Whole messages, up to one after which another rule may hold; null: more must come, or there is a fault. */
  next(): Buffer | null {
    this.error = null
    if (this.fault !== null || this.#failed === 'given up') return null
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
    // A longer row is looked at value by value.
    const limit = this.#phase === 'ready' ? Math.min(this.#terms.limitBytes, STRING_BYTES) : 0
    let place = rowsFrom(chunk, begin, limit, this.#taken)
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
      place = rowsFrom(chunk, end, limit, this.#taken)
    }
    this.#from = place
    if (begin === 0 && place === chunk.length && place > 0) return chunk as Buffer
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
    const isReady = this.#phase === 'ready'
    const when = isReady ? LATER : LOGIN
    const limit = isReady ? this.#terms.limitBytes : LOGIN_BYTES
    if (length >= 4 && length <= limit && ((RULES[type] as number) & when) !== 0)
      return length <= STRING_BYTES || type === DATA_ROW || type === COPY_DATA || this.#tooLong('message', length)
    return this.#refuse(this.#wrongHeader(type, length))
  }

  #wrongHeader(type: number, length: number): string {
    if (!isKnown(type)) return `a message of an unknown kind (0x${type.toString(16).padStart(2, '0')})`
    const limit = this.#phase === 'ready' ? this.#terms.limitBytes : LOGIN_BYTES
    const bytes = length >>> 0
    if (bytes < 4) return `${named(type)} of an impossible length (${bytes})`
    if (bytes > limit) return `${named(type)} of ${bytes} bytes, where at most ${limit} are taken`
    if (RULES[type] === 0) return `${named(type)}, which pg has not asked for`
    return `${named(type)}, which cannot come ${this.#phase === 'ready' ? 'behind' : 'before'} the login`
  }

  /** A whole message; its header is checked. */
  #accepts(bytes: Uint8Array, begin: number, end: number): boolean {
    const type = bytes[begin] as number
    const body = begin + HEADER_BYTES
    if (!isWellFormed(type, bytes, body, end)) return this.#refuse(`${named(type)} that is not well formed`)
    if (this.#failed === 'refused') return this.#refuse(`${named(type)} behind its refusal of the login`)
    if (type === DATA_ROW) return this.#takesRow(bytes, body)
    if (ENDS.has(type)) this.#described = this.#taken = UNKNOWN
    if (type === AUTHENTICATION) return this.#authenticates(bytes, body)
    if (type === ERROR) {
      this.error = spokenIn(bytes, body)
      if (this.#phase !== 'ready') this.#failed = 'refused'
    } else if (type === READY) {
      if (this.#phase === 'login') return this.#refuse('a welcome without a login')
      this.#phase = 'ready'
    } else if (((RULES[type] as number) & EXPECTED) !== 0) {
      if (!this.#terms.expects(String.fromCharCode(type) as Given)) return this.#useless(type)
      if (type === DESCRIPTION) this.#describes(int16(bytes, body))
    }
    return true
  }

  #describes(columns: number): void {
    this.#described = columns
    this.#taken = UNKNOWN
  }

  /** The first of a result, or one that is out of the ordinary. */
  #takesRow(bytes: Uint8Array, body: number): boolean {
    const columns = int16(bytes, body)
    const described = this.#described
    if (described !== UNKNOWN && columns !== described)
      return this.#refuse(`a data row of another number of values (${columns}) than it has described (${described})`)
    if (!this.#terms.expects(described === UNKNOWN ? 'bare D' : 'D')) return this.#useless(DATA_ROW)
    const longest = longestIn(bytes, body)
    if (longest > STRING_BYTES) return this.#tooLong('value', longest)
    this.#taken = described
    return true
  }

  #useless(type: number): false {
    return this.#refuse(`${named(type)} in answer to a statement that has no use for it`)
  }

  #tooLong(what: string, bytes: number): false {
    const text = `has sent a ${what} of ${bytes} bytes, where pg reads strings of at most ${STRING_BYTES}`
    this.fault = { kind: 'size', text }
    return false
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

const COPY_DATA = at('d')
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
