// A run of chaos for as long as you like:
//   npm run chaos -- --seed 7 --faults 200 [--minutes 30] [--role monitor|plain] [--tls]
//     [--only part-of-a-name,...] [--group all|general|forks|logins]
//     [--writers every|usual] [--product directory]
//   npm run chaos -- --leaks --faults 200
// Prints each fault and how long it took, then the totals. Ends with 1, and how to repeat it, when anything is not as promised.
// The role that the pools log in as goes by the seed unless told: even seeds are in pg_monitor, odd ones see what every role sees.
// --minutes: so many at most, whatever number of faults that is.
// --writers usual: without the forms of statements that are rare, and those that are made to fail.
// --product: another build of pgherd, as the directory that has its src/index.js.

import { parseArgs } from 'node:util'
import { seeded } from '../support/grammar.js'
import { ROLES, roleFor } from './arena.js'
import { FAULTS, GROUPS } from './faults.js'
import { heldOver, leaksOf } from './leaks.js'
import { productIn } from './mutant.js'
import { chaos, type Report, sequence } from './run.js'
import { WRITERS } from './statements.js'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    faults: { type: 'string', default: '50' },
    minutes: { type: 'string', default: 'Infinity' },
    only: { type: 'string', default: '' },
    group: { type: 'string', default: 'all' },
    role: { type: 'string' },
    product: { type: 'string' },
    writers: { type: 'string', default: 'every' },
    tls: { type: 'boolean', default: false },
    leaks: { type: 'boolean', default: false },
  },
})
if (values.leaks) await leaks(Number(values.faults))
else await faults()
// Of a run that is stuck something may be left that nothing ends.
process.exit()

function oneOf<T extends string>(option: string, known: readonly T[], value: string): T {
  const found = known.find((each) => each === value)
  if (found === undefined) throw new Error(`--${option} must be one of ${known.join(', ')}`)
  return found
}

async function faults(): Promise<void> {
  const seed = Number(values.seed)
  const role = oneOf('role', ROLES, values.role ?? roleFor(seed))
  const writers = oneOf('writers', WRITERS, values.writers)
  const wanted = values.only.split(',')
  const group = oneOf('group', ['all', 'general', 'forks', 'logins'], values.group)
  const table = GROUPS[group].filter(({ name }) => wanted.some((part) => name.includes(part)))
  if (table.length === 0)
    throw new Error(`no fault is named like '${values.only}':\n${FAULTS.map(({ name }) => name).join('\n')}`)
  const repeat = [
    `npm run chaos -- --seed ${seed} --faults ${values.faults} --role ${role}`,
    values.tls ? ' --tls' : '',
    group === 'all' ? '' : ` --group ${group}`,
    values.only ? ` --only '${values.only}'` : '',
    writers === 'every' ? '' : ` --writers ${writers}`,
    values.product === undefined ? '' : ` --product ${values.product}`,
  ].join('')
  console.log(repeat)

  let count = 0
  const until = performance.now() + 60_000 * Number(values.minutes)
  const { product } = values
  const report = await chaos({
    seed,
    role,
    writers,
    tls: values.tls,
    ...(product === undefined ? {} : { Pool: await productIn(product) }),
    faults: sequence(table, Number(values.faults), seeded(seed)),
    isOver: () => performance.now() > until,
    suffered: ({ name }, millis, well) => {
      console.log(`${String(++count).padStart(4)}  ${String(millis).padStart(6)} ms  ${name}${well ? '' : '  STUCK'}`)
    },
  })
  summarize(report)
  if (report.violations.length > 0) {
    console.log(`\n${repeat}`)
    process.exitCode = 1
  }
}

/** What has happened, in lines of at most 80 columns but for the violations themselves. */
function summarize({ faults, totals, reads, unprovable, readErrors, worstMillis, violations }: Report): void {
  const line = (name: string, value: number) => console.log(`  ${name.padEnd(28)}${String(value).padStart(10)}`)
  console.log('')
  line('faults', faults.length)
  if (totals !== null) {
    line('writes acknowledged', totals.acknowledged)
    line('failed: committed', totals.committed)
    line('failed: rolled back', totals.rolledBack)
    line('failed: not sent', totals.notSent)
    line('failed: unknown', totals.unknown)
    line('  of these there', totals.happened)
  }
  line('reads', reads)
  line('  not judged: just forked', unprovable)
  line('worst staleness (ms)', Math.round(worstMillis))
  line('violations', violations.length)
  for (const [code, times] of readErrors) console.log(`  ${times} reads failed: ${code.slice(0, 60)}`)
  const rules = new Map<string, number>()
  for (const each of violations) {
    const rule = each
      .split(':', 3)
      .slice(0, /^(far|near):/.test(each) ? 2 : 1)
      .join(':')
    rules.set(rule, (rules.get(rule) ?? 0) + 1)
  }
  for (const [rule, times] of rules) console.log(`  ${times} times ${rule}`)
  for (const violation of violations.slice(0, 50)) console.log(violation)
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
