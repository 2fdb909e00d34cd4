// Writers that number their rows and record which of them were acknowledged; readers that look for the newest row acknowledged
// so far. The table has no unique constraint: a row that is written twice must show, not fail.

import { setTimeout as pause } from 'node:timers/promises'
import type { Pool } from 'pgherd'

export interface Account {
  readonly acknowledged: number
  readonly found: number
  /** Acknowledged, and not there. */
  readonly lost: number
  /** There more than once. */
  readonly doubled: number
  /** Rejected with `outcome: 'unknown'`: the reply was lost, so the row may be there or not. */
  readonly unknown: number
  /** Rejected as surely not executed, and there nevertheless. */
  readonly resurrected: number
  readonly reads: number
  /** Reads that did not see a row acknowledged before they were sent. */
  readonly missed: number
  /** Reads that failed, by the error's text. */
  readonly failed: readonly string[]
}

/** At most: a worker sends its next statement only after the answer to the last. */
export interface Rates {
  readonly writers: number
  readonly writesPerSecond: number
  readonly readers: number
  readonly readsPerSecond: number
}

export class Workload {
  readonly #pool: Pool
  readonly #acknowledged = new Set<number>()
  readonly #rejected = new Map<number, string>()
  readonly #failed = new Set<string>()
  readonly #workers: Promise<void>[] = []
  #next = 1
  #newest = 0
  #reads = 0
  #missed = 0
  #stopped = false
  /** Monotonic times of the acknowledgements, in milliseconds. */
  readonly acknowledgedAt: number[] = []

  constructor(pool: Pool) {
    this.#pool = pool
  }

  get reads(): number {
    return this.#reads
  }

  static async create(pool: Pool): Promise<Workload> {
    await pool.query('create table ledger (id int not null)')
    await pool.query('create index on ledger (id)')
    return new Workload(pool)
  }

  start({ writers, writesPerSecond, readers, readsPerSecond }: Rates): void {
    const repeat = (workers: number, perSecond: number, work: () => Promise<void>) => {
      for (let i = 0; i < workers; i++) this.#workers.push(this.#repeat(work, (workers * 1000) / perSecond))
    }
    repeat(writers, writesPerSecond, () => this.#write())
    repeat(readers, readsPerSecond, () => this.#read())
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#workers)
  }

  async #repeat(work: () => Promise<void>, pauseMillis: number): Promise<void> {
    while (!this.#stopped) {
      await work()
      await pause(pauseMillis * (0.5 + Math.random()))
    }
  }

  async #write(): Promise<void> {
    const id = this.#next++
    try {
      await this.#pool.query('insert into ledger (id) values ($1)', [id])
      this.#acknowledged.add(id)
      this.#newest = Math.max(this.#newest, id)
      this.acknowledgedAt.push(performance.now())
    } catch (error) {
      this.#rejected.set(id, (error as { outcome?: string }).outcome ?? 'unknown')
    }
  }

  async #read(): Promise<void> {
    const id = this.#newest
    if (id === 0) return
    try {
      const { rowCount } = await this.#pool.query('select id from ledger where id = $1', [id])
      this.#reads++
      if (rowCount === 0) this.#missed++
    } catch (error) {
      this.#failed.add(String(error))
    }
  }

  /** Compares the acknowledgements that the writers got with the rows on the primary. */
  async account(): Promise<Account> {
    const text = 'select id, count(*)::int as copies from ledger group by id'
    const { rows } = await this.#pool.query<{ id: number; copies: number }>({ text, route: 'primary' })
    const found = new Set(rows.map(({ id }) => id))
    const rejected = [...this.#rejected]
    const there = [...this.#acknowledged].filter((id) => found.has(id)).length
    return {
      acknowledged: this.#acknowledged.size,
      found: there,
      lost: this.#acknowledged.size - there,
      doubled: rows.filter(({ copies }) => copies > 1).length,
      unknown: rejected.filter(([, outcome]) => outcome === 'unknown').length,
      resurrected: rejected.filter(([id, outcome]) => outcome !== 'unknown' && found.has(id)).length,
      reads: this.#reads,
      missed: this.#missed,
      failed: [...this.#failed],
    }
  }
}
