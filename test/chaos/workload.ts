// Writers and readers at work through one pool, and the account of what they were told. A lane writes one statement after
// another, in every form; readers look at all lanes of all pools. Judges nothing.

import { setTimeout as pause } from 'node:timers/promises'
import type { Pool } from '../../src/index.js'
import { moment, type Read, type Write } from '../consistency/account.js'
import type { Random } from '../support/grammar.js'
import type { Entry } from './accounting.js'
import { aForm, STATEMENTS_SCHEMA, type Writers } from './statements.js'
import { type Attempt, fateOf, isOwn } from './writes.js'

export const SCHEMA = `
  create table ledger (lane int not null, id int not null);
  create index on ledger (lane, id);
  create table scratch (n int);
  ${STATEMENTS_SCHEMA}`

/** Lanes and ids are of all pools of a run. */
export interface Numbers {
  lanes: number
  ids: number
}

export interface Workforce {
  readonly name: string
  readonly lanes: number
  readonly readers: number
  readonly maxLagMillis: number
  readonly maxStaleMillis: number
  /** Between two statements of a lane or reader. */
  readonly paceMillis: number
  /** `readYourWrites` of the pool. */
  readonly scope: 'pool' | 'off'
  readonly writers: Writers
  /** Its statements may wait for all transactions that are open. */
  readonly waits: boolean
  /** Of the servers. */
  readonly major: number
}

interface Seen {
  readonly values: readonly number[]
  readonly strays: number
  readonly port: number
}

export interface Stray {
  readonly port: number
  readonly calledAt: number
  readonly phase: string
}

export class Workload {
  readonly name: string
  readonly scope: Workforce['scope']
  readonly pool: Pool
  readonly entries: Entry[] = []
  readonly writes: Omit<Write, 'through'>[] = []
  readonly reads: Read[] = []
  /** What readers got instead of rows, as `code outcome`, and how often. */
  readonly readErrors = new Map<string, number>()
  /** Reads that showed rows of a server which never was the primary. */
  readonly strays: Stray[] = []
  readonly lanes: readonly number[]
  /** Which forms of statements come next. */
  writers: Writers
  /** The servers have dblink. */
  remote = true
  /** What the cluster suffers now. */
  phase = 'healthy'
  readonly #force: Workforce
  readonly #numbers: Numbers
  readonly #random: Random
  readonly #workers: Promise<void>[] = []
  readonly #acknowledged: Map<number, number>
  #answered = 0
  #stopped = false
  /** The newest moment at which no primary was known. */
  #orphanedUntil = -Infinity

  constructor(pool: Pool, force: Workforce, numbers: Numbers, random: Random) {
    this.name = force.name
    this.scope = force.scope
    this.writers = force.writers
    this.pool = pool
    this.#force = force
    this.#numbers = numbers
    this.#random = random
    this.lanes = Array.from({ length: force.lanes }, () => numbers.lanes++)
    this.#acknowledged = new Map(this.lanes.map((lane) => [lane, 0]))
    pool.on('topology', (after, before) => {
      if (after.primary === null || before.primary === null) this.#orphanedUntil = moment()
    })
  }

  start(): void {
    for (const lane of this.lanes) this.#workers.push(this.#work(() => this.#write(lane)))
    for (let i = 0; i < this.#force.readers; i++) this.#workers.push(this.#work(() => this.#read()))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#workers)
  }

  /** What has been done so far; compare it with a later one by hasProgressed(). */
  get progress(): ReadonlyMap<number, number> {
    return new Map(this.#acknowledged).set(-1, this.#answered)
  }

  /** Every lane, and the readers together, have succeeded so often since. */
  hasProgressed(since: ReadonlyMap<number, number>, times: number): boolean {
    return [...this.progress].every(([lane, count]) => count >= (since.get(lane) ?? 0) + times)
  }

  async #work(step: () => Promise<void>): Promise<void> {
    while (!this.#stopped) {
      await step()
      await pause(this.#force.paceMillis * 2 * (this.#random.below(1000) / 1000))
    }
  }

  async #write(lane: number): Promise<void> {
    const { major, waits } = this.#force
    const form = aForm(this.#random, { writers: this.writers, remote: this.remote, major, waits })
    const ids = Array.from({ length: form.rows }, () => ++this.#numbers.ids)
    const calledAt = moment()
    const kept: number[] = []
    const acknowledged = (value: number, ackedAt: number) =>
      this.writes.push({ writer: lane, value, calledAt, ackedAt, session: null, lostAt: null })
    const attempt: Attempt = {
      lane,
      ids,
      kept: (id) => {
        kept.push(id)
        acknowledged(id, moment())
      },
    }
    const done = (fate: Entry['fate'], code: string | null, own: Entry['own'] = null) => {
      const endedAt = moment()
      const { name, piecemeal = false, stepwise = false } = form
      this.entries.push({ lane, ids, form: name, fate, code, calledAt, endedAt, piecemeal, stepwise, kept, own })
      return endedAt
    }
    try {
      await form.write(this.pool, attempt)
      acknowledged(ids.at(-1) ?? 0, done('acknowledged', null))
      this.#acknowledged.set(lane, (this.#acknowledged.get(lane) ?? 0) + 1)
    } catch (error) {
      done(fateOf(error), codeOf(error), isOwn(error) ? (form.refused ?? null) : null)
    }
  }

  /** Its server has come back without these: what misses them now is right. */
  lose(ids: ReadonlySet<number>, lostAt: number): void {
    for (const write of this.writes) if (ids.has(write.value)) write.lostAt = lostAt
  }

  async #read(): Promise<void> {
    const calledAt = moment()
    const known = this.pool.topology().primary !== null
    try {
      const { values, strays, port } = await this.#look()
      if (strays > 0) this.strays.push({ port, calledAt, phase: this.phase })
      const orphaned = !known || this.pool.topology().primary === null || this.#orphanedUntil >= calledAt
      const boundMillis = orphaned ? this.#force.maxStaleMillis : this.#force.maxLagMillis
      const where = { server: port, onReplica: true, boundMillis, phase: this.phase, paired: false, session: null }
      this.reads.push({ calledAt, answeredAt: moment(), values, ...where })
      this.#answered++
    } catch (error) {
      const { outcome } = error as { readonly outcome?: string }
      const name = `${codeOf(error)} ${outcome ?? 'no outcome'}`
      this.readErrors.set(name, (this.readErrors.get(name) ?? 0) + 1)
    }
  }

  /** As a statement of the pool, on a client, or in a READ ONLY transaction. */
  async #look(): Promise<Seen> {
    const newest = Array.from(
      { length: this.#numbers.lanes },
      (_, lane) => `coalesce((select max(id) from ledger where lane = ${lane}), 0)`
    )
    const strays = '(select count(*)::int from ledger where lane < 0)'
    const text = `select array[${newest.join(', ')}] as values, ${strays} as strays, inet_server_port() as port`
    const ask = async (on: Pick<Pool, 'query'>) => (await on.query<Seen>(text)).rows[0] as Seen
    const way = this.#random.below(10)
    if (way < 7) return ask(this.pool)
    if (way < 9) return this.pool.transaction((client) => ask(client as unknown as Pool), { readOnly: true })
    const client = await this.pool.connect()
    const heard = () => undefined
    client.on('error', heard)
    try {
      return await ask(client as unknown as Pool)
    } finally {
      client.removeListener('error', heard)
      client.release()
    }
  }
}

function codeOf(error: unknown): string {
  const { code, message } = error as { readonly code?: string; readonly message?: string }
  return code ?? message ?? String(error)
}
