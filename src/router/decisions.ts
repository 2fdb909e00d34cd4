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

type Counted = { -readonly [K in keyof Decision]: Decision[K] }

export class Decisions {
  /** By the node, why it, and why the statement needs what it needs: three looks, and no key is made. */
  readonly #counts = new Map<string | null, Map<string, Map<string, Counted>>>()
  /** With a statement to tell apart: by its shape, too. */
  readonly #shaped = new Map<string, Counted>()
  readonly #shapes = new Set<string>()
  readonly #shapeOfText = new Memo<string>(MOST_SHAPES)

  /** `text`: the statement, where it is to be told apart from others. */
  count(choice: Choice, { reason, word }: Why, text: string | null = null): void {
    const node = choice.node?.key ?? null
    const why = choice.node === null ? 'none' : choice.reason
    if (text !== null) this.#countShaped(choice, why, reason, word, this.#shapeOf(text))
    else {
      const reasons = within(within(this.#counts, node), why)
      const known = reasons.get(reason)
      if (known === undefined) reasons.set(reason, counted(choice, why, reason, null, null))
      else known.count++
    }
  }

  #countShaped(choice: Choice, why: string, reason: string, word: string, statement: string): void {
    const name = `${choice.node?.key}\n${why}\n${reason}\n${statement}`
    const known = this.#shaped.get(name)
    if (known === undefined) this.#shaped.set(name, counted(choice, why, reason, statement, word))
    else known.count++
  }

  #shapeOf(text: string): string {
    const shape = this.#shapeOfText.of(text, shapeOf)
    if (this.#shapes.size >= MOST_SHAPES && !this.#shapes.has(shape)) return OTHERS
    this.#shapes.add(shape)
    return shape
  }

  /** The most frequent first. */
  list(): readonly Decision[] {
    const plain = [...this.#counts.values()]
      .flatMap((reasons) => [...reasons.values()])
      .flatMap((each) => [...each.values()])
    return [...plain, ...this.#shaped.values()].map((decision) => ({ ...decision })).sort((a, b) => b.count - a.count)
  }
}

function within<K, V>(outer: Map<K, Map<string, V>>, key: K): Map<string, V> {
  let inner = outer.get(key)
  if (inner === undefined) {
    inner = new Map()
    outer.set(key, inner)
  }
  return inner
}

function counted(choice: Choice, why: string, reason: string, statement: string | null, word: string | null): Counted {
  const kind = choice.node?.state.kind
  const role = kind === undefined ? null : kind === 'replica' ? 'replica' : 'primary'
  return { node: choice.node?.key ?? null, role, reason, choice: why, statement, word, count: 1 }
}
