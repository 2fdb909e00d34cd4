// One look at one node over its own connection -> ProbeResult. Never throws, never waits longer than its deadline, never
// keeps Node alive. Knows what to ask PostgreSQL 12 to 18; what the answers mean is decided in core/.

import pg from 'pg'
import type { Clock } from '../clock.js'
import { type Failure, failureOf } from '../core/failure.js'
import { parseLsn } from '../core/lsn.js'
import type { Detail, NodeAddress, Positions, ProbeResult, Sender, Sighting } from '../core/node.js'
import { type ClientClass, withoutWeakAuth } from '../guard.js'
import { sourceOf, tap } from '../pg/tap.js'
import { answered, answeredInside, connected, type Row } from '../quiet.js'

export interface Probe {
  /** `full` asks for everything; the first look over a connection always does. Silence is reported after `millis`. */
  look(depth: 'lean' | 'full', millis: number): Promise<ProbeResult>
  /** Asks a primary how far its WAL reaches, beside any look; null: no connection, no answer in time, or not a primary. */
  position(millis: number): Promise<PrimaryPosition | null>
  /** Drops the connection; the next look opens another. */
  close(): void
}

export interface PrimaryPosition extends Positions {
  readonly timeline: number | null
}

/**
 * Makes the probe of one node. `origin` 'discovered' gets no readable password. `interrupted` is called when the
 * connection ends by itself between two looks.
 */
export type ProbeFactory = (
  clientConfig: Record<string, unknown>,
  origin: NodeAddress['origin'],
  interrupted: () => void
) => Probe

// Everything is named with its schema, operators included: a pooler may share the session with clients that set search_path or
// have temporary tables, and no function of the database's users shall run with this role's rights (CVE-2018-1058).

/** Role, positions and timeline: what every tick asks. About as cheap as `select 1`. */
const LEAN = `select r::pg_catalog.text as in_recovery,
  case when not r then pg_catalog.pg_current_wal_insert_lsn() end::pg_catalog.text as insert,
  case when not r then pg_catalog.pg_current_wal_flush_lsn() end::pg_catalog.text as flush,
  pg_catalog.pg_last_wal_replay_lsn()::pg_catalog.text as replay,
  case when not r then pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) end as timeline
from (values (pg_catalog.pg_is_in_recovery())) v(r)`

/** Fails on a standby (55000). */
const POSITION = `select pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text as insert,
  pg_catalog.pg_current_wal_flush_lsn()::pg_catalog.text as flush,
  pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) as timeline,
  pg_catalog.current_setting('synchronous_commit') as synchronous_commit`

/**
 * pg_control_* read a file and pg_stat_replication joins two views: asked at connect, on a change and now and then. What is set
 * for the role or the database counts on connections that were made later; this one may be older than them.
 */
const DETAIL = `select (select system_identifier from pg_catalog.pg_control_system())::pg_catalog.text as system_identifier,
  (extract(epoch from pg_catalog.pg_postmaster_start_time()) operator(pg_catalog.*) 1000000)
    ::pg_catalog.int8::pg_catalog.text as started_at,
  greatest((select timeline_id from pg_catalog.pg_control_checkpoint()),
    (select min_recovery_end_timeline from pg_catalog.pg_control_recovery()))::pg_catalog.text as control_timeline,
  (select received_tli from pg_catalog.pg_stat_wal_receiver)::pg_catalog.text as received_timeline,
  (select pg_catalog.json_agg(pg_catalog.json_build_object(
      'address', pg_catalog.host(client_addr), 'name', application_name, 'state', state))
    from pg_catalog.pg_stat_replication)::pg_catalog.text as senders,
  case when exists (select from pg_catalog.pg_db_role_setting, pg_catalog.unnest(setconfig) as set
      where set operator(pg_catalog.~*) '^synchronous_commit=(off|false|no|0)$'
      and (setdatabase operator(pg_catalog.=) 0 or setdatabase operator(pg_catalog.=)
        (select oid from pg_catalog.pg_database where datname operator(pg_catalog.=) pg_catalog.current_database()))
      and (setrole operator(pg_catalog.=) 0 or setrole operator(pg_catalog.=)
        (select oid from pg_catalog.pg_roles where rolname operator(pg_catalog.=) session_user)))
    then 'off' else pg_catalog.current_setting('synchronous_commit') end as synchronous_commit,
  (extract(epoch from pg_catalog.current_setting('wal_writer_delay')::pg_catalog.interval) operator(pg_catalog.*) 1000)
    ::pg_catalog.text as wal_writer_delay,
  pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))::pg_catalog.text as wal_segment_size,
  pg_catalog.current_setting('standard_conforming_strings') as standard_conforming_strings,
  pg_catalog.current_setting('server_version') as version, current_user::pg_catalog.text as role,
  (select pg_catalog.pg_has_role(oid, 'usage') from pg_catalog.pg_roles
    where rolname operator(pg_catalog.=) 'pg_read_all_stats')::pg_catalog.text as reads_stats`

/** Where a function of the above is forbidden: to whom. */
const WHO = `select pg_catalog.current_setting('server_version') as version, current_user::pg_catalog.text as role`

/** Where even pg_control_* or WAL functions are forbidden or foreign (42501, 0A000): the role, and nothing else. */
const ROLE = `select pg_catalog.pg_is_in_recovery()::pg_catalog.text as in_recovery, null as insert, null as flush,
  null as replay, null as timeline`

const NO_DETAIL: Detail = {
  systemIdentifier: null,
  startedAt: '',
  controlTimeline: null,
  receivedTimeline: null,
  senders: [],
  asynchronousCommit: true,
  walWriterDelayMillis: 200,
  walSegmentBytes: 16n * 1024n * 1024n,
  standardConformingStrings: true,
  version: null,
  role: null,
  readsStats: null,
}

/**
 * Asks a node over a connection of its own, which ends with the answers, with the deadline or with `signal`. In one transaction
 * that only reads; a text sees what was committed before it began. Gives the rows of each text.
 */
export type Question = (
  address: NodeAddress,
  texts: readonly string[],
  millis: number,
  signal: AbortSignal
) => Promise<readonly (readonly Row[])[]>

export function connectionQuestion(
  clock: Clock,
  configOf: (address: NodeAddress) => Record<string, unknown>
): Question {
  return async (address, texts, millis, signal) => {
    const client = new (clientClassFor(address.origin))(configOf(address))
    const drop = () => internals(client).connection?.stream?.destroy()
    client.on('error', drop)
    const alarm = clock.alarm(millis, drop)
    signal.addEventListener('abort', drop)
    try {
      await connected(client)
      internals(client).unref()
      const answers = await answeredInside(client, OWN_SETTINGS, texts)
      client.end(() => {})
      return answers
    } catch (error) {
      drop()
      throw error
    } finally {
      alarm.cancel()
      signal.removeEventListener('abort', drop)
    }
  }
}

function clientClassFor(origin: NodeAddress['origin']): ClientClass {
  return origin === 'configured' ? pg.Client : withoutWeakAuth(pg.Client)
}

export function connectionProbe(clock: Clock): ProbeFactory {
  return (clientConfig, origin, interrupted) => {
    const Client = clientClassFor(origin)
    // Positions are asked for while a look is under way.
    return new ConnectionProbe(clock, () => new Client({ ...clientConfig, pipeline: true }), interrupted)
  }
}

class ConnectionProbe implements Probe {
  readonly #clock: Clock
  readonly #makeClient: () => pg.Client
  readonly #interrupted: () => void
  #client: pg.Client | null = null
  /** The same, once it is connected. */
  #ready: pg.Client | null = null
  #looking = false
  /** The role's default is SERIALIZABLE, which a standby refuses (0A000). What is asked here does not need it, and says so. */
  #serializable = false

  constructor(clock: Clock, makeClient: () => pg.Client, interrupted: () => void) {
    this.#clock = clock
    this.#makeClient = makeClient
    this.#interrupted = interrupted
  }

  async look(depth: 'lean' | 'full', millis: number): Promise<ProbeResult> {
    this.#looking = true
    try {
      return { kind: 'answer', sighting: await this.#within(millis, this.#ask(depth)) }
    } catch (error) {
      this.close()
      return { kind: 'failure', failure: error === OVERDUE ? SILENCE : this.#failureOf(error) }
    } finally {
      this.#looking = false
    }
  }

  #failureOf(error: unknown): Failure {
    return failureOf(error, 'connect', sourceOf(error, this, 0))
  }

  async position(millis: number): Promise<PrimaryPosition | null> {
    const client = this.#ready
    if (client === null) return null
    try {
      const [row] = await this.#within(millis, answered(client, POSITION))
      return {
        insert: parseLsn(row?.insert),
        flush: parseLsn(row?.flush),
        timeline: timelineOf(row),
        asynchronous: row?.synchronous_commit === 'off',
      }
    } catch {
      // The next look finds out why.
      return null
    }
  }

  close(): void {
    const client = this.#client
    this.#ready = null
    this.#client = null
    // Nothing of ours may still happen on a server that we gave up; a probe writes nothing, so a plain close would do too.
    if (client !== null) internals(client).connection?.stream?.destroy()
  }

  /** A deadline that rings late because the event loop was blocked is given one turn to read what has arrived meanwhile. */
  async #within<T>(millis: number, answer: Promise<T>): Promise<T> {
    answer.catch(() => {}) // an answer that fails after the deadline has been reported as silence already
    let alarm: { cancel(): void } | undefined
    const overdue = new Promise<never>((_, reject) => {
      alarm = this.#clock.alarm(millis, () => {
        this.#clock.turn().then(() => reject(OVERDUE))
      })
    })
    try {
      return await Promise.race([answer, overdue])
    } finally {
      alarm?.cancel()
    }
  }

  async #ask(depth: 'lean' | 'full'): Promise<Sighting> {
    const fresh = this.#client === null
    const client = this.#client ?? (await this.#connect())
    const rowsOf = (text: string) => this.#rowsOf(client, text)
    const lean = asked(rowsOf, LEAN, ROLE)
    if (!fresh && depth === 'lean') return sightingOf(await lean, null)
    // In the same trip: statements wait for the first look. What is asked in a transaction is asked after it.
    const ahead = this.#serializable ? null : answered(client, DETAIL)
    ahead?.catch(() => {}) // told below, unless the lean question fails
    const row = await lean
    const first = (text: string) => (text === DETAIL && ahead !== null && !this.#serializable ? ahead : rowsOf(text))
    return sightingOf(row, detailOf(await asked(first, DETAIL, WHO)))
  }

  async #rowsOf(client: pg.Client, text: string): Promise<readonly Row[]> {
    if (!this.#serializable) {
      try {
        return await answered(client, text)
      } catch (error) {
        if (failureOf(error, 'handed', sourceOf(error, client, 0)).kind !== 'isolation') throw error
        this.#serializable = true
      }
    }
    const [rows = []] = await answeredInside(client, [], [text])
    return rows
  }

  async #connect(): Promise<pg.Client> {
    const client = this.#makeClient()
    tap(client, this)
    this.#client = client
    const gone = () => {
      if (this.#client !== client) return
      this.#client = null
      this.#ready = null
      if (!this.#looking) this.#interrupted()
    }
    client.on('error', gone)
    client.on('end', gone)
    await connected(client)
    internals(client).unref()
    this.#ready = this.#client
    return client
  }
}

const OVERDUE = new Error('overdue')

const SILENCE: Failure = {
  kind: 'silent',
  sent: 'never',
  accuses: true,
  origin: 'driver',
  severity: null,
  code: null,
  message: 'no answer to a probe in time',
  error: new Error('no answer to a probe in time'),
}

interface Internals {
  unref(): void
  readonly connection?: { readonly stream?: { destroy(): void } }
}

/** Members that pg has and its published types do not name. */
function internals(client: pg.Client): Internals {
  return client as unknown as Internals
}

/**
 * Nothing that the application's role has set may change what we ask, or how long that may take. Temporary tables, a neighbour's
 * on the same pooler, are named last: unnamed they come first.
 */
const OWN_SETTINGS = [
  'set local statement_timeout = 0',
  'set local lock_timeout = 0',
  'set local search_path = pg_catalog, pg_temp',
]

/** 55000 means that the role flipped between test and call: the failure says so, and the next look sees the new role. */
const FORBIDDEN = new Set(['42501', '0A000', '42883', '42P01'])

type RowsOf = (text: string) => Promise<readonly Row[]>

async function asked(rowsOf: RowsOf, text: string, fallback: string | null): Promise<Row | null> {
  try {
    const [row] = await rowsOf(text)
    return row ?? null
  } catch (error) {
    if (!FORBIDDEN.has((error as { readonly code?: string }).code ?? '')) throw error
    return fallback === null ? null : asked(rowsOf, fallback, null)
  }
}

function sightingOf(row: Row | null, detail: Detail | null): Sighting {
  return {
    inRecovery: row?.in_recovery === 'true',
    timeline: timelineOf(row),
    insert: parseLsn(row?.insert),
    flush: parseLsn(row?.flush),
    replay: parseLsn(row?.replay),
    detail,
  }
}

/** The first eight digits of a WAL file's name. */
function timelineOf(row: Row | null | undefined): number | null {
  return row?.timeline ? Number.parseInt(row.timeline, 16) : null
}

function detailOf(row: Row | null): Detail {
  if (row === null) return NO_DETAIL
  const { version = null, role = null } = row
  if (row.started_at === undefined) return { ...NO_DETAIL, version, role }
  return {
    systemIdentifier: row.system_identifier ?? null,
    startedAt: row.started_at ?? '',
    controlTimeline: integer(row.control_timeline),
    receivedTimeline: integer(row.received_timeline),
    senders: row.senders ? (JSON.parse(row.senders) as Sender[]) : [],
    asynchronousCommit: row.synchronous_commit === 'off',
    walWriterDelayMillis: Number(row.wal_writer_delay ?? NO_DETAIL.walWriterDelayMillis),
    walSegmentBytes: BigInt(row.wal_segment_size ?? NO_DETAIL.walSegmentBytes),
    standardConformingStrings: row.standard_conforming_strings !== 'off',
    version,
    role,
    readsStats: row.reads_stats === null || row.reads_stats === undefined ? null : row.reads_stats === 'true',
  }
}

function integer(text: string | null | undefined): number | null {
  return text === null || text === undefined ? null : Number(text)
}
