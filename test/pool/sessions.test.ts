import assert from 'node:assert/strict'
import { Scope } from '../../src/core/session/causal-scope.js'
import { Sessions } from '../../src/pool/sessions.js'

describe('sessions in the asynchronous context', () => {
  const [one, two] = [new Sessions(), new Sessions()]
  const [a, b, c] = [new Scope(null), new Scope(null), new Scope(null)]

  it('are of their own pool, the innermost first', async () => {
    assert.equal(one.current, undefined)
    await one.run(a, async () => {
      await Promise.resolve()
      assert.deepEqual([one.current, two.current], [a, undefined])
      await two.run(b, async () => {
        await Promise.resolve()
        assert.deepEqual([one.current, two.current], [a, b])
        one.run(c, () => assert.deepEqual([one.current, two.current], [c, b]))
        assert.deepEqual([one.current, two.current], [a, b])
      })
      assert.deepEqual([one.current, two.current], [a, undefined])
    })
    assert.deepEqual([one.current, two.current], [undefined, undefined])
  })

  it('of any number of pools cost a promise what those of one do', async () => {
    one.run(a, () => {})
    // Where a storage hangs itself on every promise (Node 20 and 22) it is seen there; elsewhere there is nothing to see.
    const burden = () => Object.getOwnPropertySymbols(Promise.resolve()).length
    const before = burden()
    for (let i = 0; i < 50; i++) new Sessions().run(a, () => {})
    assert.equal(burden(), before)
  })
})
