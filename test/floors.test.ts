// Who may import whom: the layout is a promise, and this test keeps it. Reads the sources, not the output.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../src/', import.meta.url))

/** Folder or file -> what its imports may begin with, paths below src/. `pg` as a type costs nothing at run time. */
const FLOORS: Readonly<Record<string, readonly string[]>> = {
  'core/': ['core/'],
  'clock.ts': ['core/'],
  'errors.ts': ['core/', 'text'],
  'guard.ts': ['type:core/node', 'type:pg/messages', 'type:pg'],
  'quiet.ts': ['type:pg'],
  'login.ts': ['core/', 'quiet', 'type:pg'],
  // The only folder that is to name pg's private members. What bytes say is read without them.
  'pg/': ['core/', 'errors', 'pg/', 'type:pg', 'type:node:events'],
  'pg/frames.ts': ['type:core/sqlstates', 'pg/messages', 'node:buffer'],
  'pg/messages.ts': ['type:core/sqlstates'],
  'config.ts': ['core/', 'discovery/', 'errors', 'login', 'type:guard', 'pg-connection-string', 'node:net'],
  'application.ts': ['core/', 'type:config', 'type:discovery/replication'],
  'discovery/': ['core/node', 'clock', 'discovery/'],
  'discovery/replication.ts': ['core/node', 'discovery/', 'node:net'],
  'discovery/dns.ts': ['core/node', 'discovery/discovery', 'node:dns/promises'],
  'abort.ts': [],
  'text.ts': [],
  'herd/': [
    'core/',
    'application',
    'text',
    'abort',
    'clock',
    'errors',
    'guard',
    'quiet',
    'config',
    'discovery/',
    'herd/',
  ],
  'herd/probe.ts': ['core/', 'clock', 'errors', 'guard', 'login', 'quiet', 'herd/sessions', 'pg', 'pg/tap'],
  'herd/sessions.ts': ['core/', 'type:pg'],
  'telemetry/': [
    'core/',
    'clock',
    'errors',
    'telemetry/',
    'type:herd/herd',
    'type:pool/snapshot',
    '@opentelemetry/api',
  ],
  'telemetry/channels.ts': ['core/', 'telemetry/', 'type:pool/snapshot', 'node:diagnostics_channel'],
  'pool/': [
    'telemetry/',
    'herd/herd',
    'core/',
    'application',
    'abort',
    'config',
    'errors',
    'guard',
    'login',
    'quiet',
    'clock',
    'text',
    'pg/tap',
    'pool/',
    'type:pg',
    'type:node:events',
  ],
  'pool/copy.ts': ['node:module', 'errors', 'type:pool/pool'],
  'pool/sessions.ts': ['node:async_hooks', 'core/token', 'errors', 'pool/'],
  'pool/turn.ts': ['node:async_hooks', 'type:pg', 'core/thrown', 'pool/query-args'],
  'pool/hooks.ts': ['node:async_hooks', 'type:node:events', 'clock', 'core/thrown', 'type:application'],
  // Pure: what is printed is a function of the picture.
  'pool/print.ts': ['text', 'pool/'],
  'pool/inspect.ts': ['text'],
  'cli/': ['cli/', 'pool/', 'herd/herd', 'core/', 'config', 'errors', 'discovery/', 'clock', 'text'],
  'cli/args.ts': ['node:util'],
  'cli/herd.ts': ['cli/', 'pool/', 'core/', 'config', 'clock', 'text', 'pg'],
  'cli/main.ts': ['cli/', 'clock', 'text', 'node:fs'],
  'module.ts': ['pool/', 'type:pg'],
  'index.ts': ['module', 'telemetry/', 'pool/', 'core/', 'herd/herd', 'config', 'errors', 'discovery/', 'pg'],
}

/** Words that would let time, chance or I/O into a floor that must not have them. */
const FORBIDDEN: readonly (readonly [RegExp, string, RegExp])[] = [
  [/\b(?:setTimeout|setInterval|setImmediate|clearTimeout)\b/, 'timers', /^clock\.ts$/],
  [/\bDate\.now\b|\bnew Date\b|\bperformance\.now\b/, 'a clock', /^clock\.ts$/],
  [/\bMath\.random\b/, 'chance', /^clock\.ts$/],
  [/\bexport default\b/, 'a default export', /^index\.ts$/],
]

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    return entry.isDirectory() ? files(path) : [path]
  })
}

interface Import {
  readonly from: string
  readonly typeOnly: boolean
}

function importsOf(text: string, folder: string): Import[] {
  const found = text.matchAll(/^(?:import|export)\s+(type\s)?[^'"]*?from\s+['"]([^'"]+)['"]/gms)
  return [...found].map(([, type, specifier = '']) => {
    const from = specifier.startsWith('.') ? relative(root, join(folder, specifier)).replace(/\.js$/, '') : specifier
    return { from, typeOnly: type !== undefined }
  })
}

function floorOf(file: string): readonly string[] {
  const floors = Object.keys(FLOORS).filter((floor) => file.startsWith(floor))
  const longest = floors.sort((a, b) => b.length - a.length)[0]
  assert.ok(longest, `${file} stands on no floor: give it one in test/floors.test.ts`)
  return FLOORS[longest] ?? []
}

function allowed({ from, typeOnly }: Import, floor: readonly string[]): boolean {
  return floor.some((rule) =>
    rule.startsWith('type:')
      ? typeOnly && from === rule.slice(5)
      : from === rule || (rule.endsWith('/') && from.startsWith(rule))
  )
}

describe('floors', () => {
  for (const path of files(root)) {
    const file = relative(root, path)
    const text = readFileSync(path, 'utf8')
    it(`${file} imports only what its floor may`, () => {
      const floor = floorOf(file)
      const wrong = importsOf(text, join(path, '..')).filter((each) => !allowed(each, floor))
      assert.deepEqual(
        wrong.map(({ from }) => from),
        []
      )
    })
    it(`${file} leaves time, chance and defaults to those who own them`, () => {
      const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
      const found = FORBIDDEN.filter(([word, , owner]) => word.test(code) && !owner.test(file)).map(([, what]) => what)
      assert.deepEqual(found, [])
    })
    if (file.startsWith('core/')) {
      it(`${file} never awaits`, () => {
        const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
        assert.doesNotMatch(code, /\basync\b|\bawait\b|\bPromise\b/)
      })
    }
  }
})
