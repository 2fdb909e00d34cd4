// Where the words go: is it a terminal, how wide, in colour? And a page that is drawn over itself. The one place that knows escape
// sequences of the screen; whatever it changes on a terminal it gives back.

import { coloured, cut, type Paint, plain } from '../report/text.js'

export interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
  write(text: string): unknown
}

export type Environment = Readonly<Record<string, string | undefined>>

/** https://no-color.org and https://force-color.org: any value that is not empty; and FORCE_COLOR=0 says no. */
export function paintFor(output: Output, { NO_COLOR, FORCE_COLOR, TERM }: Environment): Paint {
  if (NO_COLOR) return plain
  if (FORCE_COLOR) return FORCE_COLOR === '0' || FORCE_COLOR === 'false' ? plain : coloured
  return output.isTTY === true && TERM !== 'dumb' ? coloured : plain
}

/** What is not read on a screen is not broken into its lines. */
const UNLIMITED = 240
const LEAST_COLUMNS = 20

export function widthFor({ isTTY, columns }: Output): number {
  return isTTY === true && columns ? Math.max(LEAST_COLUMNS, columns) : UNLIMITED
}

export function isScreen({ isTTY }: Output, { TERM }: Environment): boolean {
  return isTTY === true && TERM !== 'dumb'
}

/** Another screen, no cursor, no broken lines: they would shift all that is below. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J'
const LEAVE = '\x1b[?7h\x1b[?25h\x1b[?1049l'

export class Screen {
  readonly #output: Output
  #open = false

  constructor(output: Output) {
    this.#output = output
  }

  get rows(): number {
    return this.#output.rows || 24
  }

  enter(): void {
    if (this.#open) return
    this.#open = true
    this.#output.write(ENTER)
  }

  /** Over what is there, in one go, so that nothing flickers. What does not fit is not shown. */
  draw(lines: readonly string[]): void {
    if (!this.#open) return
    const { columns = 0 } = this.#output
    const shown = lines.slice(0, this.rows - 1).map((line) => (columns === 0 ? line : cut(line, columns)))
    this.#output.write(`\x1b[H${shown.map((line) => `\x1b[K${line}`).join('\r\n')}\r\n\x1b[J`)
  }

  leave(): void {
    if (!this.#open) return
    this.#open = false
    this.#output.write(LEAVE)
  }
}
