// Topologies and explanations as text, for console.log and the command line. Knows widths and colours, no terminal. All text of
// servers goes through printable().

import { bytesText, millisText, printable, shortened, wrapped } from '../core/words.js'
import { type Cell, type Column, inColumns, type Paint, type Style, widthOf } from './text.js'
import type { Explanation, NodeSnapshot, TopologySnapshot } from './types.js'

/** For console.log, which knows of no width. */
const USUAL_COLUMNS = 120
const INDENT = '  '
const NOTHING: Cell = { text: '–', styles: ['dim'] }

export function topologyText(snapshot: TopologySnapshot, paint: Paint): string {
  const { epoch, primary, contested, systemIdentifier } = snapshot
  const facts = [
    contested.length > 0 ? `contested by ${contested.join(', ')}` : `primary ${primary ?? 'unknown'}`,
    `epoch ${epoch}`,
    ...(systemIdentifier === null ? [] : [`system identifier ${systemIdentifier}`]),
  ]
  return [`{ ${facts.join(', ')} }`, ...nodeTable(snapshot, paint, USUAL_COLUMNS)].join('\n')
}

/** A line for each node, below it the reason for its state, and the sources that could not be read. */
export function nodeTable({ nodes, blind }: TopologySnapshot, paint: Paint, width: number): string[] {
  const columns = fitting(nodes, width - INDENT.length)
  const [heads = '', ...rows] = nodes.length === 0 ? [] : inColumns(columns, paint)
  const lines = rows.flatMap((row, i) => [row, ...reasonLines(nodes[i] as NodeSnapshot, paint, width)])
  const sources = Object.entries(blind).flatMap(([source, why]) =>
    hanging(`${source}: ${printable(why)}`, '! ', width - INDENT.length).map((line) => paint(line, 'red'))
  )
  return [...(rows.length === 0 ? [] : [heads]), ...lines, ...sources].map((line) => INDENT + line)
}

/** What goes first where there is no room, and what is cut in the end. */
function fitting(nodes: readonly NodeSnapshot[], width: number): readonly Column[] {
  const all = columnsOf(nodes, width)
  for (let spared = 0; spared <= SPARED.length; spared++) {
    const columns = all.filter(({ head }) => !SPARED.slice(0, spared).includes(head))
    if (widthOf(columns) <= width) return columns
  }
  const room = (columns: readonly Column[]) => width - widthOf(columns) - 2
  const most = all.slice(1).filter(({ head }) => !SPARED.includes(head))
  const columns = room(most) >= LEAST_NAME ? most : most.filter(({ head }) => head !== 'lag ≤')
  return [nodeColumn(nodes, Math.max(LEAST_NAME, room(columns))), ...columns]
}

const SPARED = ['found by', 'weight', 'tl', 'position', 'behind', 'zone']
/** A name that is shorter tells no nodes apart. */
const LEAST_NAME = 8

function nodeColumn(nodes: readonly NodeSnapshot[], width: number): Column {
  return { head: 'node', cells: nodes.map(({ key }) => ({ text: shortened(printable(key), width), styles: ['bold'] })) }
}

function columnsOf(nodes: readonly NodeSnapshot[], width: number): readonly Column[] {
  const shown = (value: string | null): Cell => (value === null ? NOTHING : { text: value })
  return [
    nodeColumn(nodes, width),
    { head: 'role', least: 7, cells: nodes.map(roleOf) },
    { head: 'state', least: 8, cells: nodes.map(stateOf) },
    {
      head: 'lag ≤',
      least: 6,
      align: 'right',
      cells: nodes.map(({ lagMillis }) => shown(lagMillis === null ? null : millisText(lagMillis))),
    },
    {
      head: 'behind',
      align: 'right',
      cells: nodes.map(({ lagBytes }) => shown(lagBytes === null ? null : bytesText(lagBytes))),
    },
    { head: 'position', align: 'right', cells: nodes.map(({ position }) => shown(position)) },
    {
      head: 'tl',
      align: 'right',
      cells: nodes.map(({ timeline }) => shown(timeline === null ? null : String(timeline))),
    },
    ...(nodes.some(({ zone }) => zone !== null) ? [{ head: 'zone', cells: nodes.map(zoneOf) }] : []),
    ...(nodes.some(({ weight }) => weight !== 1)
      ? [{ head: 'weight', align: 'right' as const, cells: nodes.map(({ weight }) => shown(String(weight))) }]
      : []),
    { head: 'found by', cells: nodes.map(finderOf) },
  ]
}

function zoneOf({ zone }: NodeSnapshot): Cell {
  return zone === null ? NOTHING : { text: shortened(printable(zone), 20) }
}

function finderOf({ foundBy, name }: NodeSnapshot): Cell {
  return { text: name === null ? foundBy : `${foundBy} ${printable(name)}`, styles: ['dim'] }
}

function roleOf({ state }: NodeSnapshot): Cell {
  switch (state) {
    case 'primary':
      return { text: state, styles: ['bold', 'yellow'] }
    case 'replica':
      return { text: state }
    case 'claimant':
      return { text: state, styles: ['red'] }
    case 'unknown':
    case 'down':
    case 'foreign':
    case 'alias':
      return NOTHING
    default:
      return state satisfies never
  }
}

/** One word for how it is, beside what it is. */
export function stateWord(node: NodeSnapshot): string {
  const { state, suspect, draining, refused } = node
  if (suspect) return 'suspect'
  if (draining) return 'draining'
  switch (state) {
    case 'primary':
      return 'up'
    case 'replica':
      return refused === null ? 'up' : 'no reads'
    case 'claimant':
      return 'refused'
    case 'unknown':
      return node.origin === 'shown' ? 'listed' : node.failure === null ? 'not asked' : 'unknown'
    case 'down':
    case 'foreign':
    case 'alias':
      return state
    default:
      return state satisfies never
  }
}

const WORD_STYLES: Readonly<Record<string, readonly Style[]>> = {
  up: ['green'],
  down: ['bold', 'red'],
  unknown: ['red'],
  foreign: ['red'],
  refused: ['red'],
  suspect: ['yellow'],
  'no reads': ['yellow'],
  draining: ['cyan'],
}

function stateOf(node: NodeSnapshot): Cell {
  const text = stateWord(node)
  return { text, styles: WORD_STYLES[text] ?? ['dim'] }
}

/** The text of the failure, or the rule that keeps statements away; null: the node is healthy. */
export function reasonOf({ state, failure, refused, draining, systemIdentifier }: NodeSnapshot): string | null {
  if (state === 'foreign') return `it belongs to another cluster, system identifier ${systemIdentifier ?? 'unknown'}`
  const why = draining || failure === null ? refused : failure
  return why === null ? null : printable(why)
}

function reasonLines(node: NodeSnapshot, paint: Paint, width: number): string[] {
  const reason = reasonOf(node)
  const below = (text: string, styles: readonly Style[]) =>
    hanging(text, '└ ', width - INDENT.length).map((line) => paint(line, ...styles))
  return [
    ...(reason === null ? [] : below(reason, WORD_STYLES[stateWord(node)] ?? [])),
    ...(node.pooled ? below(POOLED, ['yellow']) : []),
  ]
}

const POOLED = 'a pooler answers there: what one connection proves says nothing of the next'

/** Lines that begin where the first one's text does. */
export function hanging(text: string, mark: string, width: number): string[] {
  return wrapped(text, Math.max(20, width - mark.length)).map(
    (line, i) => (i === 0 ? mark : ' '.repeat(mark.length)) + line
  )
}

export function explanationText(explanation: Explanation, paint: Paint): string {
  return explanationLines(explanation, paint, USUAL_COLUMNS).join('\n')
}

/** Where the statement would go, what it needs and which word of it decided, and why each other node would not have it. */
export function explanationLines(explanation: Explanation, paint: Paint, width: number): string[] {
  const { intent, word, reason, node, guarded, pooled, refused } = explanation
  const where = node === null ? paint('nowhere now', 'bold', 'red') : paint(node, 'bold', 'green')
  const why = word === '' ? reason : `${printable(word)} ${reason}`
  const others = Object.entries(refused)
  const keys = Math.min(40, Math.max(0, ...others.map(([key]) => key.length)))
  const notes = [...(guarded ? [GUARDED] : []), ...(pooled ? [POOLED] : [])].flatMap((note) =>
    hanging(note, '  ', width)
  )
  const refusals = others.flatMap(([key, text]) =>
    hanging(printable(text), `  ${shortened(key, keys).padEnd(keys)}  `, width)
  )
  return [
    `${paint(intent, 'bold')} → ${where}`,
    ...hanging(why, '  ', width),
    ...notes,
    ...(refusals.length === 0 ? [] : [paint('not on', 'dim'), ...refusals]),
  ]
}

const GUARDED = 'it is not proven yet: it proves itself together with the rows, or the primary is asked'
