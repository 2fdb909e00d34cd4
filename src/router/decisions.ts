// Counts where statements went, or would have gone, and why. Bounded: reasons, nodes and shapes are few.

import type { Choice } from '../core/cluster/selection.js'
import { Memo } from '../core/sql/memo.js'
import { shapeOf } from '../core/sql/shape.js'

export interface Decision {
  /** `host:port`; null: no node was fit at that moment. */
  readonly node: string | null
  readonly role: 'primary' | 'replica' | null
  /** Why the statement needed what it needed: the classifier's words. */
  readonly reason: string
  /** Why this node: proven, unbounded, primary, or that no replica qualified. */
  readonly choice: string
  /** With `routing: 'observe'` the statement, with `?` for its literals; otherwise null. */
  readonly statement: string | null
  /** With `routing: 'observe'` the word or name in it that decided; otherwise null. */
  readonly word: string | null
  readonly count: number
}

/** Why a statement needs what it needs. */
export interface Why {
  readonly reason: string
  readonly word: string
}

/** Statements beyond so many shapes are counted together. */
const MOST_SHAPES = 1000
const OTHERS = '(other statements)'

export class Decisions {
  readonly #counts = new Map<string, { -readonly [K in keyof Decision]: Decision[K] }>()
  readonly #shapes = new Set<string>()
  readonly #shapeOfText = new Memo<string>(MOST_SHAPES)

  /** `text`: the statement, where it is to be told apart from others. */
  count(choice: Choice, { reason, word }: Why, text: string | null = null): void {
    const node = choice.node?.key ?? null
    const why = choice.node === null ? 'none' : choice.reason
    const statement = text === null ? null : this.#shapeOf(text)
    const name = `${node}\n${why}\n${reason}\n${statement}`
    const known = this.#counts.get(name)
    if (known !== undefined) {
      known.count++
      return
    }
    const kind = choice.node?.state.kind
    const role = kind === undefined ? null : kind === 'replica' ? 'replica' : 'primary'
    this.#counts.set(name, { node, role, reason, choice: why, statement, word: text === null ? null : word, count: 1 })
  }

  #shapeOf(text: string): string {
    const shape = this.#shapeOfText.of(text, shapeOf)
    if (this.#shapes.size >= MOST_SHAPES && !this.#shapes.has(shape)) return OTHERS
    this.#shapes.add(shape)
    return shape
  }

  /** The most frequent first. */
  list(): readonly Decision[] {
    return [...this.#counts.values()].map((decision) => ({ ...decision })).sort((a, b) => b.count - a.count)
  }
}
