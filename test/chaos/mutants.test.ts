// Would chaos notice? The product makes a mistake, a fault that brings it to light strikes, and the verdict must be red.

import assert from 'node:assert/strict'
import { FAULTS } from './faults.js'
import { type Mistake, withMistakes } from './mutant.js'
import { chaos } from './run.js'

interface Mutant {
  readonly name: string
  readonly mistakes: readonly Mistake[]
  /** The fault that shows it. */
  readonly fault: string
  /** One of these must be among the violations. */
  readonly shown: RegExp
}

const FAILURE = 'core/cluster/failure.js'

const MUTANTS: readonly Mutant[] = [
  {
    name: 'a write whose reply was lost is sent again',
    mistakes: [
      {
        file: FAILURE,
        right: 'return what.read && isRepeatable(what.undone);',
        wrong: 'return isRepeatable(what.undone);',
      },
    ],
    fault: 'a black hole before the primary (from the server), ended by delivery',
    shown: /^doubled/,
  },
  {
    name: 'a lost reply is reported as rolled back',
    mistakes: [{ file: FAILURE, right: "return 'unknown';", wrong: "return 'rolled-back';" }],
    fault: 'a black hole before the primary (from the server), ended by delivery',
    shown: /^resurrected/,
  },
  {
    name: 'the connections of a condemned node are left open',
    mistakes: [{ file: 'pool/node-pool.js', right: 'reset(client);', wrong: ';' }],
    fault: 'the primary freezes, and failover; it thaws as a primary',
    shown: /^stuck/,
  },
  {
    name: 'own writes are not looked for',
    mistakes: [
      {
        file: 'router/causality.js',
        right: 'const since = later(later(own?.since ?? null, scope?.since ?? null), later(mine, heard));',
        wrong: 'const since = null;',
      },
      { file: 'router/causality.js', right: 'captured: own?.highest ?? null,', wrong: 'captured: null,' },
    ],
    fault: 'a replica stops replaying',
    shown: /^far: own write/,
  },
  {
    name: 'the lag bound is not kept',
    mistakes: [
      {
        file: 'core/cluster/selection.js',
        right: 'const need = { ...target.need, maxLagMillis, orphaned };',
        wrong: 'const need = { ...target.need, maxLagMillis: Infinity, orphaned };',
      },
    ],
    fault: 'a replica is cut off from the primary',
    shown: /^near: bound/,
  },
]

describe('chaos finds mistakes', () => {
  for (const { name, mistakes, fault, shown } of MUTANTS) {
    it(name, async function () {
      this.timeout(120_000)
      const faults = FAULTS.filter((each) => each.name === fault)
      assert.equal(faults.length, 1, fault)
      const { violations } = await withMistakes(mistakes, (Pool) =>
        // What is under way when it strikes is chance: once may be too few.
        chaos({
          seed: 1,
          faults: [...faults, ...faults, ...faults],
          Pool,
          role: 'monitor',
          writers: 'usual',
          patienceMillis: 6000,
        })
      )
      assert.ok(
        violations.some((violation) => shown.test(violation)),
        violations.join('\n') || 'nothing was noticed'
      )
    })
  }
})
