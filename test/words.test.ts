// Comments, names and texts say which part acts (caller, server, replica, subscriber), not "somebody".

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../src/', import.meta.url))

/** Folders and files below src/ that are checked. */
const DONE = [
  'cli/',
  'config/',
  'core/',
  'discovery/',
  'herd/',
  'pg/',
  'pool/',
  'proxy/',
  'report/',
  'router/',
  'runtime/',
  'telemetry/',
  'testing/',
  'errors.ts',
  'index.ts',
]

const VAGUE = /\b(?:whoever|nobody|somebody)\b/i

describe('words', () => {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && DONE.some((part) => file.startsWith(part)))
    .sort()
  it('every folder that is checked has files', () => {
    assert.deepEqual(
      DONE.filter((part) => !files.some((file) => file.startsWith(part))),
      []
    )
  })
  for (const file of files) {
    it(`src/${file} names its actors`, () => {
      const lines = readFileSync(root + file, 'utf8').split('\n')
      const found = lines.flatMap((line, i) => (VAGUE.test(line) ? [`${i + 1}: ${line.trim()}`] : []))
      assert.deepEqual(found, [])
    })
  }
})
