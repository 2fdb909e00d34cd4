import assert from 'node:assert/strict'
import { isOfAnother, preparedIn } from '../../src/core/session/neighbours.js'

describe('statements that share a session', () => {
  const alone = { isNamed: false, isCancelling: false, isClosing: false }
  const CASES: readonly (readonly [what: string, code: string | undefined, more: object, is: boolean])[] = [
    ['cancelled by its own timeout', '57014', {}, false],
    ['cancelled while a request for another is on its way', '57014', { isCancelling: true }, true],
    ['no such prepared statement, and it has a name', '26000', { isNamed: true }, true],
    ['no such prepared statement, and it has none', '26000', {}, false],
    ['prepared twice', '42P05', { isNamed: true }, true],
    ['a stale plan, met first', '0A000', { isNamed: true }, false],
    ['a stale plan, met before', '0A000', { isNamed: true, isClosing: true }, true],
    ['what is not supported, without a name', '0A000', { isClosing: true }, false],
    ['a fault of its own', '22012', { isNamed: true, isCancelling: true, isClosing: true }, false],
    ['no code', undefined, { isNamed: true, isCancelling: true, isClosing: true }, false],
  ]
  for (const [what, code, more, is] of CASES) {
    it(`${what}: ${is ? 'owed to another' : 'its own'}`, () =>
      assert.equal(isOfAnother(code, { ...alone, ...more }), is))
  }

  it('what a code says of a prepared statement', () =>
    assert.deepEqual(['26000', '42P05', '22012', null].map(preparedIn), ['absent', 'present', null, null]))
})
