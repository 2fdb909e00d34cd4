// One look at one node over its own connection -> ProbeResult. Never throws, never waits longer than its deadline, never
// keeps Node alive. Knows what to ask PostgreSQL 12 to 18; what the answers mean is decided in core/.

import pg from 'pg'
import type { Clock } from '../clock.js'
import { type Failure, failureOf } from '../core/failure.js'
import { parseLsn } from '../core/lsn.js'
import type { Detail, NodeAddress, ProbeResult, Sender, Sighting } from '../core/node.js'
import { type ClientClass, withoutWeakAuth } from '../guard.js'

export interface Probe {
  /** `full` asks for everything; the first look over a connection always does. Silence is reported after `millis`. */
  look(depth: 'lean' | 'full', millis: number): Promise<ProbeResult>
  /** Drops the connection; the next look opens another. */
  close(): void
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
  case when r then pg_last_wal_replay_lsn() end::text as replay,
  case when not r then substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end as timeline
from (values (pg_is_in_recovery())) v(r)`

/** pg_control_* read a file and pg_stat_replication joins two views: asked at connect, on a change and now and then. */
const DETAIL = `select (select system_identifier from pg_control_system())::text as system_identifier,
  pg_postmaster_start_time()::text as started_at,
  greatest((select timeline_id from pg_control_checkpoint()),
    (select min_recovery_end_timeline from pg_control_recovery()))::text as control_timeline,
  (select received_tli from pg_stat_wal_receiver)::text as received_timeline,
  (select json_agg(json_build_object('address', host(client_addr), 'name', application_name, 'state', state))
    from pg_stat_replication)::text as senders,
  current_setting('synchronous_commit') as synchronous_commit,
  (extract(epoch from current_setting('wal_writer_delay')::interval) * 1000)::text as wal_writer_delay,
  pg_size_bytes(current_setting('wal_segment_size'))::text as wal_segment_size,
  current_setting('standard_conforming_strings') as standard_conforming_strings`

/** Where even pg_control_* or WAL functions are forbidden or foreign (42501, 0A000): the role, and nothing else. */
const ROLE = `select pg_is_in_recovery()::text as in_recovery, null as insert, null as flush, null as replay, null as timeline`

type Row = Readonly<Record<string, string | null>>

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
  configOf: (address: NodeAddress) => Record<string, unknown>
): Question {
  return async (address, texts, millis, signal) => {
    const client = new (clientClassFor(address.origin))(configOf(address))
    const drop = () => internals(client).connection?.stream?.destroy()
    client.on('error', drop)
    const alarm = clock.alarm(millis, drop)
    signal.addEventListener('abort', drop)
    try {
      await client.connect()
      internals(client).unref()
      await client.query(OWN_SESSION)
      const answers: (readonly Row[])[] = []
      for (const text of texts) answers.push((await client.query<Row>(text)).rows)
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
    return new ConnectionProbe(clock, () => new Client(clientConfig), interrupted)
  }
}

class ConnectionProbe implements Probe {
  readonly #clock: Clock
  readonly #makeClient: () => pg.Client
  readonly #interrupted: () => void
  #client: pg.Client | null = null
  #looking = false

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
      return { kind: 'failure', failure: error instanceof Overdue ? SILENCE : failureOf(error, 'connect') }
    } finally {
      this.#looking = false
    }
  }

  close(): void {
    const client = this.#client
    this.#client = null
    // Nothing of ours may still happen on a server that we gave up; a probe writes nothing, so a plain close would do too.
    if (client !== null) internals(client).connection?.stream?.destroy()
  }

  /** A deadline that rings late because the event loop was blocked is given one turn to read what has arrived meanwhile. */
  async #within(millis: number, answer: Promise<Sighting>): Promise<Sighting> {
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
    const detail = fresh || depth === 'full' ? detailOf(await asked(client, DETAIL, null)) : null
    return sightingOf(row, detail)
  }

  async #connect(): Promise<pg.Client> {
    const client = this.#makeClient()
    this.#client = client
    const gone = () => {
      if (this.#client !== client) return
      this.#client = null
      if (!this.#looking) this.#interrupted()
    }
    client.on('error', gone)
    client.on('end', gone)
    await client.connect()
    internals(client).unref()
    return client
  }
}

class Overdue extends Error {}

const SILENCE: Failure = {
  kind: 'silent',
  sent: 'never',
  accuses: true,
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
    const { rows } = await client.query<Row>(text)
    return rows[0] ?? null
  } catch (error) {
    // The role's default is SERIALIZABLE, which a standby refuses (0A000). What we ask does not need it.
    if (failureOf(error, 'handed').kind === 'isolation') {
      await client.query(READ_COMMITTED)
      return asked(client, text, fallback)
    }
    if (!FORBIDDEN.has((error as { readonly code?: string }).code ?? '')) throw error
    return fallback === null ? null : asked(client, fallback, null)
  }
}

function sightingOf(row: Row | null, detail: Detail | null): Sighting {
  return {
    inRecovery: row?.in_recovery === 'true',
    timeline: row?.timeline ? Number.parseInt(row.timeline, 16) : null,
    insert: parseLsn(row?.insert),
    flush: parseLsn(row?.flush),
    replay: parseLsn(row?.replay),
    detail,
  }
}

function detailOf(row: Row | null): Detail {
  if (row === null) return NO_DETAIL
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
  }
}

function integer(text: string | null | undefined): number | null {
  return text === null || text === undefined ? null : Number(text)
}
