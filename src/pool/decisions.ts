// Counts where statements went, or would have gone, and why. Bounded: reasons and nodes are few.

import type { Choice } from '../core/selection.js'

export interface Decision {
  /** `host:port`; null: no node was fit at that moment. */
  readonly node: string | null
  readonly role: 'primary' | 'replica' | null
  /** Why the statement needed what it needed: the classifier's words. */
  readonly reason: string
  /** Why this node: proven, unbounded, primary, or that no replica qualified. */
  readonly choice: string
  readonly count: number
}

export class Decisions {
  readonly #counts = new Map<string, { -readonly [K in keyof Decision]: Decision[K] }>()

  count(choice: Choice, reason: string): void {
    const node = choice.node?.key ?? null
    const why = choice.node === null ? 'none' : choice.reason
    const name = `${node}\n${why}\n${reason}`
    const known = this.#counts.get(name)
    if (known !== undefined) {
      known.count++
      return
    }
    const kind = choice.node?.state.kind
    const role = kind === undefined ? null : kind === 'replica' ? 'replica' : 'primary'
    this.#counts.set(name, { node, role, reason, choice: why, count: 1 })
  }

  /** The most frequent first. */
  list(): readonly Decision[] {
    return [...this.#counts.values()].map((decision) => ({ ...decision })).sort((a, b) => b.count - a.count)
  }
}
