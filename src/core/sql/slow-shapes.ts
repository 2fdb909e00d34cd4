// The shapes of reads that take long or bring many rows: they are kept off lanes, where quick reads would wait behind them. Values only.

import { Memo } from './memo.js'
import { shapeOf } from './shape.js'

/** A read that takes longer, in milliseconds, or brings more rows, is slow. */
const SLOW_MILLIS = 5
const MANY_ROWS = 2000

/** What brings many rows counts as this slow at least, in milliseconds. */
const LARGE_MILLIS = 2 * SLOW_MILLIS

/** The first read on a connection finds a process without a plan or a catalogue in memory: up to here its time says nothing. */
export const COLD_MILLIS = 50

const MOST_SHAPES = 1000

export class SlowShapes {
  readonly #millisOf = new Map<string, number>()
  readonly #shapeOfText = new Memo<string>(MOST_SHAPES)

  isSlow(text: string): boolean {
    return this.#millisOf.size > 0 && this.#millisOf.has(this.#shapeOfText.of(text, shapeOf))
  }

  /** It took so long, and brought so many rows. One quick run halves what was seen before, so that a shape which a pause of the process has made slow comes back. */
  took(text: string, rows: number, spentMillis: number): void {
    const millis = rows > MANY_ROWS ? Math.max(spentMillis, LARGE_MILLIS) : spentMillis
    const isQuick = millis <= SLOW_MILLIS
    if (isQuick && this.#millisOf.size === 0) return
    const shape = this.#shapeOfText.of(text, shapeOf)
    const known = this.#millisOf.get(shape)
    if (known === undefined && isQuick) return
    const mean = known === undefined ? millis : (known + millis) / 2
    this.#millisOf.delete(shape)
    if (mean <= SLOW_MILLIS) return
    this.#millisOf.set(shape, mean)
    if (this.#millisOf.size > MOST_SHAPES) this.#millisOf.delete(this.#millisOf.keys().next().value as string)
  }
}
