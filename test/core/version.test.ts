import assert from 'node:assert/strict'
import { isTooOld } from '../../src/core/cluster/version.js'

describe('versions of PostgreSQL', () => {
  const VERSIONS: readonly (readonly [string | null, boolean])[] = [
    ['11.22', true],
    ['9.6.24', true],
    ['10.23 (Debian 10.23-1)', true],
    ['12.0', false],
    ['18.4', false],
    ['19beta1', false],
    ['CockroachDB', false],
    ['', false],
    [null, false],
  ]
  for (const [version, old] of VERSIONS) {
    it(`${version} is ${old ? '' : 'not '}too old`, () => assert.equal(isTooOld(version), old))
  }
})
