// The packets that come before any message: requests for encryption, cancel requests, and the startup packet. Bytes in, values out.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP

import { behindString, int32 } from './letters.js'

/** PostgreSQL takes no longer startup packet. */
export const STARTUP_BYTES = 10_000

const SSL_REQUEST = 80877103
const GSS_REQUEST = 80877104
const CANCEL_REQUEST = 80877102
const TLS_HANDSHAKE = 0x16
/** Protocol 3.0, and the newest that the proxy speaks. */
export const OLDEST_MINOR = 0
export const NEWEST_MINOR = 2
const MAJOR = 3

export interface Startup {
  readonly kind: 'startup'
  readonly minor: number
  /** In the order in which they came; of a name that came twice the last value. */
  readonly parameters: ReadonlyMap<string, string>
  /** `_pq_.` names, none of which is known here. */
  readonly extensions: readonly string[]
}

export type FirstPacket =
  | Startup
  | { readonly kind: 'ssl' | 'gss' }
  | { readonly kind: 'cancel'; readonly pid: number; readonly secret: Buffer }

/** What stands first in `bytes`. more: it is not whole yet. tls: a TLS handshake without a request. fault: no client of PostgreSQL's. */
export type First =
  | { readonly kind: 'more' | 'tls' }
  | { readonly kind: 'fault'; readonly text: string }
  | { readonly kind: 'packet'; readonly packet: FirstPacket; readonly length: number }

export function firstIn(bytes: Buffer): First {
  if (bytes[0] === TLS_HANDSHAKE) return { kind: 'tls' }
  if (bytes.length < 4) return { kind: 'more' }
  const length = int32(bytes, 0)
  if (length < 8 || length > STARTUP_BYTES) return fault('invalid length of startup packet')
  if (bytes.length < length) return { kind: 'more' }
  const packet = packetIn(bytes.subarray(0, length))
  return typeof packet === 'string' ? fault(packet) : { kind: 'packet', packet, length }
}

function fault(text: string): First {
  return { kind: 'fault', text }
}

function packetIn(bytes: Buffer): FirstPacket | string {
  const code = int32(bytes, 4)
  switch (code) {
    case SSL_REQUEST:
    case GSS_REQUEST:
      if (bytes.length !== 8) return 'invalid length of encryption request'
      return { kind: code === SSL_REQUEST ? 'ssl' : 'gss' }
    case CANCEL_REQUEST:
      // 4 bytes of a secret at protocol 3.0, up to 256 from 3.2 on.
      if (bytes.length < 16 || bytes.length > 268) return 'invalid length of cancel request'
      return { kind: 'cancel', pid: int32(bytes, 8), secret: Buffer.from(bytes.subarray(12)) }
    default:
      return startupIn(bytes, code)
  }
}

function startupIn(bytes: Buffer, version: number): Startup | string {
  const [major, minor] = [version >>> 16, version & 0xffff]
  if (major !== MAJOR) {
    return `unsupported frontend protocol ${major}.${minor}: server supports ${MAJOR}.${OLDEST_MINOR} to ${MAJOR}.${NEWEST_MINOR}`
  }
  const parameters = new Map<string, string>()
  const extensions: string[] = []
  const end = bytes.length
  let place = 8
  while (place < end && bytes[place] !== 0) {
    const value = behindString(bytes, place, end)
    const next = value === -1 ? -1 : behindString(bytes, value, end)
    if (next === -1) return 'invalid startup packet layout: expected terminator as last byte'
    const name = bytes.toString('utf8', place, value - 1)
    if (name.startsWith('_pq_.')) extensions.push(name)
    else parameters.set(name, bytes.toString('utf8', value, next - 1))
    place = next
  }
  if (place !== end - 1) return 'invalid startup packet layout: expected terminator as last byte'
  return { kind: 'startup', minor, parameters, extensions }
}

/** `options`: as PostgreSQL splits it (pg_split_opts): blanks part words, and a backslash takes the next character as it is. */
export function wordsIn(options: string): readonly string[] {
  const words: string[] = []
  let word: string | null = null
  for (let i = 0; i < options.length; i++) {
    const character = options[i] as string
    if (/\s/.test(character)) {
      if (word !== null) words.push(word)
      word = null
    } else if (character === '\\') word = (word ?? '') + (options[++i] ?? '')
    else word = (word ?? '') + character
  }
  if (word !== null) words.push(word)
  return words
}

/** `-c name=value` and `--name=value` of `options`; null: it holds anything else. */
export function settingsIn(options: string): ReadonlyMap<string, string> | null {
  const settings = new Map<string, string>()
  const words = wordsIn(options)
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string
    const given =
      word === '-c'
        ? words[++i]
        : word.startsWith('-c')
          ? word.slice(2)
          : word.startsWith('--')
            ? word.slice(2)
            : undefined
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(given ?? '') ?? []
    if (name === undefined || value === undefined) return null
    settings.set(name.replaceAll('-', '_'), value)
  }
  return settings
}
