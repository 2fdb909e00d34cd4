// Writers that number every row they insert and keep an account of what they were told, so that afterwards nothing can be
// lost or doubled unseen. The table has no unique constraint: a doubled row must show, not fail.

import type { Pool } from '../../src/index.js'

export interface Account {
  /** Rows whose insert was acknowledged. */
  readonly acknowledged: number
  /** Acknowledged, and not there. */
  readonly lost: readonly number[]
  /** There more than once. */
  readonly doubled: readonly number[]
  /** Reported as not executed, and there all the same. */
  readonly resurrected: readonly number[]
  /** Statements whose fate was reported as unknown. */
  readonly unknown: number
  /** Every error that a writer got, as `code outcome`. */
  readonly errors: readonly string[]
}

interface Row {
  readonly id: number
  readonly n: number
}

export class Ledger {
  readonly #pool: Pool
  readonly #acknowledged = new Set<number>()
  readonly #failed = new Map<number, { readonly outcome: string; readonly code: string }>()
  readonly #writers: Promise<void>[] = []
  #next = 0
  #stopped = false

  constructor(pool: Pool) {
    this.#pool = pool
  }

  static async create(pool: Pool): Promise<Ledger> {
    await pool.query('create table ledger (id int not null, note text)')
    return new Ledger(pool)
  }

  get acknowledged(): number {
    return this.#acknowledged.size
  }

  /** Writers that insert one row after another until stop(). */
  start(writers: number): void {
    for (let i = 0; i < writers; i++) this.#writers.push(this.#write())
  }

  /** One row; resolves with true when it was acknowledged. */
  async insert(): Promise<boolean> {
    const id = this.#next++
    try {
      await this.#pool.query('insert into ledger values ($1, $2)', [id, 'x'])
      this.#acknowledged.add(id)
      return true
    } catch (error) {
      const { outcome, code, message } = error as { outcome?: string; code?: string; message: string }
      this.#failed.set(id, { outcome: outcome ?? 'none', code: code ?? message })
      return false
    }
  }

  async #write(): Promise<void> {
    while (!this.#stopped && !this.#pool.ending) await this.insert()
  }

  /** Resolves once this many more rows have been acknowledged. */
  async progress(rows: number): Promise<void> {
    const goal = this.#acknowledged.size + rows
    while (this.#acknowledged.size < goal) await new Promise((resolve) => setTimeout(resolve, 2))
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#writers)
  }

  /** Compares what was told with what the primary holds. */
  async account(): Promise<Account> {
    const text = 'select id, count(*)::int as n from ledger group by id'
    const { rows } = await this.#pool.query<Row>({ text, route: 'primary' })
    const found = new Map(rows.map(({ id, n }) => [id, n]))
    const failed = [...this.#failed]
    return {
      acknowledged: this.#acknowledged.size,
      lost: [...this.#acknowledged].filter((id) => !found.has(id)),
      doubled: rows.filter(({ n }) => n > 1).map(({ id }) => id),
      resurrected: failed
        .filter(([id, { outcome }]) => outcome !== 'unknown' && outcome !== 'committed' && found.has(id))
        .map(([id]) => id),
      unknown: failed.filter(([, { outcome }]) => outcome === 'unknown').length,
      errors: failed.map(([, { code, outcome }]) => `${code} ${outcome}`),
    }
  }
}
