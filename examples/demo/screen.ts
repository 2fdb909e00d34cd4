// What the demo shows: a log that grows, and below it, on a terminal, a table that is redrawn in place. Anywhere else
// the table becomes one plain line per second.

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

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const
export type Style = keyof typeof STYLES

const BARS = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
const LEAST_COLUMNS = 80

export class Screen {
  readonly #out = process.stdout
  readonly #live: boolean
  readonly #colours: boolean
  readonly #startedAt = performance.now()
  #lines = 0
  #plainAt = 0

  constructor({ TERM, NO_COLOR } = process.env) {
    const terminal = this.#out.isTTY === true && TERM !== 'dumb'
    this.#live = terminal && this.#out.columns >= LEAST_COLUMNS
    // https://no-color.org: any value that is not empty.
    this.#colours = terminal && !NO_COLOR
    if (!this.#live) return
    this.#out.write('\x1b[?25l')
    // However the process ends, the terminal gets its cursor back.
    process.once('exit', () => this.#out.write('\x1b[?25h'))
  }

  paint(text: string, ...styles: readonly Style[]): string {
    if (!this.#colours || styles.length === 0) return text
    return `\x1b[${styles.map((style) => STYLES[style]).join(';')}m${text}\x1b[0m`
  }

  /** An event: a line that stays, with the time since the start. */
  say(text: string, ...styles: readonly Style[]): void {
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1).padStart(5)
    this.print(`${this.paint(`${seconds} s`, 'dim')}  ${this.paint(text, ...styles)}`)
  }

  /** Lines that stay. */
  print(text: string): void {
    this.#out.write(`${this.#erased()}${text}\n`)
    this.#lines = 0
  }

  draw(frame: Frame): void {
    if (!this.#live) {
      this.#plain(frame)
      return
    }
    const lines = ['', ...this.#table(frame), '', ...this.#charts(frame), '', ...this.#legend()]
    this.#out.write(`${this.#erased()}${lines.join('\n')}\n`)
    this.#lines = lines.length
  }

  /** Takes the table away; what was printed stays. */
  clear(): void {
    this.#out.write(this.#erased())
    this.#lines = 0
  }

  #erased(): string {
    if (!this.#live) return ''
    return this.#lines === 0 ? '\r\x1b[K' : `\x1b[${this.#lines}A\r\x1b[J`
  }

  #table({ rows }: Frame): string[] {
    const head = `   node  address            role      state          reads/s  writes/s    lag at most`
    return [this.paint(head, 'dim'), ...rows.map((row) => this.#row(row))]
  }

  #row(row: NodeRow): string {
    const lag = row.lagMillis === null ? '–' : `${Math.ceil(row.lagMillis)} ms`
    const role = row.role === 'primary' ? this.paint('primary', 'bold', 'yellow') : row.role.padEnd(7)
    const state = this.paint(row.state.padEnd(13), ...styleOf(row.state))
    const rates = `${rate(row.readsPerSecond)} ${rate(row.writesPerSecond)}`
    return `   ${this.paint(row.name, 'bold')}     ${row.key.padEnd(17)}  ${role}   ${state} ${rates}  ${lag.padStart(13)}`
  }

  #charts({ waiting, reads, writes }: Frame): string[] {
    const held = waiting === 0 ? '' : this.paint(`   ${waiting} waiting`, 'red')
    return [
      `   reads   ${this.paint(chart(reads), 'green')}`,
      `   writes  ${this.paint(chart(writes), 'yellow')}${held}`,
    ]
  }

  #legend(): string[] {
    return [
      '   A read goes to a replica that is proven to hold every acknowledged write, else to the',
      '   primary. While there is no primary writes wait; reads that are proven go on.',
    ].map((line) => this.paint(line, 'dim'))
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

function styleOf(state: string): readonly Style[] {
  if (state === 'up') return ['green']
  return state === 'down' ? ['red', 'bold'] : ['cyan']
}

function rate(perSecond: number): string {
  return (perSecond === 0 ? '·' : String(perSecond)).padStart(8)
}

/** One character per tick: the gap of a failover is seen at a glance. */
function chart(counts: readonly number[]): string {
  const most = Math.max(1, ...counts)
  return counts.map((count) => BARS[Math.ceil((count / most) * (BARS.length - 1))] ?? '').join('')
}
