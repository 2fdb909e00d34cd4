// Which file may import which: the layout is a promise, and this test keeps it. Reads the sources, not the output.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../src/', import.meta.url))

/**
 * The floors, from the ground up: a file imports its own floor and those below it, and nothing of the same line but itself. Files
 * of core/ that stand in none of its folders are words that all floors share.
 */
const STOREYS: readonly (readonly string[])[] = [
  ['core/spelling.ts', 'core/thrown.ts', 'core/undone.ts', 'core/words.ts'],
  ['core/sql/', 'core/cluster/'],
  ['core/session/'],
  ['runtime/'],
  ['discovery/'],
  ['errors.ts'],
  ['version.ts'],
  ['pg/'],
  ['config/'],
  ['herd/'],
  ['report/'],
  ['telemetry/'],
  ['router/'],
  ['pool/'],
  ['proxy/options.ts'],
  ['proxy/wire/'],
  ['proxy/session/'],
  ['proxy/auth/'],
  ['proxy/server/'],
  ['proxy/client/'],
  ['proxy/console/'],
  ['proxy/'],
  ['testing/'],
  ['cli/'],
  ['index.ts'],
]

/** Narrower than the floor: what the imports of these may begin with, besides what stands in the same folder. */
const NARROW: Readonly<Record<string, readonly string[]>> = {
  'runtime/': ['core/'],
  'discovery/': ['core/', 'runtime/clock'],
  'pg/frames.ts': ['type:core/cluster/sqlstates', 'pg/messages'],
  'pg/messages.ts': ['type:core/cluster/sqlstates'],
  // The shapes and the text of a picture are functions of the picture: no herd, no pool.
  'report/': ['core/'],
  // A face knows the herd by herd/herd.ts alone.
  'telemetry/': ['core/', 'runtime/', 'errors', 'report/types', 'type:herd/herd'],
  // The main path of both faces: no connection, no type of pg, no socket, no emitter.
  'router/': ['core/', 'runtime/', 'errors', 'config/', 'herd/herd', 'report/', 'telemetry/', 'pg/submittable'],
  'pool/': ['core/', 'runtime/', 'errors', 'pg/', 'config/', 'herd/herd', 'report/', 'telemetry/', 'router/'],
  // It speaks the protocol itself: of pg/ it needs the checks of messages and the rules of logins, and no client of pg's.
  'proxy/': [
    ...['core/', 'runtime/', 'errors', 'config/', 'herd/herd', 'report/', 'telemetry/', 'router/'],
    ...['pg/messages', 'pg/weak-auth'],
  ],
  // A package of its own in all but the name: it starts servers, and knows nothing of the library.
  'testing/': ['runtime/clock'],
}

/** What comes from outside of src/, and where. */
const OUTSIDE: Readonly<Record<string, RegExp>> = {
  pg: /^(?:pg|herd|pool|cli|testing|index)\b/,
  'pg-connection-string': /^config\//,
  '@opentelemetry/api': /^telemetry\//,
  'node:async_hooks': /^(?:runtime\/context|pg\/calls|pool\/sessions)\.ts$/,
  'node:diagnostics_channel': /^telemetry\/channels\.ts$/,
  'node:dns/promises': /^discovery\/resolver\.ts$/,
  'node:net':
    /^(?:discovery\/replication|config\/\w+|proxy\/(?:proxy|metrics|client\/door|server\/dial)|cli\/proxy-(?:entrance|worker)|testing\/server)\.ts$/,
  'node:http': /^(?:proxy\/metrics|discovery\/patroni)\.ts$/,
  'node:https': /^discovery\/patroni\.ts$/,
  'node:tls': /^proxy\/(?:tls|client\/door|server\/dial)\.ts$/,
  'node:stream': /^proxy\/(?:client|server|console)\//,
  'node:crypto': /^(?:proxy\/|cli\/proxy-workers\.ts$)/,
  'pg-protocol': /^proxy\//,
  'generic-pool': /^proxy\/server\/lending\.ts$/,
  'node:module': /^(?:pg\/abilities|testing\/binaries)\.ts$/,
  'node:buffer': /^pg\/frames\.ts$/,
  'node:events': /^(?:pg|pool)\//,
  'node:cluster': /^cli\/proxy(?:-workers?|-entrance)?\.ts$/,
  'node:fs': /^(?:cli\/proxy-ground\.ts$|testing\/)/,
  'node:util': /^(?:cli\/(?:args|proxy-args)|testing\/binaries)\.ts$/,
  'node:child_process': /^testing\//,
  'node:fs/promises': /^testing\//,
  'node:os': /^testing\//,
  'node:path': /^testing\//,
  'node:url': /^testing\/here\.ts$/,
}

/** Words that would let time, chance or I/O into a floor that must not have them. */
const FORBIDDEN: readonly (readonly [RegExp, string, RegExp])[] = [
  [/\b(?:setTimeout|setInterval|setImmediate|clearTimeout)\b/, 'timers', /^runtime\/clock\.ts$/],
  [/\bDate\.now\b|\bnew Date\b|\bperformance\.now\b/, 'a clock', /^runtime\/clock\.ts$/],
  [/\bMath\.random\b/, 'chance', /^runtime\/clock\.ts$/],
  [/\bexport default\b/, 'a default export', /^index\.ts$/],
  [
    /\b_(?:activeQuery|queryQueue|sentQueryQueue|queryable|ending|txStatus|types|connect|getPassword|errorAllQueries|handle[A-Z]\w+)\b/,
    "a private member of pg's client",
    /^pg\//,
  ],
  // Libraries and tests reach into those of a pool: pool.ts has them, too.
  [
    /\b_(?:clients|idle|pendingQueue|pulseQueue|expired)\b/,
    "a private member of pg's pool",
    /^(?:pg\/|pool\/pool\.ts$)/,
  ],
]

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? files(path) : [path]
  })
}

interface Import {
  /** A path below src/ with `.ts`, or what comes from outside. */
  readonly from: string
  readonly isOurs: boolean
  readonly typeOnly: boolean
}

function importsOf(text: string, folder: string): Import[] {
  const found = text.matchAll(/^(?:import|export)\s+(type\s)?[^'"]*?from\s+['"]([^'"]+)['"]/gms)
  return [...found].map(([, type, specifier = '']) => {
    const isOurs = specifier.startsWith('.')
    const from = isOurs ? relative(root, join(folder, specifier)).replace(/\.js$/, '.ts') : specifier
    return { from, isOurs, typeOnly: type !== undefined }
  })
}

const imports = new Map(
  files(root).map((path) => [relative(root, path), importsOf(readFileSync(path, 'utf8'), join(path, '..'))])
)

/** The floor of a file, and what of it is the file's own: `core/sql/` beside `core/cluster/`. */
function storeyOf(file: string): { readonly level: number; readonly part: string } {
  const found = STOREYS.map((parts) => parts.find((part) => file.startsWith(part)))
  const level = found.findIndex((part) => part !== undefined)
  assert.notEqual(level, -1, `${file} stands on no floor: give it one in test/floors.test.ts`)
  return { level, part: found[level] ?? '' }
}

function isBelow(file: string, from: string): boolean {
  const [own, other] = [storeyOf(file), storeyOf(from)]
  // The shared words at the bottom are one part.
  return other.level < own.level || (other.level === own.level && (other.part === own.part || own.level === 0))
}

function isNarrow(file: string, { from, isOurs, typeOnly }: Import): boolean {
  const part = Object.keys(NARROW)
    .filter((each) => file.startsWith(each))
    .sort((a, b) => b.length - a.length)[0]
  if (part === undefined || !isOurs) return true
  if (part.endsWith('/') && from.startsWith(part)) return true
  const name = from.replace(/\.ts$/, '')
  return (NARROW[part] ?? []).some((rule) =>
    rule.startsWith('type:')
      ? typeOnly && name === rule.slice(5)
      : name === rule || (rule.endsWith('/') && name.startsWith(rule))
  )
}

/** Files that reach themselves over their imports, each circle once. */
function circles(): string[] {
  const found = new Set<string>()
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string) => {
    const at = path.indexOf(file)
    if (at >= 0) found.add(path.slice(at).sort().join(' '))
    if (at >= 0 || done.has(file)) return
    path.push(file)
    for (const { from, isOurs } of imports.get(file) ?? []) if (isOurs) visit(from)
    path.pop()
    done.add(file)
  }
  for (const file of imports.keys()) visit(file)
  return [...found]
}

/** All files that a file leads to over its imports. */
function reachedFrom(file: string, reached = new Set<string>()): ReadonlySet<string> {
  if (reached.has(file)) return reached
  reached.add(file)
  for (const { from, isOurs } of imports.get(file) ?? []) if (isOurs) reachedFrom(from, reached)
  return reached
}

/** A file that is read at one sitting. */
const MOST_LINES = 350

describe('floors', () => {
  it('no file imports itself over others', () => assert.deepEqual(circles(), []))
  it('the main entry leads to no file of testing/, cli/ or proxy/', () => {
    const reached = [...reachedFrom('index.ts')]
    assert.ok(reached.length > 100)
    assert.deepEqual(
      reached.filter((file) => /^(?:testing|cli|proxy)\//.test(file)),
      []
    )
  })
  for (const [file, all] of imports) {
    it(`${file} imports only what its floor may`, () => {
      const wrong = all.filter((each) => !isNarrow(file, each) || (each.isOurs && !isBelow(file, each.from)))
      assert.deepEqual(
        wrong.map(({ from }) => from),
        []
      )
      const foreign = all.filter(({ from, isOurs }) => !isOurs && !(OUTSIDE[from]?.test(file) ?? false))
      assert.deepEqual(
        foreign.map(({ from }) => from),
        []
      )
    })
    const text = readFileSync(join(root, file), 'utf8')
    it(`${file} is no longer than ${MOST_LINES} lines`, () => assert.ok(text.split('\n').length - 1 <= MOST_LINES))
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
    it(`${file} leaves time, chance and defaults to those that own them`, () => {
      const found = FORBIDDEN.filter(([word, , owner]) => word.test(code) && !owner.test(file)).map(([, what]) => what)
      assert.deepEqual(found, [])
    })
    if (file.startsWith('core/')) {
      it(`${file} never awaits`, () => assert.doesNotMatch(code, /\basync\b|\bawait\b|\bPromise\b/))
    }
  }
})
