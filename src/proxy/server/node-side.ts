// The connections to one node in one generation: opened as each user, looked at before use, given to one unit at a time. It judges what
// a connection has shown; which node a unit runs on the router has chosen.

import { failureOf, type Source } from '../../core/cluster/failure.js'
import type { Node } from '../../core/cluster/node.js'
import { isPromoted } from '../../core/session/server-session.js'
import type { Attempt } from '../../herd/herd.js'
import { isDemoted, needsProof } from '../../router/admission.js'
import { dropped, notPrimary, notReplica, promotedError, staleError } from '../../router/refusals.js'
import { shareOf } from '../options.js'
import { difference } from '../session/settings.js'
import { type Expected, encode } from '../session/unit.js'
import { cleaned } from './cleaning.js'
import { ServerConnection } from './connection.js'
import { DialError, dial } from './dial.js'
import { type Ended, UnitExchange } from './exchange.js'
import type { Job } from './job.js'
import { adopt, leadWith } from './leading.js'
import { Lending } from './lending.js'
import type { ServerParts } from './parts.js'
import { asked, guard, identify, prove } from './proof.js'

/** So many logins to one server at a time: a server that has just come back is not stormed. */
const MOST_LOGINS = 4
const NEVER_MILLIS = 2 ** 31 - 1

export class NodeSide {
  readonly node: Node
  readonly #parts: ServerParts
  readonly #lendings = new Map<string, Lending>()
  #logins = 0
  readonly #gate: (() => void)[] = []
  #isOver = false

  constructor(node: Node, parts: ServerParts) {
    this.node = node
    this.#parts = parts
  }

  get lendings(): ReadonlyMap<string, Lending> {
    return this.#lendings
  }

  get key(): Node['key'] {
    return this.node.key
  }

  *connections(): Iterable<ServerConnection> {
    for (const lending of this.#lendings.values()) yield* lending.all
  }

  // Having a connection.

  #lendingOf(user: string, database: string): Lending {
    const name = `${user}\0${database}`
    let lending = this.#lendings.get(name)
    if (lending === undefined) {
      const { options, worker, clock } = this.#parts
      lending = new Lending({
        clock,
        idleMillis: options.serverIdleTimeoutMillis || NEVER_MILLIS,
        limits: () => ({
          size: shareOf(options.defaultPoolSize, worker),
          lifetimeMillis: options.serverLifetimeMillis,
          waitMillis: options.queryWaitTimeoutMillis,
        }),
        open: () => this.#open(user, database),
        tooLate: (waiting) => this.#parts.tooLate(this.key, waiting),
      })
      this.#lendings.set(name, lending)
    }
    return lending
  }

  async #open(user: string, database: string): Promise<ServerConnection> {
    await this.#permit()
    try {
      if (this.#isOver) throw new DialError(dropped(this.key), 'pgherd')
      const { clock, router, options } = this.#parts
      const dialed = await dial(this.#parts.dialing(this.node.address, user, database), clock)
      const connection = new ServerConnection(
        this.node,
        dialed,
        router.facts,
        this,
        clock,
        options.maxPreparedStatements
      )
      try {
        await identify(connection, this.node, this.#parts)
        if (this.#isOver) throw new DialError(dropped(this.key), 'pgherd')
      } catch (error) {
        connection.end('reset')
        throw error
      }
      this.#parts.opened(connection, user, database)
      return connection
    } catch (error) {
      if (error instanceof DialError) this.#parts.refusedLogin(user, error)
      throw error
    } finally {
      this.#logins--
      this.#gate.shift()?.()
    }
  }

  #permit(): Promise<void> {
    if (this.#logins++ < MOST_LOGINS) return Promise.resolve()
    return new Promise((resolve) => this.#gate.push(resolve))
  }

  #acquire(place: Attempt, job: Job): Promise<ServerConnection> {
    return new Promise((resolve, reject) => {
      const waiter = {
        since: this.#parts.clock.mono(),
        isGone: false,
        resolve: (connection: ServerConnection) => {
          job.waits(null)
          resolve(connection)
        },
        reject: (error: unknown, source: Source) => {
          job.waits(null)
          place.source = source
          reject(error)
        },
      }
      job.waits(() => {
        waiter.isGone = true
        place.source = 'unproven'
        reject(new Withdrawn())
      })
      this.#lendingOf(job.user, job.database).acquire(waiter)
    })
  }

  giveBack(connection: ServerConnection, user: string, database: string): void {
    const { session } = connection
    if (session.use === 'held') {
      session.releases()
      session.settles()
    }
    connection.keeper = null
    const back = () => this.#lendings.get(`${user}\0${database}`)?.giveBack(connection)
    if (connection.isDead) {
      back()
      return
    }
    // Something is under way yet: an answer that is read to its end, a cancel request, the cleaning.
    void cleaned(connection).then((isClean) => {
      if (!isClean) connection.end('reset')
      back()
    })
  }

  // Running a unit.

  /** On a connection of its own. Rejects where the unit has failed and the client was told nothing. */
  async run(place: Attempt, job: Job, reading: boolean): Promise<Ended> {
    if (job.isGone) throw new Withdrawn()
    const connection = await this.#acquire(place, job)
    const needed = needsProof(place, connection.session)
    try {
      this.#admit(connection, place, reading)
      if (needed && job.isAlone) await prove(connection, place, this.#parts)
      await this.#prepareSession(connection, job)
      if (job.isGone) throw new Withdrawn()
    } catch (error) {
      this.giveBack(connection, job.user, job.database)
      if (error instanceof DialError) {
        place.source = error.source
        throw error.error
      }
      throw error
    }
    return this.#dispatch(connection, place, job, reading, needed && !job.isAlone)
  }

  /** Throws where the connection must not be used for this attempt. */
  #admit(connection: ServerConnection, place: Attempt, reading: boolean): void {
    const { router } = this.#parts
    const { session } = connection
    place.source = 'pgherd'
    if (!needsProof(place, session) && !router.herd.vouches(place)) throw staleError(this.key)
    if (isDemoted(place, session)) {
      connection.end('reset')
      throw notPrimary(this.key)
    }
    if (isPromoted(place.node, session)) {
      connection.end('politely')
      if (!router.isPrimary(this.key)) this.#accuse(notReplica(this.key), 'pgherd')
      throw reading ? promotedError(this.key) : notReplica(this.key)
    }
  }

  /** Settings that were never sent here before make a trip of their own: a unit must not run without them. */
  async #prepareSession(connection: ServerConnection, job: Job): Promise<void> {
    const text = difference(connection.settings, job.settings)
    if (text === null || this.#parts.vouched.has(`${job.user}\0${text}`)) return
    await asked(connection, text)
    connection.settings = job.settings
    this.#parts.vouched.add(`${job.user}\0${text}`)
  }

  #dispatch(connection: ServerConnection, place: Attempt, job: Job, reading: boolean, guards: boolean): Promise<Ended> {
    const { session } = connection
    return new Promise((resolve, reject) => {
      let isSettled = false
      const back = () => this.giveBack(connection, job.user, job.database)
      const ends = {
        skipped: (expected: Expected) => connection.skipped(expected),
        goesOn: () => job.goesOn(connection),
        resolve: (ended: Ended) => {
          isSettled = true
          session.ends()
          if (ended.failed !== null) this.#noteFailed(ended.failed)
          if (!job.keeps(connection, ended)) back()
          resolve(ended)
        },
        reject: (error: unknown, source: Source) => {
          isSettled = true
          session.ends()
          // What the client has seen a part of runs nowhere else.
          place.source = exchange.isTold ? 'unproven' : source
          job.failed(connection, exchange)
          back()
          reject(error)
        },
      }
      const exchange = new UnitExchange(job.text, !job.isOpen, job.sink, ends)
      /** Nothing of the answer counts: it is read to its end, and the connection comes back then. */
      const stale = () => {
        if (isSettled) return
        isSettled = true
        exchange.drop()
        session.ends()
        place.phase = 'connect'
        place.source = 'pgherd'
        back()
        reject(staleError(this.key))
      }
      place.phase = 'handed'
      session.begins(reading, job.scope)
      adopt(connection, job.settings)
      if (job.shape !== null) leadWith(connection, job.shape)
      if (guards) {
        exchange.shut()
        guard(connection, place, exchange, stale, this.#parts)
      }
      const { bytes, expects } = encode(job.unit, connection, job.isOpen)
      connection.queries++
      job.runsOn(connection, exchange)
      exchange.begin(expects)
      connection.send(exchange, bytes)
    })
  }

  #noteFailed(spoken: Extract<Source, object>): void {
    const failure = failureOf(new Error(''), 'handed', spoken)
    if (failure.accuses) this.#accuse(new Error(''), spoken)
  }

  // What its connections tell.

  heard(session: ServerConnection['session'], facts: number, text: string | null): void {
    this.#parts.router.facts.heard(session, facts, text)
  }

  standby(is: boolean): void {
    const { router } = this.#parts
    if (is && router.isPrimary(this.key)) this.#accuse(notPrimary(this.key), 'pgherd')
    else if (!is && router.isReplica(this.key)) this.#accuse(notReplica(this.key), 'pgherd')
  }

  /** It is a matter of the client whose settings these are, which is pinned. */
  legible(): void {}

  notified(): void {
    this.#parts.router.facts.notified()
  }

  failed(error: unknown, source: Source): void {
    this.#accuse(error, source)
  }

  #accuse(error: unknown, source: Source): void {
    if (this.#isOver) return
    const failure = failureOf(error, 'idle', source)
    const { key, generation } = this.node
    if (failure.accuses) this.#parts.router.herd.report({ kind: 'accused', key, generation, failure })
  }

  // Its end.

  /** `reset`: nothing that was sent may still happen. */
  end(how: 'politely' | 'reset'): void {
    this.#isOver = true
    for (const wake of this.#gate.splice(0)) wake()
    for (const lending of this.#lendings.values()) lending.end(dropped(this.key), 'pgherd', how)
  }

  /** The options have changed. */
  adapt(): void {
    for (const lending of this.#lendings.values()) lending.adapt()
  }

  reconnect(): void {
    for (const lending of this.#lendings.values()) lending.reconnect()
  }
}

/** The client waits no longer. */
export class Withdrawn extends Error {
  constructor() {
    super('the client waits no longer')
  }
}
