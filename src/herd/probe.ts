// A probe looks at one node over its own connection, and over idle sessions of the pool. A look gives a ProbeResult: it never
// throws, never waits longer than its deadline, and never keeps Node alive.

import pg from 'pg'
import type { NodeAddress } from '../core/cluster/address.js'
import { positionsIn } from '../core/cluster/answers.js'
import { type Failure, verdictBeside, verdictOf } from '../core/cluster/failure.js'
import type { ProbeResult } from '../core/cluster/node.js'
import type { Positions, Sighting } from '../core/cluster/sighting.js'
import { isA } from '../core/thrown.js'
import { answered, answeredAside } from '../pg/own-query.js'
import type { Intake } from '../pg/tap.js'
import type { RequiredAuth } from '../pg/weak-auth.js'
import type { Clock } from '../runtime/clock.js'
import {
  type Answered,
  type Depth,
  failureIn,
  isProof,
  OVERDUE,
  sightOn,
  soon,
  usable,
  within,
} from './probe-answers.js'
import { intakeOf, ProbeConnection } from './probe-connection.js'
import { POSITION } from './probe-sql.js'
import { Hearing, type Sessions } from './sessions.js'

export interface Probe {
  /** `full` asks for everything; the first look over a connection always does. Silence is reported after `millis`. */
  look(depth: Depth, millis: number, over?: Way): Promise<ProbeResult | null>
  /** Asks a primary how far its WAL reaches, beside any look. Null: no connection, no answer in time, or not a primary. */
  position(millis: number): Promise<PrimaryPosition | null>
  /** Drops the connection; the next look opens another. */
  close(): void
  /** Leaves its place at a full server to the pool for a while. False: it has none. */
  yield?(): boolean
}

/**
 * own: over a connection of the probe's own, and over an idle session of the pool where that gets no answer. sessions: the server
 * sees the pool's connections and no others. So a look waits for an idle one, and gives null if none became idle in time.
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
/** As long as sessions of the pool answer, a server that refused a login is asked for another one only after this time. */
const LOGIN_PAUSE_MILLIS = 5000
/** A login that is refused for lack of a place takes one until it has ended. Such logins in quick succession keep each other out. */
const FULL_PAUSE_MILLIS = 250
/** The server, or the password function, will say the same again, or says nothing. */
const REFUSED: ReadonlySet<Failure['kind']> = new Set(['denied', 'full', 'caller', 'silent'] as const)

class ConnectionProbe implements Probe {
  readonly #clock: Clock
  readonly #interrupted: () => void
  readonly #sessions: Sessions
  readonly #hearing: Hearing
  readonly #connection: ProbeConnection
  #looking = false
  /** The newest look has failed, so another server may be there by now. */
  #fresh = true
  /** On the monotonic clock. */
  #mayLoginAt = -Infinity
  /** The newest login was refused for lack of a place. None is tried before `until`, on the monotonic clock. */
  #full: { readonly error: unknown; readonly until: number } | null = null
  /** The newest login was answered, if only by a refusal. */
  #loginAnswered = false
  /** 'asked': since the newest answer the server has not answered a question that a healthy server answers at once. */
  #asked: 'asked' | 'unasked' = 'unasked'
  /** A login has ended after its look, and proves something. */
  #late: { readonly error: unknown } | null = null

  constructor(clock: Clock, makeClient: () => pg.Client, intake: Intake, interrupted: () => void, sessions: Sessions) {
    this.#clock = clock
    this.#interrupted = interrupted
    this.#sessions = sessions
    this.#hearing = new Hearing(sessions)
    this.#connection = new ProbeConnection(makeClient, intake, () => {
      if (!this.#looking) this.#interrupted()
    })
  }

  async look(depth: Depth, millis: number, over: Way = 'own'): Promise<ProbeResult | null> {
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
      // What was heard may have come before the question of this look. So it refutes only the silence of earlier looks.
      this.#asked = verdictBeside(result.failure, result.answers) === 'alive' ? now : since
      return result
    } finally {
      this.#looking = false
    }
  }

  async position(millis: number): Promise<PrimaryPosition | null> {
    const { ready } = this.#connection
    const [idle] = ready === null ? this.#sessions.idle() : []
    const ask = ready !== null ? answered : answeredAside
    const client = ready ?? idle
    if (client === undefined) return null
    try {
      const [row] = await within(this.#clock, millis, ask(client, POSITION))
      return usable(positionsIn(row ?? null))
    } catch {
      // The next look finds out why.
      return null
    }
  }

  close(): void {
    this.#mayLoginAt = -Infinity
    this.#late = null
    this.#connection.drop()
  }

  yield(): boolean {
    if (!this.#connection.isOpen) return false
    this.#connection.drop()
    this.#mayLoginAt = this.#clock.mono() + LOGIN_PAUSE_MILLIS
    return true
  }

  /** There is only one server. It may allow no more connections than the pool has, so the probe opens none of its own beside them. */
  async #sightOfOne(depth: Depth, millis: number): Promise<Sighting | null> {
    // The statement that started the probe is about to make its connection.
    await this.#clock.turn()
    if (this.#sessions.count === 0) return this.#own(depth, millis)
    this.#connection.drop()
    const until = this.#clock.mono() + millis
    for (;;) {
      if (this.#sessions.idle().length > 0) return this.#overSessions(depth, until)
      const left = until - this.#clock.mono()
      if (this.#sessions.count === 0 || left <= 0) return null
      await this.#sessions.freed(left)
    }
  }

  /** The first answer counts, of the probe's own connection or of an idle session. What a new connection proves precedes both. */
  async #sight(depth: Depth, millis: number): Promise<Sighting> {
    const until = this.#clock.mono() + millis
    const late = this.#late
    this.#late = null
    if (late !== null) throw late.error
    if (!this.#connection.isOpen && this.#clock.mono() < this.#mayLoginAt) {
      const seen = await soon(this.#clock, HEDGE_MILLIS, this.#overSessions(depth, until))
      if (seen.kind === 'value') return seen.value
    }
    if (this.#full !== null && this.#clock.mono() < this.#full.until) {
      const { error } = this.#full
      return this.#overSessions(depth, until).catch(() => {
        throw error
      })
    }
    const own = this.#own(depth, until - this.#clock.mono())
    const first = await soon(this.#clock, HEDGE_MILLIS, own)
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

  /** Over the probe's own connection, which is dropped when that fails. */
  async #own(depth: Depth, millis: number): Promise<Sighting> {
    const established = this.#connection.ready !== null
    try {
      const sighting = await within(this.#clock, millis, this.#connection.look(depth))
      this.#loginAnswered = false
      return sighting
    } catch (error) {
      const failure = failureIn(error)
      const { kind } = failure
      if (kind === 'silent' && (this.#connection.ready !== null || this.#loginAnswered)) this.#asked = 'asked'
      if (!established) {
        if (verdictOf(failure) === 'alive') this.#loginAnswered = true
        this.#full = kind === 'full' ? { error, until: this.#clock.mono() + FULL_PAUSE_MILLIS } : null
        if (REFUSED.has(kind)) this.#mayLoginAt = this.#clock.mono() + LOGIN_PAUSE_MILLIS
      }
      this.#connection.drop()
      throw error
    }
  }

  /** Asks one idle session after the other until one answers: a firewall may have forgotten the first. */
  async #overSessions(depth: Depth, until: number): Promise<Sighting> {
    const left = () => until - this.#clock.mono()
    const idle = this.#sessions.idle()
    if (idle.length === 0) throw OVERDUE
    // A caller may hold the session by now, and nothing is asked in a session that is in use.
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
      return await within(this.#clock, left(), Promise.any(looks))
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
}
