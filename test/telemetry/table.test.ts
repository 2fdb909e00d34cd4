import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { DOCUMENT, withTables } from './table.js'

describe('docs/observability.md', () => {
  it('has the names that the code has: npm run build && node dist/test/telemetry/table.js writes them', () => {
    const document = readFileSync(DOCUMENT, 'utf8')
    assert.equal(document, withTables(document))
  })
})
