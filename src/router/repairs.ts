// Counts the statements that a replica refused and the primary served in its stead, so that their cause can be found and
// mended: each costs a trip. By the statement's shape, without its values. Bounded.

import type { Failure } from '../core/cluster/failure.js'
import { shapeOf } from '../core/sql/shape.js'

/** A statement that was taken for a read and refused by a replica. */
export interface Repair {
  /** The statement with `?` for its literals. */
  readonly statement: string
  /** The replica's SQLSTATE. */
  readonly code: string
  /** The function or relation that was found to blame, so that every statement naming it goes to the primary now. */
  readonly name: string | null
  /** How often a replica refused it. */
  readonly count: number
  /** How often the primary served it then. The rest failed there too. */
  readonly served: number
}

const MOST = 500

export class Repairs {
  readonly #counts = new Map<string, { -readonly [K in keyof Repair]: Repair[K] }>()

  count(text: string, { code }: Failure, what: 'refused' | 'served', name: string | null): void {
    const statement = shapeOf(text)
    const id = `${code} ${statement}`
    let repair = this.#counts.get(id)
    if (repair === undefined) {
      if (this.#counts.size >= MOST) return
      repair = { statement, code: code ?? '', name, count: 0, served: 0 }
      this.#counts.set(id, repair)
    }
    repair.name ??= name
    if (what === 'refused') repair.count++
    else repair.served++
  }

  /** The most frequent first. */
  list(): readonly Repair[] {
    return [...this.#counts.values()].map((repair) => ({ ...repair })).sort((a, b) => b.count - a.count)
  }
}
