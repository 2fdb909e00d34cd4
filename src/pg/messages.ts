// One message of a server, whole: is it what the protocol says it is (PostgreSQL docs, "Message Formats")? pg's parser trusts
// counts, lengths and terminating zeros, and goes wrong for ever, or throws, where they lie. Copies nothing.

import type { Spoken } from '../core/cluster/sqlstates.js'

/** Letter of a message -> its byte. */
export const at = (letter: string): number => letter.charCodeAt(0)

export const AUTHENTICATION = at('R')
export const ERROR = at('E')
export const NOTICE = at('N')
export const READY = at('Z')
export const DESCRIPTION = at('T')
export const DATA_ROW = at('D')

/** Body of a message, from `from` to `to` -> true: it is well formed. */
type Check = (bytes: Uint8Array, from: number, to: number) => boolean

const nothing: Check = (_, from, to) => from === to
const anything: Check = () => true

export function int16(bytes: Uint8Array, from: number): number {
  return ((bytes[from] as number) << 8) | (bytes[from + 1] as number)
}

/** pg reads a count as a signed number, and makes an array of it. */
const MOST_COUNTED = 0x7fff

export function int32(bytes: Uint8Array, from: number): number {
  const high = ((bytes[from] as number) << 24) | ((bytes[from + 1] as number) << 16)
  return high | ((bytes[from + 2] as number) << 8) | (bytes[from + 3] as number)
}

/** Behind the zero of a string that begins at `from`; -1: it does not end before `to`. */
function behindString(bytes: Uint8Array, from: number, to: number): number {
  const zero = bytes.indexOf(0, from)
  return zero === -1 || zero >= to ? -1 : zero + 1
}

/** So many strings, and nothing behind them. */
function strings(count: number): Check {
  return (bytes, from, to) => {
    let place = from
    for (let i = 0; i < count && place !== -1; i++) place = behindString(bytes, place, to)
    return place === to
  }
}

/** Strings up to an empty one, which is the last byte. */
const stringList: Check = (bytes, from, to) => {
  let place = from
  while (place !== -1 && place < to && bytes[place] !== 0) place = behindString(bytes, place, to)
  return place === to - 1
}

/** Letters with a string each, and a zero in the end. */
const fields: Check = (bytes, from, to) => {
  let place = from
  while (place !== -1 && place < to && bytes[place] !== 0) place = behindString(bytes, place + 1, to)
  return place === to - 1
}

/** A count of two bytes, and so many entries of `size` bytes each. */
function counted(size: number): Check {
  return (bytes, from, to) => {
    const count = to - from >= 2 ? int16(bytes, from) : MOST_COUNTED + 1
    return count <= MOST_COUNTED && count * size === to - from - 2
  }
}

const columns: Check = (bytes, from, to) => {
  if (to - from < 2 || int16(bytes, from) > MOST_COUNTED) return false
  let place = from + 2
  for (let left = int16(bytes, from); left > 0; left--) {
    const behind = behindString(bytes, place, to)
    if (behind === -1) return false
    place = behind + 18
  }
  return place === to
}

/** A count of values, each its length and its bytes; the length -1 is a null. */
const row: Check = (bytes, from, to) => {
  if (to - from < 2 || int16(bytes, from) > MOST_COUNTED) return false
  let place = from + 2
  for (let left = int16(bytes, from); left > 0; left--) {
    if (place + 4 > to) return false
    const length = int32(bytes, place)
    place += 4
    if (length > 0) place += length
    else if (length < -1) return false
  }
  return place === to
}

/** The longest value of a well-formed DataRow, in bytes. */
export function longestIn(bytes: Uint8Array, from: number): number {
  let longest = 0
  let place = from + 2
  for (let left = int16(bytes, from); left > 0; left--) {
    const length = Math.max(0, int32(bytes, place))
    longest = Math.max(longest, length)
    place += 4 + length
  }
  return longest
}

/**
 * Behind the rows of so many `columns` that begin at `from`, are there as a whole, and are well formed. Most of what a server
 * sends is rows: this is `row`, written out, since a call for each value would cost as much as what it checks.
 */
export function rowsFrom(bytes: Uint8Array, from: number, limit: number, columns: number): number {
  const { length: all } = bytes
  let begin = from
  while (begin + 7 <= all && bytes[begin] === DATA_ROW) {
    const length = int32(bytes, begin + 1)
    const end = begin + 1 + length
    if (length < 6 || length > limit || end > all || int16(bytes, begin + 5) !== columns) return begin
    let place = begin + 7
    for (let left = columns; left > 0; left--) {
      if (place + 4 > end) return begin
      const size =
        ((bytes[place] as number) << 24) |
        ((bytes[place + 1] as number) << 16) |
        ((bytes[place + 2] as number) << 8) |
        (bytes[place + 3] as number)
      if (size < -1) return begin
      place += size === -1 ? 4 : 4 + size
    }
    if (place !== end) return begin
    begin = end
  }
  return begin
}

/** Bytes of the secret of a cancel request: 4, and up to 256 from protocol 3.2 on. */
const key: Check = (_, from, to) => to - from >= 8 && to - from <= 260
const status: Check = (bytes, from, to) =>
  to - from === 1 && (bytes[from] === 73 || bytes[from] === 84 || bytes[from] === 69)
const notification: Check = (bytes, from, to) => to - from > 4 && strings(2)(bytes, from + 4, to)
const copy: Check = (bytes, from, to) => to - from >= 3 && counted(2)(bytes, from + 1, to)
const negotiation: Check = (bytes, from, to) => {
  if (to - from < 8) return false
  let place = from + 8
  for (let left = int32(bytes, from + 4); left > 0 && place !== -1; left--) place = behindString(bytes, place, to)
  return place === to
}

/** What the number in an AuthenticationXXX message asks for, and what follows it. */
const METHODS: ReadonlyMap<number, readonly [AuthMethod | 'ok' | 'sasl-continue' | 'sasl-final', Check]> = new Map([
  [0, ['ok', nothing]],
  [3, ['password', nothing]],
  [5, ['md5', (_: Uint8Array, from: number, to: number) => to - from === 4]],
  [7, ['gss', nothing]],
  [9, ['sspi', nothing]],
  [10, ['scram-sha-256', stringList]],
  [11, ['sasl-continue', anything]],
  [12, ['sasl-final', anything]],
])

/** libpq's words for `require_auth`, but `none`. */
export type AuthMethod = 'password' | 'md5' | 'gss' | 'sspi' | 'scram-sha-256'

/** What a well-formed AuthenticationXXX message asks for; a number: it is of no kind that is known. */
export function authenticationIn(
  bytes: Uint8Array,
  from: number
): AuthMethod | 'ok' | 'sasl-continue' | 'sasl-final' | number {
  const number = int32(bytes, from)
  return METHODS.get(number)?.[0] ?? number
}

const authentication: Check = (bytes, from, to) =>
  to - from >= 4 && (METHODS.get(int32(bytes, from))?.[1] ?? anything)(bytes, from + 4, to)

const CHECKS: readonly (Check | undefined)[] = (() => {
  const checks: (Check | undefined)[] = new Array(256).fill(undefined)
  const all: Readonly<Record<string, Check>> = {
    R: authentication,
    K: key,
    S: strings(2),
    Z: status,
    E: fields,
    N: fields,
    A: notification,
    v: negotiation,
    T: columns,
    D: row,
    C: strings(1),
    I: nothing,
    1: nothing,
    2: nothing,
    3: nothing,
    n: nothing,
    s: nothing,
    t: counted(4),
    G: copy,
    H: copy,
    W: copy,
    c: nothing,
    d: anything,
  }
  for (const [letter, check] of Object.entries(all)) checks[at(letter)] = check
  return checks
})()

export function isKnown(type: number): boolean {
  return CHECKS[type] !== undefined
}

/** The body of a message of a known type lies from `from` to `to`: it is what its counts, lengths and zeros say. */
export function isWellFormed(type: number, bytes: Uint8Array, from: number, to: number): boolean {
  return CHECKS[type]?.(bytes, from, to) === true
}

/** Of a well-formed ErrorResponse, what says whether it speaks of the session or of a statement. */
export function spokenIn(bytes: Uint8Array, from: number): Spoken {
  let severity: string | null = null
  let code: string | null = null
  let routine: string | null = null
  let nested = false
  for (let place = from; bytes[place] !== 0; ) {
    const field = bytes[place]
    const zero = bytes.indexOf(0, place + 1)
    if (field === SEVERITY) severity = textOf(bytes, place + 1, zero)
    else if (field === CODE) code = textOf(bytes, place + 1, zero)
    else if (field === ROUTINE) routine = textOf(bytes, place + 1, zero)
    else if (field === WHERE || field === QUERY) nested = true
    place = zero + 1
  }
  const known = SEVERITIES.find((each) => each === severity) ?? null
  return { code, severity: known, routine, nested, begun: false, starting: false }
}

const [SEVERITY, CODE, ROUTINE, WHERE, QUERY] = [at('V'), at('C'), at('R'), at('W'), at('q')]
const SEVERITIES = ['ERROR', 'FATAL', 'PANIC'] as const
/** No SQLSTATE, severity or name of a C function is longer. */
const LONGEST = 64

function textOf(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, Math.min(to, from + LONGEST)))
}
