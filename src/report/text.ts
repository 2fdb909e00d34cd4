// Text for people: colours, cells in columns, lines of a width, sizes and times in words. Knows nothing of what it is about,
// and writes nothing.

const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const

export type Style = keyof typeof STYLES

export type Paint = (text: string, ...styles: readonly Style[]) => string

export const plain: Paint = (text) => text

export const coloured: Paint = (text, ...styles) =>
  styles.length === 0 || text === '' ? text : `\x1b[${styles.map((style) => STYLES[style]).join(';')}m${text}\x1b[0m`

export interface Cell {
  readonly text: string
  readonly styles?: readonly Style[]
}

export interface Column {
  readonly head: string
  readonly align?: 'right'
  /** The least width: a page that is redrawn must not jump. */
  readonly least?: number
  readonly cells: readonly Cell[]
}

const GAP = '  '

/** How many characters the columns take beside each other. */
export function widthOf(columns: readonly Column[]): number {
  return columns.reduce((sum, column) => sum + columnWidth(column), GAP.length * Math.max(0, columns.length - 1))
}

/** The heads, and then a line for each row. */
export function inColumns(columns: readonly Column[], paint: Paint): string[] {
  const rows = columns[0]?.cells.length ?? 0
  const heads = columns.map((column) => filled({ text: column.head, styles: ['dim'] }, column, paint))
  const lines = Array.from({ length: rows }, (_, i) =>
    columns.map((column) => filled(column.cells[i] ?? { text: '' }, column, paint)).join(GAP)
  )
  return [heads.join(GAP), ...lines].map((line) => line.trimEnd())
}

function columnWidth({ head, cells, least = 0 }: Column): number {
  return Math.max(least, head.length, ...cells.map(({ text }) => text.length))
}

function filled({ text, styles = [] }: Cell, column: Column, paint: Paint): string {
  const rest = ' '.repeat(columnWidth(column) - text.length)
  return column.align === 'right' ? rest + paint(text, ...styles) : paint(text, ...styles) + rest
}

// biome-ignore lint/complexity/useRegexLiterals: a control character in a literal is an error of its own.
const ESCAPE = new RegExp('(\\x1b\\[[0-9;]*m)')

/** The text without its colours. */
export function unpainted(text: string): string {
  return text
    .split(ESCAPE)
    .filter((_, i) => i % 2 === 0)
    .join('')
}

/** At most `width` characters of a line, with all of its colours: what they begin they also end. */
export function cut(line: string, width: number): string {
  if (unpainted(line).length <= width) return line
  let room = width - 1
  const parts = line.split(ESCAPE).map((part, i) => {
    if (i % 2 === 1) return part
    const shown = part.slice(0, Math.max(0, room))
    const mark = room >= 0 && part.length > room ? '…' : ''
    room = mark === '' ? room - part.length : -1
    return shown + mark
  })
  return parts.join('')
}
