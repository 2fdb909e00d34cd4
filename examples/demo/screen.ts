// What the demo shows: a log that grows, and below it, on a terminal, a table that is redrawn in place. Anywhere else
// the table becomes one plain line per second. No line is wider than the terminal.

import { wrapped } from '../../src/core/words.js'
import {
  type Cell,
  type Column,
  coloured,
  inColumns,
  type Paint,
  plain,
  type Style,
  unpainted,
  widthOf,
} from '../../src/report/text.js'

export interface NodeRow {
  readonly name: string
  readonly key: string
  readonly role: 'primary' | 'replica' | '–'
  readonly state: string
  readonly readsPerSecond: number
  readonly writesPerSecond: number
  readonly lagMillis: number | null
}

export interface Frame {
  readonly rows: readonly NodeRow[]
  /** Statements that wait for a node. */
  readonly waiting: number
  /** Per tick, the newest last. */
  readonly reads: readonly number[]
  readonly writes: readonly number[]
}

const BARS = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
const INDENT = '   '
const LEAST_COLUMNS = 40
const LEAST_ROWS = 10
/** For output that is no terminal. */
const UNLIMITED = 200

export class Screen {
  readonly #out = process.stdout
  readonly #live: boolean
  readonly paint: Paint
  readonly #startedAt = performance.now()
  /** What is drawn below the log now, line by line, without escapes. */
  #drawn: readonly string[] = []
  #plainAt = 0

  constructor({ TERM, NO_COLOR } = process.env) {
    const terminal = this.#out.isTTY === true && TERM !== 'dumb'
    this.#live = terminal && this.#out.columns >= LEAST_COLUMNS && this.#out.rows >= LEAST_ROWS
    // https://no-color.org: any value that is not empty.
    this.paint = terminal && !NO_COLOR ? coloured : plain
    if (!this.#live) return
    this.#out.write('\x1b[?25l')
    // However the process ends, the terminal gets its cursor back.
    process.once('exit', () => this.#out.write('\x1b[?25h'))
  }

  /** What a line may have; its last column stays free, since some terminals break a line that reaches it. */
  get width(): number {
    return this.#out.isTTY === true ? Math.max(LEAST_COLUMNS, this.#out.columns) - 1 : UNLIMITED
  }

  /** An event: lines that stay, with the time since the start. */
  say(text: string, ...styles: readonly Style[]): void {
    const time = `${((performance.now() - this.#startedAt) / 1000).toFixed(1).padStart(5)} s  `
    const lines = wrapped(text, this.width - time.length).map((line) => this.paint(line, ...styles))
    this.print(this.paint(time, 'dim') + lines.join(`\n${' '.repeat(time.length)}`))
  }

  /** A title, and text that begins in one column; the text may have colours where it need not be broken. */
  fact(title: string, text: string): void {
    const head = INDENT + title.padEnd(12)
    const lines =
      unpainted(text).length + head.length <= this.width ? [text] : wrapped(unpainted(text), this.width - head.length)
    this.print(head + lines.join(`\n${' '.repeat(head.length)}`))
  }

  /** Lines that stay. */
  print(text: string): void {
    this.#out.write(`${this.#erased()}${text}\n`)
    this.#drawn = []
  }

  draw(frame: Frame): void {
    if (!this.#live) {
      this.#plain(frame)
      return
    }
    const page = ['', ...table(frame, this.paint, this.width), '', ...this.#charts(frame), '', ...this.#legend()]
    // What is taller than the terminal could not be taken away again.
    const lines = page.slice(0, this.#out.rows - 1)
    this.#out.write(`${this.#erased()}${lines.join('\n')}\n`)
    this.#drawn = lines.map(unpainted)
  }

  /** Takes the table away; what was printed stays. */
  clear(): void {
    this.#out.write(this.#erased())
    this.#drawn = []
  }

  #erased(): string {
    if (!this.#live) return ''
    // A window that was made narrower meanwhile has broken the lines that no longer fit.
    const rows = this.#drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / this.#out.columns)), 0)
    return rows === 0 ? '\r\x1b[K' : `\x1b[${rows}A\r\x1b[J`
  }

  #charts({ waiting, reads, writes }: Frame): string[] {
    const held = waiting === 0 ? '' : `  ${waiting} waiting`
    const title = (text: string) => INDENT + text.padEnd(8)
    const ticks = this.width - title('').length - '  0000 waiting'.length
    return [
      title('reads') + this.paint(chart(reads.slice(-ticks)), 'green'),
      title('writes') + this.paint(chart(writes.slice(-ticks)), 'yellow') + this.paint(held, 'red'),
    ]
  }

  #legend(): string[] {
    return wrapped(LEGEND, this.width - INDENT.length).map((line) => INDENT + this.paint(line, 'dim'))
  }

  #plain({ rows, waiting }: Frame): void {
    const now = performance.now()
    if (now - this.#plainAt < 1000) return
    this.#plainAt = now
    const parts = rows.map((row) => {
      const facts = [`${row.readsPerSecond} reads/s`]
      if (row.role !== 'replica') facts.push(`${row.writesPerSecond} writes/s`)
      if (row.lagMillis !== null) facts.push(`lag ≤ ${Math.ceil(row.lagMillis)} ms`)
      return row.state === 'down' ? `${row.name} down` : `${row.name} ${row.role}: ${facts.join(', ')}`
    })
    this.say(`${parts.join(' | ')}${waiting === 0 ? '' : ` | ${waiting} waiting`}`)
  }
}

const LEGEND =
  'A read goes to a replica that is proven to hold every acknowledged write, else to the primary. Without a primary writes wait, ' +
  'and so does a read for which no replica is proven.'

/** As many columns as the width has room for. */
export function table({ rows }: Frame, paint: Paint, width: number): string[] {
  const all = columnsOf(rows)
  const attempts = [[], ['address'], ['address', 'lag at most'], ['address', 'lag at most', 'state']]
  const fitting = attempts
    .map((spared) => all.filter(({ head }) => !spared.includes(head)))
    .find((columns) => INDENT.length + widthOf(columns) <= width)
  return inColumns(fitting ?? all.slice(0, 1), paint).map((line) => INDENT + line)
}

function columnsOf(rows: readonly NodeRow[]): Column[] {
  return [
    { head: 'node', cells: rows.map(({ name }) => ({ text: name, styles: ['bold'] })) },
    { head: 'address', least: 15, cells: rows.map(({ key }) => ({ text: key })) },
    {
      head: 'role',
      least: 7,
      cells: rows.map(({ role }) => ({ text: role, styles: role === 'primary' ? PRIMARY : [] })),
    },
    { head: 'state', least: 10, cells: rows.map(({ state }) => ({ text: state, styles: styleOf(state) })) },
    { head: 'reads/s', align: 'right', cells: rows.map(({ readsPerSecond }) => rate(readsPerSecond)) },
    { head: 'writes/s', align: 'right', cells: rows.map(({ writesPerSecond }) => rate(writesPerSecond)) },
    { head: 'lag at most', align: 'right', cells: rows.map(({ lagMillis }) => lag(lagMillis)) },
  ]
}

const PRIMARY: readonly Style[] = ['bold', 'yellow']

function styleOf(state: string): readonly Style[] {
  if (state === 'up') return ['green']
  return state === 'down' ? ['red', 'bold'] : ['cyan']
}

function rate(perSecond: number): Cell {
  return { text: perSecond === 0 ? '·' : String(perSecond) }
}

function lag(millis: number | null): Cell {
  return { text: millis === null ? '–' : `${Math.ceil(millis)} ms` }
}

/** One character per tick: the gap of a failover is seen at a glance. */
function chart(counts: readonly number[]): string {
  const most = Math.max(1, ...counts)
  return counts.map((count) => BARS[Math.ceil((count / most) * (BARS.length - 1))] ?? '').join('')
}
