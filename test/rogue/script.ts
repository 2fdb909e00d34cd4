// What a rogue server does with one connection: how it lets a client in, what it answers, and at which byte it stops being a
// PostgreSQL server. Made from a seed; knows no socket.

import type { Random } from '../support/grammar.js'
import { dataRow, errorMessage, message, noticeMessage, ready } from '../support/messages.js'

export type Auth = 'none' | 'password' | 'md5' | 'sasl' | 'odd'

/** Where the stream of bytes that it sends goes wrong, and how. */
export interface Break {
  /** Counted from its first byte; behind all that is sent: never. */
  readonly at: number
  readonly how: 'reset' | 'close' | 'hang' | 'flip' | 'lie' | 'drop' | 'repeat' | 'invent' | 'flood' | 'drip'
}

export interface Script {
  readonly auth: Auth
  /** Its answers to pgherd's questions are those of a server; else they are odd in their values. */
  readonly plausible: boolean
  readonly break: Break | null
}

const AUTHS: readonly Auth[] = ['none', 'none', 'none', 'none', 'password', 'md5', 'sasl', 'odd']
const HOWS: readonly Break['how'][] = [
  'reset',
  'close',
  'hang',
  'flip',
  'flip',
  'lie',
  'drop',
  'repeat',
  'invent',
  'flood',
  'drip',
]

/** So many connections are reset at every byte in turn; all else is chance. */
const SYSTEMATIC = 500

/** `reset`: how many were reset in turn before; null: this one is not. */
export function scriptOf(reset: number | null, random: Random): Script {
  if (reset !== null && reset < SYSTEMATIC) return { auth: 'none', plausible: true, break: { at: reset, how: 'reset' } }
  const plausible = random.chance(0.5)
  const honest = random.chance(0.15)
  return {
    auth: random.pick(AUTHS),
    plausible,
    break: honest ? null : { at: random.below(random.chance(0.5) ? 120 : 1500), how: random.pick(HOWS) },
  }
}

const int32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value | 0)
  return bytes
}
const auth = (number: number, more: Buffer | string = '') =>
  message('R', Buffer.concat([int32(number), Buffer.from(more)]))

/** What it asks before it lets a client in; null: nothing. */
export function requestOf({ auth: asked }: Script, random: Random): Buffer | null {
  switch (asked) {
    case 'none':
      return null
    case 'password':
      return auth(3)
    case 'md5':
      return auth(5, 'salt')
    case 'sasl':
      return auth(10, random.pick(['SCRAM-SHA-256\0\0', 'SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0', 'X\0\0', '\0']))
    case 'odd':
      return auth(random.pick([1, 2, 6, 7, 8, 9, 11, 12, 99, -1]), random.pick(['', 'x', '\0', 'r=x,s=y,i=1']))
    default:
      return asked satisfies never
  }
}

/** `nonce`: the client's; an answer without it is no answer of SCRAM. */
export function continuationOf(random: Random, nonce: string): Buffer {
  if (random.chance(0.5)) return auth(11, `r=${nonce}more,s=c2FsdA==,i=4096`)
  const rounds = random.pick(['4096', '1', '0', '-1', '99999999', '2147483648', 'x', ''])
  return auth(11, random.pick([`r=abc,s=c2FsdA==,i=${rounds}`, 'r=', '', 'm=ext', '\xff\xfe']))
}

export function welcome(random: Random): Buffer {
  const status = (name: string, value: string) => message('S', `${name}\0${value}\0`)
  const standby = random.pick(['on', 'off', 'ON\x1b[2J', ''])
  return Buffer.concat([
    auth(0),
    status('server_version', random.pick(['18.4', '15.18', '9.0', 'x\x1b]0;rogue\x07', ''])),
    status('in_hot_standby', standby),
    status('standard_conforming_strings', random.pick(['on', 'off', '?'])),
    message('K', Buffer.concat([int32(random.below(70_000)), int32(7)])),
    ready,
  ])
}

/** The values that a server would give, as far as a stranger can know them. */
const PLAUSIBLE: Readonly<Record<string, string | null>> = {
  in_recovery: 'true',
  insert: null,
  flush: null,
  replay: 'F/FFFFFFFF',
  position: 'F/FFFFFFFF',
  timeline: null,
  started_at: '1700000000000000',
  control_timeline: '1',
  received_timeline: '1',
  senders: '[]',
  synchronous_commit: 'on',
  wal_writer_delay: '200',
  wal_segment_size: '16777216',
  standard_conforming_strings: 'on',
  version: '18.4',
  role: 'app',
  reads_stats: 'true',
}
const ODD: readonly (string | null)[] = [
  null,
  '',
  '5',
  'null',
  '{}',
  '[null]',
  '[{}]',
  '[{"address":5,"name":{},"state":[]}]',
  '[{"address":"127.0.0.1\\u001b[2J","name":"x","state":"streaming"}]',
  '-1',
  '0',
  '1e400',
  'NaN',
  'zz',
  '0000000g',
  'FFFFFFFF/FFFFFFFF',
  '100000000/0',
  '0/0',
  'true',
  'false',
  'x'.repeat(70_000),
  '\u202e\x1b[31m',
  '__proto__',
]

/** Every name that the text gives to a column: what it asks need not be known here. */
function namesIn(text: string): string[] {
  const names = [...text.matchAll(/\bas\s+"?([a-z_]+)"?/gi)].map(([, name = '']) => name)
  return names.length === 0 ? ['answer'] : [...new Set(names)]
}

export function rowsFor(text: string, { plausible }: Script, identifier: string, random: Random): Buffer {
  const names = namesIn(text)
  const given = (name: string) => {
    if (!plausible && random.chance(0.4)) return random.pick(ODD)
    if (name === 'system_identifier') return identifier
    return Object.hasOwn(PLAUSIBLE, name) ? (PLAUSIBLE[name] ?? null) : '1'
  }
  const column = (name: string) =>
    Buffer.concat([
      Buffer.from(`${name}\0`),
      int32(0),
      Buffer.from([0, 0]),
      int32(25),
      Buffer.from([255, 255]),
      int32(-1),
      Buffer.from([0, 0]),
    ])
  const count = Buffer.from([names.length >> 8, names.length & 255])
  const rows = !plausible && random.chance(0.2) ? random.below(4) : 1
  return Buffer.concat([
    message('T', Buffer.concat([count, ...names.map(column)])),
    ...Array.from({ length: rows }, () => dataRow(...names.map(given))),
    message('C', `SELECT ${rows}\0`),
  ])
}

/** More than pg can count: it reads a number that is negative. */
const wide = (type: string, size: number, byte: number) =>
  message(type, Buffer.concat([Buffer.from([0x80, 0]), Buffer.alloc(0x8000 * size, byte)]))

/** The end of SCRAM by a server that does not know the password. */
export const unproven = auth(12, `v=${Buffer.alloc(32).toString('base64')}`)

/** Messages that no client of this server is waiting for, well formed or not. */
export function invented(random: Random): Buffer {
  const type = random.pick([...'RKSZENATDCGHWdcsI123ntvVpx\0\xff'])
  const body = Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256)))
  return random.pick([
    message(type, body),
    message('E', 'SFATAL'),
    message('N', 'SWARNING\0M'),
    message('G', Buffer.from([0, 0, 0])),
    message('d', body),
    message('s'),
    wide('D', 4, 255),
    wide('T', 19, 0),
    wide('t', 4, 0),
    auth(3),
    auth(5, 'salt'),
    errorMessage({
      S: 'FATAL',
      V: 'FATAL',
      C: random.pick(['57P01', '57P03', '53300', '28P01', 'constructor', '']),
      M: '\x1b[2J',
    }),
    Buffer.concat([Buffer.from(type, 'latin1'), int32(random.pick([0, 3, 4, -1, 2_147_483_647, 1 << 30]))]),
  ])
}

export function flood(random: Random): Buffer {
  const one = random.pick([
    noticeMessage({ S: 'NOTICE', V: 'NOTICE', C: '00000', M: 'again' }),
    message('S', 'application_name\0x\0'),
    message('A', Buffer.concat([int32(1), Buffer.from('c\0p\0')])),
    message('I'),
  ])
  return Buffer.concat(Array.from({ length: 5000 }, () => one))
}
