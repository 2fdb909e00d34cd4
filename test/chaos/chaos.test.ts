// A short run of chaos: every fault that is not slow, in an order that the seed gives. PGHERD_TEST_SEED gives another one.

import assert from 'node:assert/strict'
import { seeded } from '../support/grammar.js'
import { FAULTS } from './faults.js'
import { chaos, sequence } from './run.js'

const SEED = Number(process.env.PGHERD_TEST_SEED ?? 1)
const QUICK = FAULTS.filter(({ long }) => !long)

async function survive(faults: number, seed: number, tls: boolean): Promise<string> {
  const report = await chaos({ seed, tls, faults: sequence(QUICK, faults, seeded(seed)) })
  const repeat = `npm run chaos -- --seed ${seed} --faults ${faults}${tls ? ' --tls' : ''}`
  assert.deepEqual(report.violations.slice(0, 10), [], repeat)
  assert.equal(report.faults.length, faults)
  const { acknowledged = 0, unknown } = report.totals ?? {}
  assert.ok(acknowledged > 20 * faults && report.reads > 20 * faults, `${acknowledged} writes, ${report.reads} reads`)
  return `${acknowledged} writes acknowledged, ${unknown} unknown, ${report.reads} reads`
}

describe('chaos: nothing acknowledged is lost, nothing is done twice, no read is older than promised', () => {
  it('through 28 faults', async function () {
    this.timeout(400_000)
    const found = await survive(28, SEED, false)
    if (this.test) this.test.title += `: ${found}`
  })

  it('through 6 faults over TLS', async function () {
    this.timeout(200_000)
    const found = await survive(6, SEED + 1, true)
    if (this.test) this.test.title += `: ${found}`
  })
})
