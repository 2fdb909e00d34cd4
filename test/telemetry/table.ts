// The tables of docs/observability.md, made from the names in the code.
//   node dist/test/telemetry/table.js     writes them

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ATTRIBUTES, EVENTS, METRICS, SPANS } from '../../src/telemetry/vocabulary.js'

export const DOCUMENT = fileURLToPath(new URL('../../../docs/observability.md', import.meta.url))
const [BEGIN, END] = ['<!-- made from src/telemetry/vocabulary.ts -->', '<!-- end -->']

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

const code = (text: string) => `\`${text}\``

export function tables(): string {
  const words = (group: typeof SPANS | typeof EVENTS) =>
    Object.values(group).map(({ name, meaning }) => [code(name), meaning])
  const attributes = Object.values(ATTRIBUTES).map(({ name, type, meaning }) => [code(name), type, meaning])
  const metrics = Object.values(METRICS).map(({ name, kind, unit, meaning, attributes }) => [
    code(name),
    kind,
    code(unit),
    meaning,
    attributes.map((each) => code(ATTRIBUTES[each].name)).join(', '),
  ])
  return [
    '### Spans',
    table(['name', 'what it is'], words(SPANS)),
    '### Events of spans',
    table(['name', 'what it tells'], words(EVENTS)),
    '### Metrics',
    table(['name', 'kind', 'unit', 'what it counts', 'attributes'], metrics),
    '### Attributes',
    table(['name', 'type', 'what it says'], attributes),
  ].join('\n\n')
}

/** The document with the tables in their place. */
export function withTables(document: string): string {
  const [from, to] = [document.indexOf(BEGIN), document.indexOf(END)]
  if (from < 0 || to < from) throw new Error(`${DOCUMENT} lacks ${BEGIN} or ${END}`)
  return `${document.slice(0, from + BEGIN.length)}\n\n${tables()}\n\n${document.slice(to)}`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(DOCUMENT, withTables(readFileSync(DOCUMENT, 'utf8')))
}
