// The long run: every scenario in every combination that makes sense, and what it found in figures.

import { told } from './judge.js'
import { BUILT, productIn } from './product.js'
import { type Outcome, omission, run } from './run.js'
import { COMMITS, type Combination, INTERVALS, type Interval, type Scenario } from './scenario.js'
import { SCENARIOS } from './scenarios.js'
import { Stable } from './stable.js'

interface Wish {
  readonly only: string
  readonly intervals: readonly Interval[]
  readonly seconds: number
  /** What a scenario's own rule leaves out runs too. */
  readonly anyway: boolean
}

function wishOf(words: readonly string[]): Wish {
  const value = (name: string) => {
    const at = words.indexOf(`--${name}`)
    return at < 0 ? undefined : words[at + 1]
  }
  const interval = Number(value('interval') ?? 0)
  const intervals = interval === 0 ? INTERVALS : INTERVALS.filter((each) => each === interval)
  if (intervals.length === 0) throw new Error(`--interval must be one of ${INTERVALS.join(', ')}`)
  const seconds = Number(value('seconds') ?? 0.5)
  return { only: value('only') ?? '', intervals, seconds, anyway: words.includes('--anyway') }
}

const percent = (part: number, whole: number) => `${whole === 0 ? 0 : Math.round((100 * part) / whole)} %`

function line(scenario: Scenario, { interval, commit }: Combination, outcome: Outcome): string {
  const { verdict, boundMillis } = outcome
  const { reads, onReplicas, pairs, worstMillis, worstShare, violations } = verdict
  const worst = `worst ${Math.round(worstMillis)} ms, ${Math.round(100 * worstShare)} % of its bound (${boundMillis})`
  const counts = `${reads} reads, ${percent(onReplicas, reads)} on replicas, ${pairs} pairs`
  return `${scenario.name} @${interval} ${commit}: ${counts}, ${worst}, ${violations.length} violations`
}

const wish = wishOf(process.argv.slice(2))
const product = await productIn(BUILT)
const stable = new Stable()
const total = { runs: 0, reads: 0, onReplicas: 0, pairs: 0, violations: 0, ahead: 0, shortfalls: 0, failures: 0 }

async function once(scenario: Scenario, combination: Combination): Promise<void> {
  const reason = wish.anyway ? null : omission(scenario, combination, product)
  if (reason !== null) {
    console.log(`${scenario.name} @${combination.interval} ${combination.commit}: left out: ${reason}`)
    return
  }
  try {
    const outcome = await run(scenario, combination, product, stable)
    const { verdict, shortfalls, errors } = outcome
    console.log(line(scenario, combination, outcome))
    const phases = [...verdict.phases].map(([name, each]) => `${name} ${percent(each.onReplicas, each.reads)}`)
    console.log(`    on replicas: ${phases.join(', ')}`)
    if (errors.size > 0)
      console.log(`    errors: ${[...errors].map(([name, count]) => `${name} ×${count}`).join(', ')}`)
    for (const shortfall of shortfalls) console.log(`    proves nothing: ${shortfall}`)
    for (const violation of verdict.violations.slice(0, 5)) console.log(`    ${told(violation)}`)
    total.runs++
    total.reads += verdict.reads
    total.onReplicas += verdict.onReplicas
    total.pairs += verdict.pairs
    total.violations += verdict.violations.length
    total.ahead += verdict.ahead
    total.shortfalls += shortfalls.length
  } catch (error) {
    total.failures++
    console.log(`${scenario.name} @${combination.interval} ${combination.commit}: did not run: ${String(error)}`)
    await stable.clear()
  }
}

for (const scenario of SCENARIOS) {
  if (!scenario.name.includes(wish.only)) continue
  for (const interval of wish.intervals) {
    for (const commit of COMMITS) await once(scenario, { interval, commit, seconds: wish.seconds })
  }
}
await stable.clear()
console.log(
  `\n${total.runs} runs, ${total.reads} reads, ${percent(total.onReplicas, total.reads)} on replicas, ` +
    `${total.pairs} write-then-read pairs, ${total.violations} violations, ${total.ahead} on a replica before the primary, ` +
    `${total.shortfalls} shares too small, ${total.failures} runs failed`
)
process.exitCode = total.violations + total.failures > 0 || total.runs === 0 ? 1 : 0
