// The short run: every scenario once, and every broken rule noticed. `npm run check:consistency` is the long one.

import assert from 'node:assert/strict'
import { told } from './judge.js'
import { MUTATIONS, withMutant } from './mutants.js'
import { BUILT, productIn } from './product.js'
import { type Outcome, omission, run } from './run.js'
import type { Combination, Scenario } from './scenario.js'
import { SCENARIOS } from './scenarios.js'
import { Stable } from './stable.js'

const ATTEMPTS = 5
const SHORT: Combination = { interval: 100, commit: 'on', seconds: 0 }

describe('consistency', () => {
  const stable = new Stable()
  const outcomes = new Map<string, Outcome>()
  after(() => stable.clear())

  /** What the pgherd that is tested did, once for each combination. */
  async function outcomeOf(scenario: Scenario, combination: Combination): Promise<Outcome> {
    const name = `${scenario.name} ${JSON.stringify(combination)}`
    const known = outcomes.get(name) ?? (await run(scenario, combination, await productIn(BUILT), stable))
    outcomes.set(name, known)
    return known
  }

  function assertKept({ verdict, shortfalls }: Outcome): void {
    assert.deepEqual(verdict.violations.slice(0, 5).map(told), [])
    assert.deepEqual(shortfalls, [])
  }

  for (const scenario of SCENARIOS) {
    const combination = { ...SHORT, ...scenario.short }
    it(`${scenario.name}: no read is older than its bound, and own writes are seen`, async function () {
      const reason = scenario.longOnly ?? omission(scenario, combination, await productIn(BUILT))
      if (reason !== null) {
        if (this.test !== undefined) this.test.title += ` (${reason})`
        return this.skip()
      }
      assertKept(await outcomeOf(scenario, combination))
    })
  }

  for (const mutation of MUTATIONS) {
    it(`a pool with a broken rule is found out: ${mutation.name}`, async () => {
      const scenario = SCENARIOS.find(({ name }) => name === mutation.scenario)
      assert.ok(scenario, `there is no scenario '${mutation.scenario}'`)
      const found = await withMutant(mutation, async (mutant) => {
        let violations = 0
        // A broken rule shows where it meets its moment, and a busy machine may miss that.
        for (let attempt = 1; attempt <= ATTEMPTS && violations === 0; attempt++) {
          const { verdict } = await run(scenario, mutation.combination, mutant, stable)
          violations = verdict.violations.length
        }
        return violations
      })
      assert.ok(found > 0, 'none of its reads was found out')
      assertKept(await outcomeOf(scenario, mutation.combination))
    })
  }
})
