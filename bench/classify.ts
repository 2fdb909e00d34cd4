// What it costs to tell what a statement needs: uncached, remembered, and on texts made to be hard, each beside parsing
// the same text with PostgreSQL's own grammar, in the same process.
//   npm run build && node dist/bench/classify.js [rounds]

import { cpus } from 'node:os'
import { classify, inspect, type Verdict } from '../src/core/sql/classify.js'
import { type DefinitionRow, define, policyOf } from '../src/core/sql/definitions.js'
import { Memo } from '../src/core/sql/memo.js'
import { type Grammar, loadGrammar, parseApart } from './grammar.js'
import { type Figures, type Runner, race, timed } from './race.js'
import { longList, nested, reads, writes } from './statements.js'

const ROUNDS = Number(process.argv[2] ?? 50)
/** Rounds that do not count: a serving process has its code compiled. */
const WARM_UP = 100
/** Of a single text that takes milliseconds. */
const FEW_ROUNDS = 11
/** Of what takes less than the clock can tell. */
const CALLS = 50
/** As many texts as a pool keeps. */
const REMEMBERED = 1000
/** Microseconds, on average over the texts of a line. */
const AIM_COLD = 3
const AIM_REMEMBERED = 0.3

/** The same text as another object, as programs build it anew for each query: whole, and as a concatenation. */
const whole = (text: string) => Buffer.from(text).toString()
const joined = (text: string) => text.slice(0, text.length >> 1) + text.slice(text.length >> 1)

const batch = (text: string, make: (text: string) => string, size: number) =>
  Array.from({ length: size }, () => make(text))

const all = [...reads, ...writes]

/** What the catalogue of a middling application says. */
const rows = (kind: DefinitionRow['kind'], count: number, text: string | null = null) =>
  Array.from({ length: count }, (_, i): DefinitionRow => ({ kind, name: `${kind}_${i}`, text }))
const catalogue = policyOf(
  { primaryFunctions: [], replicaSafeFunctions: [], primaryRelations: [] },
  define([
    ...rows('function', 300),
    ...rows('volatile', 100),
    ...rows('sequence', 150),
    ...rows('view', 60, 'SELECT 1'),
  ]),
  new Set()
)
const grammar = await loadGrammar()
const parsing = typeof grammar === 'string' ? [] : [runs(grammar.parse)]

/** Once on a new string, so that nothing is known of the text but its characters. */
function runs(run: (text: string) => unknown): Runner {
  return (text) => timed([whole(text)], run)
}

function remembers(make: (text: string) => string): Runner {
  const memo = new Memo<Verdict>(REMEMBERED)
  for (const text of all) memo.of(text, inspect)
  return (text) => timed(batch(text, make, CALLS), (each) => memo.of(each, inspect))
}

function compare(name: string, texts: readonly string[], runner: Runner, aim?: number): void {
  const [ours = '', theirs = ''] = race(texts, [runner, ...parsing], { rounds: ROUNDS, warmUp: WARM_UP })
  print(name, ours, theirs, aim)
}

/** One text, by far longer or deeper than what applications send. */
function compareHard(name: string, text: string, apart: boolean): void {
  const runners = [runs(classify), ...(apart ? [] : parsing)]
  const [ours = '', together = ''] = race([text], runners, { rounds: FEW_ROUNDS, warmUp: 2 })
  const theirs = apart && parsing.length > 0 ? parseApart(text, FEW_ROUNDS) : together
  print(name, ours, theirs)
}

const micros = (value: number) => value.toFixed(value < 100 ? 2 : 0).padStart(8)
const told = (result: Figures | string) =>
  typeof result === 'string' ? result.padEnd(24) : [result.mean, result.p50, result.p99].map(micros).join('')

function print(name: string, ours: Figures | string, theirs: Figures | string, aim?: number): void {
  const parts = [name.padEnd(40), told(ours), '  ', told(theirs)]
  if (typeof ours !== 'string') {
    if (typeof theirs !== 'string') parts.push(`${(theirs.mean / ours.mean).toFixed(1).padStart(8)} ×`)
    if (aim !== undefined) parts.push(`   mean ≤ ${aim}: ${ours.mean <= aim ? 'met' : 'MISSED'}`)
  }
  console.log(parts.join(''))
}

function header(grammar: Grammar | string): void {
  const [cpu] = cpus()
  const characters = all.map((text) => text.length).sort((a, b) => a - b)
  const at = (share: number) => characters[Math.floor((characters.length - 1) * share)]
  console.log(`Node ${process.version}, ${cpus().length} × ${cpu?.model.trim()}`)
  console.log(
    `${reads.length} reads, ${writes.length} others; half have ${at(0.5)} characters or less, one in ten ${at(0.9)} or` +
      ` more, the longest ${at(1)}. Medians of ${ROUNDS} rounds, in µs.`
  )
  if (typeof grammar === 'string') console.log(`libpg-query is left out: ${grammar}`)
  const columns = ['mean', 'p50', 'p99'].map((column) => column.padStart(8)).join('')
  const beside = typeof grammar === 'string' ? '' : `libpg-query ${grammar.version}`
  console.log(`\n${''.padEnd(40)}  ${'pgherd'.padEnd(24)}  ${beside}`)
  console.log(`${''.padEnd(40)}${columns}  ${beside && columns}${beside && 'ratio'.padStart(10)}   aim`)
}

header(grammar)
compare('cold: reads', reads, runs(classify), AIM_COLD)
compare('cold: others', writes, runs(classify), AIM_COLD)
compare('cold: all', all, runs(classify), AIM_COLD)
compare(
  'cold: all, with a catalogue',
  all,
  runs((text) => inspect(text, catalogue)),
  AIM_COLD
)
compare('remembered: the same string', all, remembers(String), AIM_REMEMBERED)
compare('remembered: an equal string, whole', all, remembers(whole), AIM_REMEMBERED)
compare('remembered: an equal string, joined', all, remembers(joined), AIM_REMEMBERED)
compareHard('an IN list of 1 MB', longList, false)
compareHard('100,000 parentheses in one another', nested, true)
const wrong = [...reads.filter((sql) => classify(sql) !== 'read'), ...writes.filter((sql) => classify(sql) === 'read')]
for (const sql of wrong) console.log(`not as expected: ${sql}`)
