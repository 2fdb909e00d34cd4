import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { DOCUMENT, withTables } from './table.js'

describe('package.json', () => {
  it("takes the application's own copy of the API, though it is old: to a newer one beside it that SDK does not exist", () => {
    const file = fileURLToPath(new URL('../../../package.json', import.meta.url))
    const { dependencies } = JSON.parse(readFileSync(file, 'utf8')) as { dependencies: Record<string, string> }
    // 1.4.1 passes these tests. Who has 1.8.0 and got 1.9.1 for us saw no span, and was not told why.
    assert.equal(dependencies['@opentelemetry/api'], '^1.4.0')
  })
})

describe('docs/observability.md', () => {
  it('has the names that the code has: npm run build && node dist/test/telemetry/table.js writes them', () => {
    const document = readFileSync(DOCUMENT, 'utf8')
    assert.equal(document, withTables(document))
  })
})
