// One look at one node over its own connection -> ProbeResult. Never throws, never waits longer than its deadline, never
// keeps Node alive. Knows what to ask PostgreSQL 12 to 18; what the answers mean is decided in core/.

import pg from 'pg'
import type { NodeAddress } from '../core/cluster/address.js'
import { type Checked, detailIn, positionsIn, sightingIn } from '../core/cluster/answers.js'
import { type Failure, failureOf, verdictBeside, verdictOf } from '../core/cluster/failure.js'
import type { ProbeResult } from '../core/cluster/node.js'
import type { Positions, Sighting } from '../core/cluster/sighting.js'
import { isA } from '../core/thrown.js'
import { PgherdError } from '../errors.js'
import { loggedIn } from '../pg/login.js'
import { answered, answeredAside, answeredInside, type Row, Unasked } from '../pg/own-query.js'
import { type Intake, madeBy, sourceOf, tap } from '../pg/tap.js'
import { authRule, type RequiredAuth } from '../pg/weak-auth.js'
import type { Clock } from '../runtime/clock.js'
import { Hearing, type Sessions } from './sessions.js'

export interface Probe {
  /** `full` asks for everything; the first look over a connection always does. Silence is reported after `millis`. */
  look(depth: 'lean' | 'full', millis: number, over?: Way): Promise<ProbeResult | null>
  /** Asks a primary how far its WAL reaches, beside any look; null: no connection, no answer in time, or not a primary. */
  position(millis: number): Promise<PrimaryPosition | null>
  /** Drops the connection; the next look opens another. */
  close(): void
  /** Leaves its place at a full server to the pool for a while. False: it has none. */
  yield?(): boolean
}

/**
 * own: over a connection of the probe's own, and over an idle session of the pool where that gets no answer. sessions: the pool's
 * connections are all that the server shall see, so a look waits for an idle one; null if none became idle in time.
 */
export type Way = 'own' | 'sessions'

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
  interrupted: () => void,
  sessions: Sessions
) => Probe

// Everything is named with its schema, operators included: a pooler may share the session with clients that set search_path or
// have temporary tables, and no function of the database's users shall run with this role's rights (CVE-2018-1058).

/**
 * Role, positions and timeline: what every tick asks. About as cheap as `select 1`. The receiver is read behind the position: what
 * was replayed came by then from it, or from one before. A row of a sender or a receiver is there for any role, not what is in it.
 */
const LEAN = `select r::pg_catalog.text as in_recovery,
  case when not r then pg_catalog.pg_current_wal_insert_lsn() end::pg_catalog.text as insert,
  case when not r then pg_catalog.pg_current_wal_flush_lsn() end::pg_catalog.text as flush,
  pg_catalog.pg_last_wal_replay_lsn()::pg_catalog.text as replay,
  case when not r then pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) end as timeline,
  case when (pg_catalog.pg_stat_get_wal_receiver()).pid is not null then pg_catalog.concat_ws(' ',
    (pg_catalog.pg_stat_get_wal_receiver()).pid, (pg_catalog.pg_stat_get_wal_receiver()).received_tli,
    (pg_catalog.pg_stat_get_wal_receiver()).status, pg_catalog.pg_last_wal_receive_lsn()) end as receiver,
  case when not r then null when exists (select from pg_catalog.pg_stat_get_wal_senders()) then '1' else '0' end as feeds
from (values (pg_catalog.pg_is_in_recovery())) v(r)`

/** Fails on a standby (55000). */
const POSITION = `select pg_catalog.pg_current_wal_insert_lsn()::pg_catalog.text as insert,
  pg_catalog.pg_current_wal_flush_lsn()::pg_catalog.text as flush,
  pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) as timeline,
  pg_catalog.current_setting('synchronous_commit') as synchronous_commit`

/**
 * pg_control_* read a file, and two lists are joined: asked at connect, on a change and now and then. The first statement of a
 * process waits for it, so the functions below the views pg_stat_replication and pg_roles are called: a new session would have to
 * read and plan those. What is set for the role or the database counts on connections that were made later; this one may be older
 * than them.
 */
const DETAIL = `select (select system_identifier from pg_catalog.pg_control_system())::pg_catalog.text as system_identifier,
  (extract(epoch from pg_catalog.pg_postmaster_start_time()) operator(pg_catalog.*) 1000000)
    ::pg_catalog.int8::pg_catalog.text as started_at,
  greatest((select timeline_id from pg_catalog.pg_control_checkpoint()),
    (select min_recovery_end_timeline from pg_catalog.pg_control_recovery()))::pg_catalog.text as control_timeline,
  (select received_tli from pg_catalog.pg_stat_wal_receiver)::pg_catalog.text as received_timeline,
  (select pg_catalog.json_build_object('pid', pid, 'host', sender_host, 'port', sender_port)
    from pg_catalog.pg_stat_wal_receiver)::pg_catalog.text as sender,
  (select pg_catalog.concat_ws(' ', checkpoint_lsn, redo_lsn, timeline_id, next_xid, checkpoint_time)
    from pg_catalog.pg_control_checkpoint()) as checkpoint,
  (select pg_catalog.json_agg(pg_catalog.json_build_object(
      'address', pg_catalog.host(a.client_addr), 'name', a.application_name, 'state', w.state))
    from pg_catalog.pg_stat_get_wal_senders() w, pg_catalog.pg_stat_get_activity(w.pid) a)::pg_catalog.text as senders,
  case when exists (select from pg_catalog.pg_db_role_setting, pg_catalog.unnest(setconfig) as set
      where set operator(pg_catalog.~*) '^synchronous_commit=(off|false|no|0)$'
      and (setdatabase operator(pg_catalog.=) 0 or setdatabase operator(pg_catalog.=)
        (select oid from pg_catalog.pg_database where datname operator(pg_catalog.=) pg_catalog.current_database()))
      and (setrole operator(pg_catalog.=) 0
        or setrole operator(pg_catalog.=) pg_catalog.to_regrole(pg_catalog.quote_ident(session_user))))
    then 'off' else pg_catalog.current_setting('synchronous_commit') end as synchronous_commit,
  (extract(epoch from pg_catalog.current_setting('wal_writer_delay')::pg_catalog.interval) operator(pg_catalog.*) 1000)
    ::pg_catalog.text as wal_writer_delay,
  pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))::pg_catalog.text as wal_segment_size,
  pg_catalog.current_setting('standard_conforming_strings') as standard_conforming_strings,
  pg_catalog.current_setting('server_version') as version, current_user::pg_catalog.text as role,
  pg_catalog.pg_has_role(pg_catalog.to_regrole('pg_read_all_stats'), 'usage')::pg_catalog.text as reads_stats`

/** Where a function of the above is forbidden: to whom. */
const WHO = `select pg_catalog.current_setting('server_version') as version, current_user::pg_catalog.text as role`

/** Where even pg_control_* or WAL functions are forbidden or foreign (42501, 0A000): the role, and nothing else. */
const ROLE = `select pg_catalog.pg_is_in_recovery()::pg_catalog.text as in_recovery, null as insert, null as flush,
  null as replay, null as timeline`

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
  configOf: (address: NodeAddress) => Record<string, unknown>,
  required: RequiredAuth | null
): Question {
  return async (address, texts, millis, signal) => {
    let newest: pg.Client | null = null
    const drop = () => newest !== null && internals(newest).connection?.stream?.destroy()
    const make = () => {
      newest = new pg.Client(configOf(address))
      tap(newest, newest, intakeOf(required, address.origin))
      return newest.on('error', drop)
    }
    const alarm = clock.alarm(millis, drop)
    signal.addEventListener('abort', drop)
    try {
      const client = await loggedIn(make)
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

/** No answer to what is asked here is nearly as long. */
const ANSWER_BYTES = 1 << 20

function intakeOf(required: RequiredAuth | null, origin: NodeAddress['origin']): Intake {
  return { limitBytes: ANSWER_BYTES, refusesAuth: authRule(required, origin) }
}

export function connectionProbe(clock: Clock, required: RequiredAuth | null): ProbeFactory {
  return (clientConfig, origin, interrupted, sessions) => {
    const intake = intakeOf(required, origin)
    // Positions are asked for while a look is under way.
    const makeClient = () => new pg.Client({ ...clientConfig, pipeline: true })
    return new ConnectionProbe(clock, makeClient, intake, interrupted, sessions)
  }
}

/** A healthy server has answered by then; only a login may take longer. */
const HEDGE_MILLIS = 100
/** A server that refuses a login is not asked for another one so soon, as long as sessions of the pool answer. */
const LOGIN_PAUSE_MILLIS = 5000
/** A login that is refused for lack of a place takes one until it has ended: in quick succession they keep each other out. */
const FULL_PAUSE_MILLIS = 250

class ConnectionProbe implements Probe {
  readonly #clock: Clock
  readonly #makeClient: () => pg.Client
  readonly #intake: Intake
  readonly #interrupted: () => void
  readonly #sessions: Sessions
  readonly #hearing: Hearing
  #client: pg.Client | null = null
  /** The same, once it is connected. */
  #ready: pg.Client | null = null
  #login: Promise<pg.Client> | null = null
  #looking = false
  /** The newest look has failed: the server may be another one since. */
  #fresh = true
  /** On the monotonic clock. */
  #mayLoginAt = -Infinity
  /** The newest login was refused for lack of a place: on the monotonic clock, none is tried until then. */
  #full: { readonly error: unknown; readonly until: number } | null = null
  /** The newest login was answered, if only by a refusal. */
  #loginAnswered = false
  /** Since the newest answer a question has gone unanswered that a healthy server answers at once. */
  #asked: 'asked' | 'unasked' = 'unasked'
  /** A login has ended after its look, and proves something. */
  #late: { readonly error: unknown } | null = null
  /** The role's default is SERIALIZABLE, which a standby refuses (0A000). What is asked here does not need it, and says so. */
  #serializable = false

  constructor(clock: Clock, makeClient: () => pg.Client, intake: Intake, interrupted: () => void, sessions: Sessions) {
    this.#clock = clock
    this.#makeClient = makeClient
    this.#intake = intake
    this.#interrupted = interrupted
    this.#sessions = sessions
    this.#hearing = new Hearing(sessions)
  }

  async look(depth: 'lean' | 'full', millis: number, over: Way = 'own'): Promise<ProbeResult | null> {
    this.#looking = true
    const answers = this.#hearing.begin()
    const earlier = this.#asked
    this.#asked = 'unasked'
    try {
      const sighting = over === 'own' ? await this.#sight(depth, millis) : await this.#sightOfOne(depth, millis)
      if (sighting === null) return null
      this.#asked = 'unasked'
      this.#fresh = false
      return { kind: 'answer', sighting }
    } catch (error) {
      this.#fresh = true
      const now = this.#asked as 'asked' | 'unasked'
      const since = now === 'asked' ? now : earlier
      const result = { kind: 'failure', failure: failureIn(error), answers: answers(since) } as const
      // What was heard may have come before this look's own question: only the silence of earlier looks is refuted.
      this.#asked = verdictBeside(result.failure, result.answers) === 'alive' ? now : since
      return result
    } finally {
      this.#looking = false
    }
  }

  async position(millis: number): Promise<PrimaryPosition | null> {
    const [idle] = this.#ready === null ? this.#sessions.idle() : []
    const ask = this.#ready !== null ? answered : answeredAside
    const client = this.#ready ?? idle
    if (client === undefined) return null
    try {
      const [row] = await this.#within(millis, ask(client, POSITION))
      return usable(positionsIn(row ?? null))
    } catch {
      // The next look finds out why.
      return null
    }
  }

  close(): void {
    this.#mayLoginAt = -Infinity
    this.#late = null
    this.#drop()
  }

  yield(): boolean {
    if (this.#client === null) return false
    this.#drop()
    this.#mayLoginAt = this.#clock.mono() + LOGIN_PAUSE_MILLIS
    return true
  }

  #drop(): void {
    const client = this.#client
    this.#ready = null
    this.#client = null
    this.#login = null
    // Nothing of ours may still happen on a server that we gave up; a probe writes nothing, so a plain close would do too.
    if (client !== null) internals(client).connection?.stream?.destroy()
  }

  /** The only server there is: no connection of the probe's own beside those of the pool, which may be all that it allows. */
  async #sightOfOne(depth: 'lean' | 'full', millis: number): Promise<Sighting | null> {
    // The statement that started the probe is about to make its connection.
    await this.#clock.turn()
    if (this.#sessions.count === 0) return this.#own(depth, millis)
    this.#drop()
    const until = this.#clock.mono() + millis
    for (;;) {
      if (this.#sessions.idle().length > 0) return this.#overSessions(depth, until)
      const left = until - this.#clock.mono()
      if (this.#sessions.count === 0 || left <= 0) return null
      await this.#sessions.freed(left)
    }
  }

  /** The first answer counts, of the probe's own connection or of an idle session. What a new connection proves does so before any. */
  async #sight(depth: 'lean' | 'full', millis: number): Promise<Sighting> {
    const until = this.#clock.mono() + millis
    const late = this.#late
    this.#late = null
    if (late !== null) throw late.error
    if (this.#client === null && this.#clock.mono() < this.#mayLoginAt) {
      const seen = await this.#soon(this.#overSessions(depth, until))
      if (seen.kind === 'value') return seen.value
    }
    if (this.#full !== null && this.#clock.mono() < this.#full.until) {
      const { error } = this.#full
      return this.#overSessions(depth, until).catch(() => {
        throw error
      })
    }
    const own = this.#own(depth, until - this.#clock.mono())
    const first = await this.#soon(own)
    if (first.kind === 'value') return first.value
    if (first.kind === 'error' && isProof(first.error)) throw first.error
    return this.#eitherOf(own, this.#overSessions(depth, until))
  }

  #eitherOf(own: Promise<Sighting>, sessions: Promise<Sighting>): Promise<Sighting> {
    return new Promise((resolve, reject) => {
      let over = false
      sessions.then(
        (sighting) => {
          over = true
          resolve(sighting)
        },
        () => {}
      )
      own.then(resolve, (error) => {
        if (isProof(error)) {
          if (over) this.#tellLate(error)
          return reject(error)
        }
        // Of two failures the login's own tells more.
        sessions.catch(() => reject(error))
      })
    })
  }

  #tellLate(error: unknown): void {
    this.#late = { error }
    this.#interrupted()
  }

  /** What `look` has come to within a moment. */
  async #soon(look: Promise<Sighting>): Promise<Early> {
    let alarm: { cancel(): void } | undefined
    const late = new Promise<Early>((resolve) => {
      alarm = this.#clock.alarm(HEDGE_MILLIS, () => resolve({ kind: 'late' }))
    })
    const over = look.then(
      (value): Early => ({ kind: 'value', value }),
      (error): Early => ({ kind: 'error', error })
    )
    const early = await Promise.race([over, late])
    alarm?.cancel()
    return early
  }

  /** Over the probe's own connection, which is dropped when that fails. */
  async #own(depth: 'lean' | 'full', millis: number): Promise<Sighting> {
    const established = this.#ready !== null
    try {
      const sighting = await this.#within(millis, this.#ask(depth))
      this.#loginAnswered = false
      return sighting
    } catch (error) {
      const failure = failureIn(error)
      const { kind } = failure
      if (kind === 'silent' && (this.#ready !== null || this.#loginAnswered)) this.#asked = 'asked'
      if (!established) {
        if (verdictOf(failure) === 'alive') this.#loginAnswered = true
        this.#full = kind === 'full' ? { error, until: this.#clock.mono() + FULL_PAUSE_MILLIS } : null
        if (REFUSED.has(kind)) this.#mayLoginAt = this.#clock.mono() + LOGIN_PAUSE_MILLIS
      }
      this.#drop()
      throw error
    }
  }

  /** Asks one idle session after the other until one answers: the first may have been forgotten by a firewall. */
  async #overSessions(depth: 'lean' | 'full', until: number): Promise<Sighting> {
    const left = () => until - this.#clock.mono()
    const idle = this.#sessions.idle()
    if (idle.length === 0) throw OVERDUE
    // A caller may have it by now: nothing is asked in a session that is in use.
    const aside: Answered = async (client, text) => {
      if (!this.#sessions.isUnused(client)) throw OVERDUE
      return answeredAside(client, text)
    }
    let over = false
    const looks = idle.map(async (client, turn) => {
      if (turn > 0) await this.#pause(turn * HEDGE_MILLIS)
      if (over || left() <= 0) throw OVERDUE
      return sightOn(client, this.#fresh ? 'full' : depth, aside)
    })
    try {
      return await this.#within(left(), Promise.any(looks))
    } catch (error) {
      if (error === OVERDUE) this.#asked = 'asked'
      throw isA(error, AggregateError) ? error.errors[0] : error
    } finally {
      over = true
    }
  }

  #pause(millis: number): Promise<void> {
    return new Promise((resolve) => this.#clock.alarm(millis, resolve))
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
    const fresh = this.#ready === null
    const client = this.#ready ?? (await this.#connect())
    return sightOn(client, fresh ? 'full' : depth, (on, text) => this.#rowsOf(on, text))
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

  /** A login that outlasts its look is shared by the next. */
  #connect(): Promise<pg.Client> {
    if (this.#login !== null) return this.#login
    const login: Promise<pg.Client> = this.#loginAnew(() => this.#login === login).finally(() => {
      if (this.#login === login) this.#login = null
    })
    this.#login = login
    return login
  }

  async #loginAnew(isWanted: () => boolean): Promise<pg.Client> {
    // Its own promise is there from the next microtask on.
    await null
    const make = () => {
      if (!isWanted()) throw OVERDUE
      const client = this.#makeClient()
      tap(client, this, this.#intake)
      this.#client = client
      const gone = () => {
        if (this.#client !== client) return
        this.#client = null
        if (this.#ready !== client) return
        this.#ready = null
        if (!this.#looking) this.#interrupted()
      }
      return client.on('error', gone).on('end', gone)
    }
    try {
      const client = await loggedIn(make)
      internals(client).unref()
      this.#ready = this.#client
      return client
    } catch (error) {
      // Given up by ourselves.
      throw isWanted() ? error : OVERDUE
    }
  }
}

/** The server, or the password function, will say the same again; or says nothing. */
const REFUSED: ReadonlySet<Failure['kind']> = new Set(['denied', 'full', 'caller', 'silent'] as const)

type Early =
  | { readonly kind: 'value'; readonly value: Sighting }
  | { readonly kind: 'error'; readonly error: unknown }
  | { readonly kind: 'late' }

type Answered = typeof answered

/**
 * One question after the other: dropped between two answers, a connection to PgBouncer (1.18) would leave the second to the client
 * that has the server connection next.
 */
async function sightOn(client: pg.Client, depth: 'lean' | 'full', answer: Answered): Promise<Sighting> {
  const sighting = usable(sightingIn(await asked(client, LEAN, ROLE, answer)))
  if (depth === 'lean') return sighting
  return { ...sighting, detail: usable(detailIn(await asked(client, DETAIL, WHO, answer))) }
}

function failureIn(error: unknown): Failure {
  if (error === OVERDUE) return SILENCE
  return failureOf(error, 'connect', isA(error, PgherdError) || isA(error, Unasked) ? 'pgherd' : madeBy(error))
}

/** A new connection was turned away by what is, or is not, behind the address: no older session refutes that. */
function isProof(error: unknown): boolean {
  return verdictOf(failureIn(error)) === 'down'
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

async function asked(client: pg.Client, text: string, fallback: string | null, answer: Answered): Promise<Row | null> {
  try {
    const [row] = await answer(client, text)
    return row ?? null
  } catch (error) {
    if (!FORBIDDEN.has((error as { readonly code?: string }).code ?? '')) throw error
    return fallback === null ? null : asked(client, fallback, null, answer)
  }
}

/** What is not as PostgreSQL answers is no answer. */
function usable<T>(checked: Checked<T>): T {
  if (checked.kind === 'value') return checked.value
  throw new PgherdError(
    'PGHERD_PROTOCOL',
    `a probe was answered without a usable value of ${checked.field}: the server is not what it seems to be.`
  )
}
