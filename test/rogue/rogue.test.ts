import assert from 'node:assert/strict'
import { faultsOf, run } from './run.js'

describe('rogue servers: nothing dies, nothing hangs, nothing is given away', () => {
  it('beside an honest one, found and named, and alone', async function () {
    this.timeout(180_000)
    const report = await run({ seed: 14, seconds: 25 })
    assert.deepEqual(faultsOf(report), [])
    const { connections, honest } = report
    console.log(`      ${connections} connections, ${honest.reads} honest reads, p99 ${honest.p99.toFixed(1)} ms`)
    assert.ok(connections > 200, `${connections} connections`)
  })
})
