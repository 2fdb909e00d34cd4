// docs/options.md and the table of the options in src/config/options.ts name the same options, with the same defaults.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isOption, OPTIONS, type OptionName } from '../src/config/options.js'

const text = readFileSync(fileURLToPath(new URL('../../docs/options.md', import.meta.url)), 'utf8')

/** The rows of the tables with the head `option | type | default`. */
const rows = new Map(
  [...text.matchAll(/^\| option \| type \| default \|\n\|[-|]+\|\n((?:\|.*\n)+)/gm)]
    .flatMap(([, table = '']) => table.trimEnd().split('\n'))
    .map((row) => row.split('|').map((cell) => cell.trim()))
    .map(([, name = '', , initial = '']) => [name.replaceAll('`', ''), initial])
)

/** Defaults that are no plain value, in the document's words. */
const IN_WORDS: Readonly<Partial<Record<OptionName, string>>> = {
  discovery: 'see below',
  onDiscover: 'every address is used',
  requireAuth: 'anything is allowed',
  zone: '`PGHERD_ZONE`',
  zones: 'not known',
  weights: '`1`',
}

/** Options of pg's own, whose default or form the document has something to say about. */
const OF_PG = ['connectionString', 'host', 'port', 'max', 'min', 'connectionTimeoutMillis']

function written(initial: unknown): string {
  if (Array.isArray(initial)) return `\`[${initial.join(', ')}]\``
  return typeof initial === 'string' ? `\`'${initial}'\`` : `\`${String(initial)}\``
}

describe('docs/options.md', () => {
  for (const name of Object.keys(OPTIONS).filter(isOption)) {
    it(`has ${name} with its default`, () => {
      assert.equal(rows.get(name), IN_WORDS[name] ?? written(OPTIONS[name].initial))
      assert.ok(text.includes(`**\`${name}`), `no paragraph explains ${name}`)
    })
  }
  it('has no other option', () => {
    assert.deepEqual(
      [...rows.keys()].filter((name) => !isOption(name) && !OF_PG.includes(name)),
      []
    )
  })
})
