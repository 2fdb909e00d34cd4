// Flows that write and read the counters until they are stopped, and keep the account. Which of them run, and how fast, is the
// plan's; what happens to the servers meanwhile is the scenario's.

import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import type { Pool } from '../../src/index.js'
import type { Cluster } from '../support/cluster.js'
import { type Account, moment, type Write } from './account.js'
import { Gate } from './gate.js'
import * as readings from './readings.js'
import { asSession, type SessionPool } from './sessions.js'
import * as writings from './writings.js'

export interface Plan {
  /** One flow each, through the pool. */
  readonly writings: readonly writings.Writing[]
  readonly readings: readonly readings.Reading[]
  /** One flow each, by a client that the pool knows nothing of. */
  readonly foreign: readonly writings.Foreign[]
  /** Flows that write and read inside pool.session(), where there is one. */
  readonly sessions: number
  /** Counters of writes whose reply will be lost. */
  readonly lost: number
  readonly foreignPauseMillis: number
  readonly readPauseMillis: number
  /** How often a flow reads after each of its writes; the first time at once. */
  readonly readsPerWrite: number
}

/** The pool's writers work at the same times, so that replicas can have all of it at others. */
export interface Rhythm {
  readonly periodMillis: number
  readonly burstMillis: number
}

export const USUAL: Plan = {
  writings: writings.USUAL,
  readings: readings.USUAL,
  foreign: [writings.foreign, writings.foreignTransaction],
  sessions: 2,
  lost: 0,
  foreignPauseMillis: 4,
  readPauseMillis: 2,
  readsPerWrite: 2,
}

export interface WorkloadParts {
  readonly plan: Plan
  readonly boundMillis: number
  readonly rhythm: Rhythm
  readonly account: Account
}

const AFTER_FAILURE_MILLIS = 5

export class Workload {
  readonly account: Account
  /** Turns of flows that write through the pool, of foreign writers, and of readers. */
  readonly gates = { pool: new Gate(), foreign: new Gate(), reads: new Gate() } as const
  readonly #cluster: Cluster
  readonly #pool: Pool
  readonly #plan: Plan
  readonly #boundMillis: number
  readonly #rhythm: Rhythm
  readonly #flows: Promise<void>[] = []
  readonly #foreigners = new Set<pg.Client>()
  readonly #values: number[] = []
  #sessions = 0
  #primary = 0
  #phase = 'healthy'
  #stopped = false

  constructor(cluster: Cluster, pool: Pool, parts: WorkloadParts) {
    this.#cluster = cluster
    this.#pool = pool
    this.#plan = parts.plan
    this.#boundMillis = parts.boundMillis
    this.#rhythm = parts.rhythm
    this.account = parts.account
  }

  /** How many counters the plan needs. */
  static counters({ writings, foreign, sessions, lost }: Plan): number {
    return writings.length + foreign.length + sessions + lost
  }

  start(): void {
    const { writings, foreign, readings, sessions } = this.#plan
    let next = 0
    for (const writing of writings) this.#flow(this.#writer(next++, writing))
    for (const each of foreign) this.#flow(this.#foreigner(next++, each))
    for (const reading of readings) this.#flow(() => this.gates.reads.through(() => this.#reader(reading)))
    const scoped = asSession(this.#pool)
    for (let i = 0; scoped !== null && i < sessions; i++) this.#flow(this.#session(next++, scoped))
  }

  set phase(name: string) {
    this.#phase = name
  }

  /** Who takes the writes now: foreign writers go there. */
  async move(primary: number): Promise<void> {
    this.#primary = primary
    await Promise.all([...this.#foreigners].map((client) => client.end()))
  }

  /** Holds all writers back, and resolves when none of their writes is under way. */
  async hold(...who: readonly ('pool' | 'foreign' | 'reads')[]): Promise<void> {
    await Promise.all(who.map((each) => this.gates[each].close()))
  }

  free(...who: readonly ('pool' | 'foreign' | 'reads')[]): void {
    for (const each of who) this.gates[each].open()
  }

  /** One read now, in its own time. */
  read(reading: readings.Reading = readings.simple): Promise<void> {
    return this.#read(reading, false, null)
  }

  /** One write now, in its own time, by the flow of that number; hold the others first. */
  async write(writing: writings.Writing): Promise<void> {
    const writer = this.#plan.writings.indexOf(writing)
    if (writer < 0) throw new Error('no flow of the plan writes in this way')
    await this.#write(writer, 'pool', null, (value) => writing(this.#pool, writer, value))
  }

  /**
   * The plan's one lost write, in a session of its own: it is committed, with a reply that never comes, as `cut` sees to. The session reads on until
   * `over`.
   */
  async lose(
    cut: (written: (node: number) => Promise<boolean>) => Promise<void>,
    over: Promise<void>
  ): Promise<{ readonly write: Write; readonly over: Promise<void> }> {
    const scoped = asSession(this.#pool)
    if (scoped === null) throw new Error('this product has no sessions')
    const session = `s${++this.#sessions}`
    const writer = Workload.counters(this.#plan) - 1
    const value = 1
    const calledAt = moment()
    const written = async (node: number) => {
      const client = await this.#cluster.connect(node)
      const { rows } = await client.query<{ value: number }>(`select value from counters where writer = ${writer}`)
      await client.end()
      return rows[0]?.value === value
    }
    return scoped.session(async () => {
      const sent = writings.unanswered(this.#pool, writer, value).catch((error: unknown) => error)
      await cut(written)
      const { outcome } = (await sent) as { readonly outcome?: string }
      if (outcome !== 'unknown') throw new Error(`the reply was not lost: ${outcome}`)
      const doubt = { settledAt: null }
      const write: Write = {
        writer,
        value,
        calledAt,
        ackedAt: moment(),
        through: 'pool',
        session,
        lostAt: null,
        doubt,
      }
      this.account.writes.push(write)
      return { write, over: this.#readOn(session, over) }
    })
  }

  async #readOn(session: string, over: Promise<void>): Promise<void> {
    let isOver = false
    void over.then(() => {
      isOver = true
    })
    do await this.#read(readings.simple, false, session)
    while (!isOver && !this.#stopped)
    await this.#read(readings.simple, false, session)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.free('pool', 'foreign', 'reads')
    await Promise.all(this.#flows)
    await Promise.all([...this.#foreigners].map((client) => client.end()))
  }

  #flow(turn: () => Promise<void>): void {
    const run = async () => {
      while (!this.#stopped) await turn()
    }
    this.#flows.push(run())
  }

  #writer(writer: number, writing: writings.Writing): () => Promise<void> {
    return async () => {
      const written = await this.gates.pool.through(() =>
        this.#write(writer, 'pool', null, (value) => writing(this.#pool, writer, value))
      )
      await this.#readAfter(written, null)
      await this.#calm()
    }
  }

  /** Until the next burst, when this one is over. */
  async #calm(): Promise<void> {
    const { periodMillis, burstMillis } = this.#rhythm
    const since = moment() % periodMillis
    if (since > burstMillis && !this.#stopped) await pause(periodMillis - since)
  }

  async #readAfter(written: boolean, session: string | null): Promise<void> {
    const { readings, readsPerWrite } = this.#plan
    for (let i = 0; i < readsPerWrite && !this.#stopped; i++) {
      const reading = readings[Math.floor(Math.random() * readings.length)] ?? this.#plan.readings[0]
      if (reading === undefined) return
      await this.gates.reads.through(() => this.#read(reading, written && i === 0, session))
      if (i > 0) await this.#rest(this.#plan.readPauseMillis)
    }
  }

  /** A session writes and reads, and goes on elsewhere by its token. */
  #session(writer: number, pool: SessionPool): () => Promise<void> {
    return async () => {
      const session = `s${++this.#sessions}`
      const write = (value: number) => writings.extended(this.#pool, writer, value)
      const token = await pool.session(async () => {
        for (let i = 0; i < 3 && !this.#stopped; i++) {
          const written = await this.gates.pool.through(() => this.#write(writer, 'pool', session, write))
          await this.#readAfter(written, session)
        }
        return pool.token()
      })
      if (token !== null) await pool.session(token, () => this.#readAfter(false, session))
      await this.#calm()
    }
  }

  #foreigner(writer: number, each: writings.Foreign): () => Promise<void> {
    let client: pg.Client | null = null
    return async () => {
      await this.gates.foreign.through(async () => {
        if (this.#stopped) return
        if (client === null || !this.#foreigners.has(client)) client = await this.#dial()
        const open = client
        if (open !== null) await this.#write(writer, 'foreign', null, (value) => each(open, writer, value))
      })
      await this.#rest(this.#plan.foreignPauseMillis)
    }
  }

  async #dial(): Promise<pg.Client | null> {
    const client = new pg.Client(this.#cluster.config(this.#primary))
    client.on('error', () => this.#foreigners.delete(client))
    client.on('end', () => this.#foreigners.delete(client))
    try {
      await client.connect()
    } catch (error) {
      this.account.failed('foreign connect', error)
      return null
    }
    this.#foreigners.add(client)
    return client
  }

  /** False: it was not acknowledged, so nothing is claimed of it, and its value is never used again. */
  async #write(
    writer: number,
    through: 'pool' | 'foreign',
    session: string | null,
    send: (value: number) => Promise<unknown>
  ): Promise<boolean> {
    const value = (this.#values[writer] ?? 0) + 1
    this.#values[writer] = value
    const calledAt = moment()
    try {
      await send(value)
    } catch (error) {
      this.account.failed(`${through} write`, error)
      await pause(AFTER_FAILURE_MILLIS)
      return false
    }
    this.account.writes.push({ writer, value, calledAt, ackedAt: moment(), through, session, lostAt: null })
    return true
  }

  async #reader(reading: readings.Reading): Promise<void> {
    await this.#read(reading, false, null)
    await this.#rest(this.#plan.readPauseMillis)
  }

  async #read(reading: readings.Reading, paired: boolean, session: string | null): Promise<void> {
    const phase = this.#phase
    const boundMillis = reading.share * this.#boundMillis
    const calledAt = moment()
    try {
      const { values, server: name } = await reading.read(this.#pool, this.#boundMillis)
      const answeredAt = moment()
      const server = Number(name.slice(1))
      const onReplica = server !== this.#primary
      this.account.reads.push({
        calledAt,
        answeredAt,
        values,
        server,
        onReplica,
        boundMillis,
        phase,
        paired,
        session,
      })
    } catch (error) {
      this.account.failed('read', error)
      await pause(AFTER_FAILURE_MILLIS)
    }
  }

  #rest(millis: number): Promise<void> {
    return millis === 0 || this.#stopped ? Promise.resolve() : pause(2 * millis * Math.random())
  }
}
