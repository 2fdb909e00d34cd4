// Short runs of chaos: every fault that is not slow, in an order that the seed gives. PGHERD_TEST_SEED gives another one.

import assert from 'node:assert/strict'
import { seeded } from '../support/grammar.js'
import type { PoolRole } from './arena.js'
import { GROUPS, type Group } from './faults.js'
import { chaos, sequence } from './run.js'

const SEED = Number(process.env.PGHERD_TEST_SEED ?? 1)

interface Trial {
  readonly group: Group
  readonly faults: number
  readonly seed: number
  readonly role: PoolRole
  readonly tls?: boolean
}

async function survive({ group, faults, seed, role, tls = false }: Trial): Promise<string> {
  const report = await chaos({ seed, tls, role, faults: sequence(GROUPS[group], faults, seeded(seed)) })
  const options = `--seed ${seed} --faults ${faults} --role ${role} --group ${group}${tls ? ' --tls' : ''}`
  const repeat = `npm run chaos -- ${options}`
  assert.deepEqual(report.violations.slice(0, 10), [], repeat)
  assert.equal(report.faults.length, faults)
  const { acknowledged = 0, unknown } = report.totals ?? {}
  assert.ok(acknowledged > 20 * faults && report.reads > 20 * faults, `${acknowledged} writes, ${report.reads} reads`)
  return `${acknowledged} writes acknowledged, ${unknown} unknown, ${report.reads} reads`
}

describe('chaos: nothing acknowledged is lost, nothing is done twice, no read is older than promised', () => {
  const trial = (name: string, each: Trial) =>
    it(name, async function () {
      this.timeout(400_000)
      const found = await survive(each)
      if (this.test) this.test.title += `: ${found}`
    })

  trial('through 28 faults', { group: 'general', faults: 28, seed: SEED, role: 'monitor' })
  trial('through 6 faults over TLS, with a plain role', {
    group: 'general',
    faults: 6,
    seed: SEED + 1,
    role: 'plain',
    tls: true,
  })
  const forks = GROUPS.forks.length
  trial(`through ${forks} forks, with a plain role`, { group: 'forks', faults: forks, seed: SEED + 2, role: 'plain' })
  trial('through 2 forks', { group: 'forks', faults: 2, seed: SEED + 3, role: 'monitor' })
  const logins = GROUPS.logins.length
  trial(`through ${logins} failures of logins, functions and poolers`, {
    group: 'logins',
    faults: logins,
    seed: SEED + 4,
    role: 'plain',
  })
})
