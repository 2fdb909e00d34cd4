// The lines of the table that `npm run bench` prints, in Markdown.

import { type Figures, median } from './rounds.js'
import { nameOf, type Row } from './rows.js'

/** The 99th percentile of the reads that are quick in themselves, and of all. */
export interface Percentiles {
  readonly quickMillis: number
  readonly allMillis: number
}

/** One round: the figures of the base, then those of the others. */
export type Pair = readonly (Figures & Percentiles)[]

export interface Line {
  readonly row: Row
  readonly callers: number
  /** Of the contender, and where its figures are in each pair. */
  readonly name: string
  readonly index: number
  readonly pairs: readonly Pair[]
  /** Of pgherd's statements. */
  readonly replicaShare: number | null
}

type Field = 'cpuMicros' | 'perSecond' | 'quickMillis' | 'allMillis'

export const HEAD = headOf([
  'row',
  'callers',
  'contender',
  'CPU ÷ base (range)',
  'aim',
  'rate ÷ base (range)',
  'aim',
  'µs CPU, base and it',
  'per second, base and it',
  'in between, µs CPU',
  'on replicas',
])

export const HEAD_P99 = headOf([
  'row',
  'callers',
  'contender',
  'p99 of quick reads ÷ base (range)',
  'aim',
  'ms, base and it',
  'p99 of all ÷ base (range)',
  'ms, base and it',
  'rate ÷ base (range)',
  'on replicas',
])

export function lineOf(line: Line): string {
  const { row, pairs, index } = line
  const between = median(pairs.map((pair) => pair[index]?.elsewhereMicros ?? Number.NaN))
  return cells([
    ...nameCells(line),
    ratioCell(line, 'cpuMicros'),
    aimCell(line, 'cpuMicros', row.cpu, '≤'),
    ratioCell(line, 'perSecond'),
    aimCell(line, 'perSecond', row.rate, '≥'),
    bothCell(line, 'cpuMicros', 1),
    bothCell(line, 'perSecond', 0),
    between === 0 ? '' : between.toFixed(0),
    shareCell(line),
  ])
}

export function lineOfP99(line: Line): string {
  return cells([
    ...nameCells(line),
    ratioCell(line, 'quickMillis'),
    aimCell(line, 'quickMillis', line.row.p99, '≤'),
    bothCell(line, 'quickMillis', 1),
    ratioCell(line, 'allMillis'),
    bothCell(line, 'allMillis', 1),
    ratioCell(line, 'perSecond'),
    shareCell(line),
  ])
}

function headOf(names: readonly string[]): string {
  return `${cells(names)}\n|${names.map(() => '---|').join('')}`
}

function cells(texts: readonly string[]): string {
  return `| ${texts.join(' | ')} |`
}

const nameCells = ({ row, callers, name }: Line) => [nameOf(row), String(callers), name]

const figureOf = (pair: Pair, index: number, field: Field) => pair[index]?.[field] ?? Number.NaN

const ratios = ({ pairs, index }: Line, field: Field) =>
  pairs.map((pair) => figureOf(pair, index, field) / figureOf(pair, 0, field))

function ratioCell(line: Line, field: Field): string {
  const all = ratios(line, field)
  return `${median(all).toFixed(2)} (${Math.min(...all).toFixed(2)}–${Math.max(...all).toFixed(2)})`
}

/** Aims are pgherd's. */
function aimCell(line: Line, field: Field, aims: readonly number[] | undefined, sign: '≤' | '≥'): string {
  const aim = aims?.[line.row.callers.indexOf(line.callers)]
  if (aim === undefined || line.replicaShare === null) return ''
  const found = median(ratios(line, field))
  const met = sign === '≤' ? found <= aim : found >= aim
  return `${sign} ${aim.toFixed(2)} ${met ? 'met' : 'missed'}`
}

function bothCell({ pairs, index }: Line, field: Field, digits: number): string {
  const of = (which: number) => median(pairs.map((pair) => figureOf(pair, which, field))).toFixed(digits)
  return `${of(0)} ${of(index)}`
}

function shareCell({ row, replicaShare }: Line): string {
  return row.on === 'one server' || replicaShare === null ? '' : `${(replicaShare * 100).toFixed(0)} %`
}
