// One look at one node over its own connection -> ProbeResult. Never throws, never waits longer than its deadline, never
// keeps Node alive. Knows what to ask PostgreSQL 12 to 18; what the answers mean is decided in core/.

import pg from 'pg'
import type { Clock } from '../clock.js'
import { type Failure, failureOf } from '../core/failure.js'
import { parseLsn } from '../core/lsn.js'
import type { Detail, NodeAddress, Positions, ProbeResult, Sender, Sighting } from '../core/node.js'
import { authRule, type RequiredAuth } from '../guard.js'
import { type Intake, sourceOf, tap } from '../pg/tap.js'
import { answered, connected, type Row } from '../quiet.js'

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

/** Role, positions and timeline: what every tick asks. About as cheap as `select 1`. */
const LEAN = `select r::text as in_recovery,
  case when not r then pg_current_wal_insert_lsn() end::text as insert,
  case when not r then pg_current_wal_flush_lsn() end::text as flush,
  pg_last_wal_replay_lsn()::text as replay,
  case when not r then substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end as timeline
from (values (pg_is_in_recovery())) v(r)`

/** Fails on a standby (55000). */
const POSITION = `select pg_current_wal_insert_lsn()::text as insert, pg_current_wal_flush_lsn()::text as flush,
  substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) as timeline, current_setting('synchronous_commit') as synchronous_commit`

/**
 * pg_control_* read a file and pg_stat_replication joins two views: asked at connect, on a change and now and then. What is set
 * for the role or the database counts on connections that were made later; this one may be older than them.
 */
const DETAIL = `select (select system_identifier from pg_control_system())::text as system_identifier,
  (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint::text as started_at,
  greatest((select timeline_id from pg_control_checkpoint()),
    (select min_recovery_end_timeline from pg_control_recovery()))::text as control_timeline,
  (select received_tli from pg_stat_wal_receiver)::text as received_timeline,
  (select json_agg(json_build_object('address', host(client_addr), 'name', application_name, 'state', state))
    from pg_stat_replication)::text as senders,
  case when exists (select from pg_db_role_setting, unnest(setconfig) as set
      where set ~* '^synchronous_commit=(off|false|no|0)$'
      and setdatabase in (0, (select oid from pg_database where datname = current_database()))
      and setrole in (0, (select oid from pg_roles where rolname = session_user)))
    then 'off' else current_setting('synchronous_commit') end as synchronous_commit,
  (extract(epoch from current_setting('wal_writer_delay')::interval) * 1000)::text as wal_writer_delay,
  pg_size_bytes(current_setting('wal_segment_size'))::text as wal_segment_size,
  current_setting('standard_conforming_strings') as standard_conforming_strings,
  current_setting('server_version') as version, current_user::text as role,
  (select pg_has_role(oid, 'usage') from pg_roles where rolname = 'pg_read_all_stats')::text as reads_stats`

/** Where a function of the above is forbidden: to whom. */
const WHO = `select current_setting('server_version') as version, current_user::text as role`

/** Where even pg_control_* or WAL functions are forbidden or foreign (42501, 0A000): the role, and nothing else. */
const ROLE = `select pg_is_in_recovery()::text as in_recovery, null as insert, null as flush, null as replay, null as timeline`

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

/** Asks a node over a connection of its own, which ends with the answers, with the deadline or with `signal`. */
export type Question = (
  address: NodeAddress,
  texts: readonly string[],
  millis: number,
  signal: AbortSignal
) => Promise<readonly (readonly Row[])[]>

export function connectionQuestion(
  clock: Clock,
  configOf: (address: NodeAddress) => Record<string, unknown>,
  required: RequiredAuth | null
): Question {
  return async (address, texts, millis, signal) => {
    const client = new pg.Client(configOf(address))
    tap(client, client, intakeOf(required, address.origin))
    const drop = () => internals(client).connection?.stream?.destroy()
    client.on('error', drop)
    const alarm = clock.alarm(millis, drop)
    signal.addEventListener('abort', drop)
    try {
      await connected(client)
      internals(client).unref()
      await answered(client, OWN_SESSION)
      const answers: (readonly Row[])[] = []
      for (const text of texts) answers.push(await answered(client, text))
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

/** No answer to what is asked here is nearly as long. */
const ANSWER_BYTES = 1 << 20

function intakeOf(required: RequiredAuth | null, origin: NodeAddress['origin']): Intake {
  return { limitBytes: ANSWER_BYTES, refusesAuth: authRule(required, origin) }
}

export function connectionProbe(clock: Clock, required: RequiredAuth | null): ProbeFactory {
  return (clientConfig, origin, interrupted) => {
    const intake = intakeOf(required, origin)
    // Positions are asked for while a look is under way.
    return new ConnectionProbe(clock, () => new pg.Client({ ...clientConfig, pipeline: true }), intake, interrupted)
  }
}

class ConnectionProbe implements Probe {
  readonly #clock: Clock
  readonly #makeClient: () => pg.Client
  readonly #intake: Intake
  readonly #interrupted: () => void
  #client: pg.Client | null = null
  /** The same, once it is connected. */
  #ready: pg.Client | null = null
  #looking = false

  constructor(clock: Clock, makeClient: () => pg.Client, intake: Intake, interrupted: () => void) {
    this.#clock = clock
    this.#makeClient = makeClient
    this.#intake = intake
    this.#interrupted = interrupted
  }

  async look(depth: 'lean' | 'full', millis: number): Promise<ProbeResult> {
    this.#looking = true
    try {
      return { kind: 'answer', sighting: await this.#within(millis, this.#ask(depth)) }
    } catch (error) {
      this.close()
      return { kind: 'failure', failure: error instanceof Overdue ? SILENCE : this.#failureOf(error) }
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
        this.#clock.turn().then(() => reject(new Overdue()))
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
    const row = await asked(client, LEAN, ROLE)
    const detail = fresh || depth === 'full' ? detailOf(await asked(client, DETAIL, WHO)) : null
    return sightingOf(row, detail)
  }

  async #connect(): Promise<pg.Client> {
    const client = this.#makeClient()
    tap(client, this, this.#intake)
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

class Overdue extends Error {}

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

/** Nothing that the application's role has set may change what we ask, or how long that may take. */
const OWN_SESSION = `set default_transaction_isolation to 'read committed'; set statement_timeout to 0;
  set lock_timeout to 0; set search_path to pg_catalog`
const READ_COMMITTED = "set default_transaction_isolation to 'read committed'"

/** 55000 means that the role flipped between test and call: the failure says so, and the next look sees the new role. */
const FORBIDDEN = new Set(['42501', '0A000', '42883', '42P01'])

async function asked(client: pg.Client, text: string, fallback: string | null): Promise<Row | null> {
  try {
    const [row] = await answered(client, text)
    return row ?? null
  } catch (error) {
    // The role's default is SERIALIZABLE, which a standby refuses (0A000). What we ask does not need it.
    if (failureOf(error, 'handed', sourceOf(error, client, 0)).kind === 'isolation') {
      await answered(client, READ_COMMITTED)
      return asked(client, text, fallback)
    }
    if (!FORBIDDEN.has((error as { readonly code?: string }).code ?? '')) throw error
    return fallback === null ? null : asked(client, fallback, null)
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
