// Writes of pool.query() that wait for the same primary are asked as one when a node changes, down the whole path of a statement.

import assert from 'node:assert/strict'
import { fakeRouter } from '../support/fake-face.js'
import { ManualClock, settled } from '../support/manual-clock.js'

describe('a crowd of statements', () => {
  it('that write is decided anew once for all', async () => {
    const clock = new ManualClock()
    const { router, servers, query, end } = fakeRouter(3, {}, clock)
    router.herd.open()
    await clock.advance(700)
    const [primary] = servers
    assert.ok(primary)
    primary.mode = 'refuses'
    await clock.advance(400)
    const answers = Array.from({ length: 100 }, (_, i) => query(`update t set n = ${i}`))
    await settled()
    assert.equal(router.herd.waiting, 100)
    let decided = 0
    const { routing } = router
    const route = routing.route.bind(routing)
    routing.route = (...args) => {
      decided++
      return route(...args)
    }
    const key = [...router.herd.topology.nodes.keys()][2]
    assert.ok(key)
    router.herd.report({ kind: 'drained', key })
    assert.equal(decided, 1)
    primary.mode = 'primary'
    await clock.advance(1000)
    await Promise.all(answers)
    end()
  })
})
