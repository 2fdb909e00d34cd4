// The table of docs/errors.md, made from what the code decides.
//   node dist/test/core/errors-table.js     writes it

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import {
  type Failure,
  failureOf,
  mayRepair,
  mayRetry,
  outcomeOf,
  type Phase,
  type Source,
} from '../../src/core/cluster/failure.js'
import { SESSION, type Spoken, STATEMENT, UNPARSED } from '../../src/core/cluster/sqlstates.js'

export const DOCUMENT = fileURLToPath(new URL('../../../docs/errors.md', import.meta.url))
const [BEGIN, END] = [
  '<!-- made from src/core/cluster/sqlstates.ts and src/core/cluster/failure.ts -->',
  '<!-- end -->',
]

const READ = { read: true, undone: 'whole' } as const
const WRITE = { read: false, undone: 'whole' } as const
const CALL = { read: false, undone: 'parts' } as const

const said = (code: string, severity: Spoken['severity'], routine: string | null): Spoken => {
  return { code, severity, routine, nested: false, begun: false, starting: false }
}

type Row = readonly string[]
const HEAD: Row = [
  'made by',
  'code',
  'severity',
  'routine',
  'runs again',
  'accuses',
  '`outcome` of a single write, of CALL',
]

/** `codes` share everything that is decided. */
function row(by: string, codes: readonly string[], source: Source, routine: string, error: object, phase: Phase): Row {
  const failure = failureOf(error, phase, source)
  const severity = typeof source === 'object' ? (source.severity ?? 'missing') : ''
  const outcomes = [WRITE, CALL].map((what) => code(`'${outcomeOf(failure, what)}'`))
  const outcome = outcomes[0] === outcomes[1] ? outcomes[0] : outcomes.join(', ')
  return [by, codes.map(code).join(' '), severity, routine, again(failure), failure.accuses ? 'yes' : '', outcome ?? '']
}

function again(failure: Failure): string {
  const [read, write, call] = [READ, WRITE, CALL].map((what) => mayRetry(failure, what))
  if (call) return 'anything'
  if (write) return 'single statements'
  if (read) return 'reads'
  return mayRepair(failure, READ) ? 'a read of a replica, on the primary' : ''
}

const code = (text: string) => `\`${text}\``
const coded = (name: string) => Object.assign(new Error(name), { code: name })

/** One line for all that are decided alike. */
function grouped(rows: readonly (readonly [name: string, row: Row])[]): Row[] {
  const groups = new Map<string, { readonly names: string[]; readonly row: Row }>()
  for (const [name, each] of rows) {
    const like = each.toSpliced(1, 1).join()
    const group = groups.get(like)
    if (group === undefined) groups.set(like, { names: [name], row: each })
    else group.names.push(name)
  }
  return [...groups.values()].map(({ names, row: each }) => each.with(1, names.map(code).join(' ')))
}

function ofServer(): Row[] {
  const server = (name: string, severity: Spoken['severity'], routine: string | null, shown: string) =>
    [name, row('server', [name], said(name, severity, routine), shown, {}, 'handed')] as const
  const raised = Object.entries(STATEMENT).flatMap(([name, all]) =>
    all.map(({ routines }) => server(name, 'ERROR', [...routines][0] ?? null, [...routines].map(code).join(' ')))
  )
  const unparsed = Object.entries(UNPARSED).map(([name, routines]) =>
    server(name, 'ERROR', [...routines][0] ?? null, [...routines].map(code).join(' '))
  )
  const all = [...new Set([...Object.keys(SESSION), ...Object.keys(STATEMENT)])]
  return [
    ...grouped(Object.keys(SESSION).map((name) => server(name, 'FATAL', null, 'any'))),
    row('server', ['any other'], said('58000', 'FATAL', null), 'any', {}, 'handed'),
    row('server', ['any'], said('53100', 'PANIC', null), 'any', {}, 'handed'),
    ...grouped(raised),
    ...grouped(unparsed),
    ...grouped(all.map((name) => server(name, 'ERROR', 'exec_stmt_raise', 'any other, or missing'))),
    row('server', ['any other'], said('23505', 'ERROR', null), 'any', {}, 'handed'),
    ...grouped(all.map((name) => server(name, null, null, 'missing'))),
  ]
}

function ofOthers(): Row[] {
  const socket = ['ECONNRESET', 'EPIPE', 'ETIMEDOUT'].map(
    (name) => [name, row('socket', [name], 'socket', '', coded(name), 'handed')] as const
  )
  const refused = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENOTFOUND'].map(
    (name) => [name, row('socket', [name], 'socket', 'not connected yet', coded(name), 'connect')] as const
  )
  const texts = ['Connection terminated unexpectedly', 'Query read timeout', 'Client was closed and is not queryable']
  return [
    ...grouped(refused),
    ...grouped(socket),
    ...texts.map((text) => row('pg', [text], 'driver', '', new Error(text), 'handed')),
    row('the application', ['57P01', 'ECONNRESET', 'any other'], 'unproven', '', coded('57P01'), 'handed'),
  ]
}

function table(): string {
  const line = (cells: Row) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(HEAD), line(HEAD.map(() => '---')), ...[...ofServer(), ...ofOthers()].map(line)].join('\n')
}

/** The document with the table in its place. */
export function withTable(document: string): string {
  const [from, to] = [document.indexOf(BEGIN), document.indexOf(END)]
  if (from < 0 || to < from) throw new Error(`${DOCUMENT} lacks ${BEGIN} or ${END}`)
  return `${document.slice(0, from + BEGIN.length)}\n\n${table()}\n\n${document.slice(to)}`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(DOCUMENT, withTable(readFileSync(DOCUMENT, 'utf8')))
}
