// Messages that the proxy makes itself: to clients, and what of its own it sends to servers. Each function gives the whole message.

import { Back } from './letters.js'

/** SQLSTATEs that the proxy says of its own account (PostgreSQL docs, appendix A). */
export const Code = {
  protocolViolation: '08P01',
  connectionFailure: '08006',
  outcomeUnknown: '08007', // transaction_resolution_unknown
  notSupported: '0A000',
  failedTransaction: '25P02',
  noAuthorization: '28000',
  wrongPassword: '28P01',
  noDatabase: '3D000',
  duplicateStatement: '42P05',
  invalidStatement: '26000',
  syntax: '42601',
  noPrivilege: '42501',
  tooMany: '53300',
  cancelled: '57014',
  adminShutdown: '57P01',
  cannotConnectNow: '57P03',
  idleTimeout: '57P05',
  internal: 'XX000',
} as const

/** The body is of `bytes` bytes, to be written from 5 on. */
function message(type: number, bytes: number): Buffer {
  const made = Buffer.allocUnsafe(5 + bytes)
  made[0] = type
  made.writeInt32BE(4 + bytes, 1)
  return made
}

function withStrings(type: number, ...texts: readonly string[]): Buffer {
  return withBody(type, Buffer.from(`${texts.join('\0')}\0`, 'utf8'))
}

function withBody(type: number, body: Buffer): Buffer {
  const made = message(type, body.length)
  made.set(body, 5)
  return made
}

/** AuthenticationXXX. */
export function authentication(kind: number, data: Buffer | string = ''): Buffer {
  const rest = typeof data === 'string' ? Buffer.from(data, 'utf8') : data
  const body = Buffer.allocUnsafe(4 + rest.length)
  body.writeInt32BE(kind, 0)
  body.set(rest, 4)
  return withBody(Back.authentication, body)
}

export function parameterStatus(name: string, value: string): Buffer {
  return withStrings(Back.parameterStatus, name, value)
}

export function backendKeyData(pid: number, secret: Buffer): Buffer {
  const body = Buffer.allocUnsafe(4 + secret.length)
  body.writeInt32BE(pid, 0)
  body.set(secret, 4)
  return withBody(Back.keyData, body)
}

/** `minor`: the newest that is spoken. PostgreSQL and libpq take the whole version number. */
export function negotiate(minor: number, unknown: readonly string[]): Buffer {
  const names = Buffer.from(unknown.map((name) => `${name}\0`).join(''), 'utf8')
  const body = Buffer.allocUnsafe(8 + names.length)
  body.writeInt32BE((3 << 16) | minor, 0)
  body.writeInt32BE(unknown.length, 4)
  body.set(names, 8)
  return withBody(Back.negotiate, body)
}

export type Status = 'I' | 'T' | 'E'

const READY: Readonly<Record<Status, Buffer>> = {
  I: withBody(Back.ready, Buffer.from('I')),
  T: withBody(Back.ready, Buffer.from('T')),
  E: withBody(Back.ready, Buffer.from('E')),
}

export function ready(status: Status): Buffer {
  return READY[status]
}

export const PARSE_COMPLETE = withBody(Back.parseComplete, Buffer.alloc(0))
export const BIND_COMPLETE = withBody(Back.bindComplete, Buffer.alloc(0))
export const CLOSE_COMPLETE = withBody(Back.closeComplete, Buffer.alloc(0))
export const NO_DATA = withBody(Back.noData, Buffer.alloc(0))
export const EMPTY_QUERY = withBody(Back.emptyQuery, Buffer.alloc(0))

export function commandComplete(tag: string): Buffer {
  return withStrings(Back.commandComplete, tag)
}

export interface Said {
  readonly code: string
  readonly message: string
  readonly severity?: 'ERROR' | 'FATAL' | 'NOTICE' | 'WARNING'
  readonly detail?: string | undefined
  readonly hint?: string | undefined
}

function fields({ code, message: text, severity = 'ERROR', detail, hint }: Said): string {
  const all: readonly (readonly [string, string | undefined])[] = [
    ['S', severity],
    ['V', severity],
    ['C', code],
    ['M', text],
    ['D', detail],
    ['H', hint],
  ]
  const told = all.flatMap(([field, value]) =>
    value === undefined ? [] : [`${field}${value.replaceAll('\0', ' ')}\0`]
  )
  return `${told.join('')}\0`
}

export function errorResponse(said: Said): Buffer {
  return withBody(Back.error, Buffer.from(fields(said), 'utf8'))
}

export function noticeResponse(said: Said): Buffer {
  return withBody(Back.notice, Buffer.from(fields({ severity: 'NOTICE', ...said }), 'utf8'))
}

const TEXT_OID = 25

/** Columns of texts. */
export function rowDescription(names: readonly string[]): Buffer {
  const parts = names.map((name) => {
    const text = Buffer.from(`${name}\0`, 'utf8')
    const column = Buffer.alloc(text.length + 18)
    column.set(text)
    column.writeInt32BE(TEXT_OID, text.length + 6)
    column.writeInt16BE(-1, text.length + 10)
    column.writeInt32BE(-1, text.length + 12)
    return column
  })
  const count = Buffer.allocUnsafe(2)
  count.writeUInt16BE(names.length)
  return withBody(Back.rowDescription, Buffer.concat([count, ...parts]))
}

export function dataRow(values: readonly (string | null)[]): Buffer {
  const count = Buffer.allocUnsafe(2)
  count.writeUInt16BE(values.length)
  const parts = values.map((value) => {
    const text = value === null ? null : Buffer.from(value, 'utf8')
    const part = Buffer.allocUnsafe(4 + (text?.length ?? 0))
    part.writeInt32BE(text === null ? -1 : text.length, 0)
    if (text !== null) part.set(text, 4)
    return part
  })
  return withBody(Back.dataRow, Buffer.concat([count, ...parts]))
}

/** No parameters. */
export const NO_PARAMETERS = withBody(Back.parameterDescription, Buffer.from([0, 0]))

// To servers. pg-protocol's own startup adds an encoding behind that of the client, so this one is made here.

export function startup(parameters: ReadonlyMap<string, string>): Buffer {
  const body = Buffer.from(`${[...parameters].flat().join('\0')}\0\0`, 'utf8')
  const made = Buffer.allocUnsafe(8 + body.length)
  made.writeInt32BE(made.length, 0)
  made.writeInt32BE(3 << 16, 4)
  made.set(body, 8)
  return made
}

export function cancelRequest(pid: number, secret: Buffer): Buffer {
  const made = Buffer.allocUnsafe(12 + secret.length)
  made.writeInt32BE(made.length, 0)
  made.writeInt32BE(80877102, 4)
  made.writeInt32BE(pid, 8)
  made.set(secret, 12)
  return made
}

export const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])
