// A run of chaos for as long as you like:  npm run chaos -- --seed 7 --faults 200 [--tls] [--only part-of-a-name,...]
//   npm run chaos -- --leaks --faults 200
// Prints each fault and how long it took, then the totals. Ends with 1, and how to repeat it, when anything is not as promised.

import { parseArgs } from 'node:util'
import { seeded } from '../support/grammar.js'
import { FAULTS } from './faults.js'
import { heldOver, leaksOf } from './leaks.js'
import { chaos, sequence } from './run.js'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    faults: { type: 'string', default: '50' },
    only: { type: 'string', default: '' },
    tls: { type: 'boolean', default: false },
    leaks: { type: 'boolean', default: false },
  },
})
if (values.leaks) await leaks(Number(values.faults))
else await faults()

async function faults(): Promise<void> {
  const seed = Number(values.seed)
  const wanted = values.only.split(',')
  const table = FAULTS.filter(({ name }) => wanted.some((part) => name.includes(part)))
  if (table.length === 0)
    throw new Error(`no fault is named like '${values.only}':\n${FAULTS.map(({ name }) => name).join('\n')}`)
  const repeat = `--seed ${seed} --faults ${values.faults}${values.tls ? ' --tls' : ''}${values.only ? ` --only '${values.only}'` : ''}`
  console.log(`npm run chaos -- ${repeat}`)

  let count = 0
  const { totals, reads, readErrors, worstMillis, violations } = await chaos({
    seed,
    tls: values.tls,
    faults: sequence(table, Number(values.faults), seeded(seed)),
    suffered: ({ name }, millis, well) => {
      console.log(`${String(++count).padStart(4)}  ${String(millis).padStart(6)} ms  ${name}${well ? '' : '  STUCK'}`)
    },
  })
  console.table({ ...totals, reads, 'worst staleness (ms)': Math.round(worstMillis), violations: violations.length })
  for (const [code, times] of readErrors) console.log(`${times} reads failed: ${code}`)
  for (const violation of violations.slice(0, 50)) console.log(violation)
  if (violations.length > 0) {
    console.log(`\nnpm run chaos -- ${repeat}`)
    process.exitCode = 1
  }
}

/** Failovers of one pool, one after the other, and what it holds after each. */
async function leaks(failovers: number): Promise<void> {
  let count = 0
  const held = await heldOver(failovers, (each) =>
    console.log(`${String(++count).padStart(4)}  ${JSON.stringify(each)}`)
  )
  const found = leaksOf(held)
  for (const leak of found) console.log(leak)
  console.log(found.length === 0 ? 'nothing is left behind' : '')
  if (found.length > 0) process.exitCode = 1
}
