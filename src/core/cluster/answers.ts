// Checks the answer of a server to a probe, field by field, and refuses it with the name of the wrong field. Servers are not
// trusted: belief.ts judges what they say of themselves. Here an answer has the form that PostgreSQL gives it, or is refused.

import { type Lsn, parseLsn } from './lsn.js'
import { receiverOf } from './receiver.js'
import type { Detail, Positions, Receiver, Sender, Sighting, Upstream } from './sighting.js'

/** The values as the server wrote them. */
export type AnswerRow = Readonly<Record<string, string | null>>

export type Checked<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'fault'; readonly field: string }

/** Where the server did not tell. */
export const NO_DETAIL: Detail = {
  systemIdentifier: null,
  startedAt: '',
  controlTimeline: null,
  receivedTimeline: null,
  sender: null,
  checkpoint: null,
  senders: [],
  asynchronousCommit: true,
  walWriterDelayMillis: 200,
  walSegmentBytes: 16n * 1024n * 1024n,
  standardConformingStrings: true,
  version: null,
  role: null,
  readsStats: null,
}

/** What every look asks for. */
export function sightingIn(row: AnswerRow | null): Checked<Sighting> {
  const fields = new Fields(row)
  return fields.checked({
    inRecovery: fields.boolean('in_recovery') ?? fields.missing('in_recovery', false),
    timeline: fields.walTimeline('timeline'),
    insert: fields.position('insert'),
    flush: fields.position('flush'),
    replay: fields.position('replay'),
    receiver: fields.receiver('receiver'),
    feeds: fields.number('feeds', 0, MOST_SENDERS),
    detail: null,
  })
}

/** How far a primary's WAL reaches, and on which timeline. */
export function positionsIn(row: AnswerRow | null): Checked<Positions & { readonly timeline: number | null }> {
  const fields = new Fields(row)
  return fields.checked({
    insert: fields.position('insert'),
    flush: fields.position('flush'),
    timeline: fields.walTimeline('timeline'),
    asynchronous: fields.text('synchronous_commit') === 'off',
  })
}

/**
 * `took`: the process that took the login, as BackendKeyData says; null: there was none, which PostgreSQL always sends. Undefined: it is
 * not known what came.
 */
export function detailIn(row: AnswerRow | null, took?: number | null): Checked<Detail> {
  if (row === null) return { kind: 'value', value: NO_DETAIL }
  const fields = new Fields(row)
  const [version, role, pid] = [fields.text('version'), fields.text('role'), fields.digits('pid')]
  const door = pid === null || took === undefined || pid === String(took) ? {} : { isPooled: true }
  const port = fields.number('port', 1, MOST_PORTS)
  if (row.started_at === undefined) return fields.checked({ ...NO_DETAIL, ...door, version, role })
  return fields.checked({
    systemIdentifier: fields.digits('system_identifier'),
    startedAt: fields.digits('started_at') ?? '',
    controlTimeline: fields.number('control_timeline', 0, MOST_TIMELINES),
    receivedTimeline: fields.number('received_timeline', 0, MOST_TIMELINES),
    sender: fields.json('sender', upstreamIn) ?? null,
    checkpoint: fields.text('checkpoint') || null,
    senders: fields.json('senders', sendersIn) ?? [],
    asynchronousCommit: fields.text('synchronous_commit') === 'off',
    walWriterDelayMillis: fields.millis('wal_writer_delay') ?? NO_DETAIL.walWriterDelayMillis,
    walSegmentBytes: fields.segment('wal_segment_size') ?? NO_DETAIL.walSegmentBytes,
    standardConformingStrings: fields.text('standard_conforming_strings') !== 'off',
    version,
    role,
    readsStats: fields.boolean('reads_stats'),
    ...door,
    ...(port === null ? {} : { port }),
  })
}

const MOST_TIMELINES = 0xffff_ffff
/** max_wal_senders is at most 262,143 (PostgreSQL docs, "Replication"). */
const MOST_SENDERS = 262_143
/** No name, version or checkpoint is nearly as long. */
const MOST_CHARACTERS = 1000
const MOST_PORTS = 65_535

/** Reads fields; the first that is not as it should be is kept in mind. */
class Fields {
  readonly #row: AnswerRow
  #fault: string | null

  constructor(row: AnswerRow | null) {
    this.#row = row ?? {}
    this.#fault = row === null ? 'a row' : null
  }

  checked<T>(value: T): Checked<T> {
    return this.#fault === null ? { kind: 'value', value } : { kind: 'fault', field: this.#fault }
  }

  missing<T>(name: string, instead: T): T {
    this.#fault ??= name
    return instead
  }

  #read<T>(name: string, parse: (text: string) => T | null): T | null {
    const text = this.#row[name]
    if (text === null || text === undefined) return null
    return parse(text) ?? this.missing(name, null)
  }

  text(name: string): string | null {
    return this.#read(name, (text) => (text.length <= MOST_CHARACTERS ? text : null))
  }

  boolean(name: string): boolean | null {
    return this.#read(name, (text) => (text === 'true' ? true : text === 'false' ? false : null))
  }

  digits(name: string): string | null {
    return this.#read(name, (text) => (/^\d{1,20}$/.test(text) ? text : null))
  }

  number(name: string, least: number, most: number): number | null {
    return this.#read(name, (text) => {
      const value = /^\d{1,10}$/.test(text) ? Number(text) : -1
      return value >= least && value <= most ? value : null
    })
  }

  position(name: string): Lsn | null {
    return this.#read(name, parseLsn)
  }

  /** The first eight digits of a WAL file's name. */
  walTimeline(name: string): number | null {
    return this.#read(name, (text) => (/^[0-9A-F]{8}$/i.test(text) ? Number.parseInt(text, 16) || null : null))
  }

  receiver(name: string): Receiver | null {
    return this.#read(name, receiverOf)
  }

  /** wal_writer_delay is at most 10 s. */
  millis(name: string): number | null {
    return this.#read(name, (text) => {
      const value = /^\d{1,9}(?:\.\d{1,9})?$/.test(text) ? Number(text) : 0
      return value > 0 && value <= 10_000 ? value : null
    })
  }

  /** A power of two from 1 MiB to 1 GiB (initdb --wal-segsize). */
  segment(name: string): bigint | null {
    return this.#read(name, (text) => {
      const value = /^\d{7,10}$/.test(text) ? BigInt(text) : 0n
      return value >= 1n << 20n && value <= 1n << 30n && (value & (value - 1n)) === 0n ? value : null
    })
  }

  json<T>(name: string, check: (value: unknown) => T | null): T | null {
    return this.#read(name, (text) => {
      try {
        return check(JSON.parse(text))
      } catch {
        return null
      }
    })
  }
}

type Loose = Readonly<Record<string, unknown>>

function isObject(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= MOST_CHARACTERS
const isTextOrNull = (value: unknown): value is string | null => value === null || isText(value)

function isNumberOrNull(value: unknown, most: number): value is number | null {
  return value === null || (Number.isInteger(value) && Number(value) >= 0 && Number(value) <= most)
}

function upstreamIn(value: unknown): Upstream | null {
  if (!isObject(value)) return null
  const { pid, host = null, port = null } = value
  if (pid === null || !isNumberOrNull(pid, MOST_TIMELINES) || !isTextOrNull(host) || !isNumberOrNull(port, MOST_PORTS))
    return null
  return { pid, host, port }
}

function sendersIn(value: unknown): readonly Sender[] | null {
  if (!Array.isArray(value) || value.length > MOST_SENDERS) return null
  const senders: Sender[] = []
  for (const each of value as unknown[]) {
    if (!isObject(each)) return null
    // A role without pg_read_all_stats sees rows of nulls.
    const { address = null, name = null, state = null } = each
    if (!isTextOrNull(address) || !isTextOrNull(name) || !isTextOrNull(state)) return null
    senders.push({ address, name: name ?? '', state })
  }
  return senders
}
