import assert from 'node:assert/strict'
import { type Identity, isBalanced, observed } from '../../src/core/cluster/identity.js'
import type { Instant } from '../../src/core/cluster/instant.js'

const at = (mono: number): Instant => ({ mono, wall: mono })
const seen = (...starts: readonly string[]) =>
  starts.reduce<Identity | null>((identity, start, i) => observed(identity, start, at(i)), null)

describe('identity: which server answers at an address', () => {
  const ROWS: readonly (readonly [string, readonly string[], boolean])[] = [
    ['one server', ['a', 'a', 'a'], false],
    ['one that restarts', ['a', 'b', 'c', 'd'], false],
    ['two in turn', ['a', 'b', 'a'], true],
    ['three in turn', ['a', 'b', 'c', 'a'], true],
    ['two, one of which does not say', ['a', '', 'a'], false],
    ['none that says', ['', ''], false],
  ]
  for (const [title, starts, balanced] of ROWS) {
    it(`${title}: ${balanced ? 'a balancer' : 'no balancer'}`, () => {
      assert.equal(isBalanced(seen(...starts), at(10)), balanced)
    })
  }
  it('is forgotten ten minutes after the last turn', () => {
    const twice = seen('a', 'b', 'a')
    assert.deepEqual([isBalanced(twice, at(600_001)), isBalanced(twice, at(600_002))], [true, false])
    assert.equal(isBalanced(observed(twice, 'b', at(600_000)), at(600_002)), true)
  })
  it('remembers few', () => {
    const many = seen(...Array.from({ length: 100 }, (_, i) => String(i)))
    assert.equal(many?.past.length, 8)
  })
  it('is the same value while nothing changes', () => {
    const one = seen('a')
    assert.equal(observed(one, 'a', at(5)), one)
  })
})
