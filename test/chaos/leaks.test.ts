import assert from 'node:assert/strict'
import { type Held, heldOver, leaksOf } from './leaks.js'

const FAILOVERS = 12

describe('many failovers', () => {
  it(`leave no sockets, timers, listeners or objects behind: ${FAILOVERS}`, async function () {
    this.timeout(200_000)
    const held = await heldOver(FAILOVERS)
    assert.equal(held.length, FAILOVERS)
    assert.deepEqual(leaksOf(held), [], JSON.stringify(held, null, 1))
  })

  it('would be noticed', () => {
    const rest: Held = { sockets: 6, timers: 7, others: 2, listeners: 1, objects: 16_000 }
    const seen = (more: (i: number) => Partial<Held>) => Array.from({ length: 12 }, (_, i) => ({ ...rest, ...more(i) }))
    assert.deepEqual(leaksOf(seen(() => ({}))), [])
    assert.deepEqual(leaksOf(seen((i) => ({ sockets: 6 + i }))), ['sockets: 4 more'])
    assert.deepEqual(leaksOf(seen((i) => ({ objects: 16_000 + i * 53 }))), ['53 objects per failover'])
    const fewer = (i: number) => ({ sockets: i < 8 ? 4 : 6, objects: i < 8 ? 16_000 : 16_280 })
    assert.deepEqual(leaksOf(seen(fewer)), [])
  })
})
