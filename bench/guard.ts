// What a statement may cost, as counts: the same operations through pg.Pool and pgherd.Pool, and no clock. Exits with 1 when one costs
// more than its limit.
//   npm run bench:guard            or: node dist/bench/guard.js [part of a row's name]

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Cluster, startCluster } from '../test/support/cluster.js'
import { CONNECTIONS, type Contender, herd, pgPool } from './contenders.js'
import { batch, type Counts, countsOf, install, type Operation, type Plan } from './counts.js'
import { type Form, onBorrowed, query, readOnly, TABLES, warm, write } from './forms.js'
import { REPLICAS, type Servers } from './rows.js'

interface Limit {
  readonly on: Servers
  readonly form: Form
  /** pgherd's at most so many times pg.Pool's. */
  readonly bytes: number
  /** pgherd's at most so many more than pg.Pool's, for each operation. */
  readonly promises: number
  readonly listeners: number
  readonly writes: number
}

/**
 * The limits: what was reached, and a little more. The aim is a tenth more bytes than pg.Pool and one promise with one server. Where
 * pgherd routes, a statement pays for a request and a decision, adds no listener, and sends nothing in a packet of its own; a client that
 * borrows pays for a line, and BEGIN READ ONLY for a second connection, on which two listeners watch. It goes in one packet with the first
 * read, which saves a write.
 */
const LIMITS: readonly Limit[] = [
  { on: 'one server', form: query, bytes: 1.6, promises: 1, listeners: 0, writes: 0 },
  { on: 'one server', form: onBorrowed, bytes: 1.4, promises: 1, listeners: 0, writes: 0 },
  { on: 'one server', form: readOnly, bytes: 1.35, promises: 1, listeners: 0, writes: 0 },
  { on: 'one server', form: write, bytes: 1.7, promises: 1, listeners: 0, writes: 0 },
  { on: 'routed', form: query, bytes: 1.5, promises: 2, listeners: 1, writes: 0 },
  { on: 'routed', form: onBorrowed, bytes: 2.3, promises: 6, listeners: 2, writes: 0 },
  { on: 'routed', form: readOnly, bytes: 2.8, promises: 26, listeners: 4, writes: -1 },
  { on: 'routed', form: write, bytes: 2.8, promises: 4, listeners: 0, writes: 0.25 },
]

/** Of what is counted exactly: a probe now and then must not matter. */
const SLACK = 0.25

const PLANS: readonly Plan[] = [
  { callers: 1, operations: 150, batches: 4 },
  { callers: 10, operations: 200, batches: 4 },
]

/** Before the first row, of each form: code that is not compiled yet allocates more. */
const PLAN_COLD: Plan = { callers: 10, operations: 1000, batches: 1 }

/** Batches must fit into the young generation, in megabytes. */
const YOUNG = 64

type Measure = Exclude<keyof Limit, 'on' | 'form'>
const MEASURES: readonly Measure[] = ['bytes', 'promises', 'listeners', 'writes']

function isOver(limit: Limit, measure: Measure, plain: Counts, herded: Counts): boolean {
  const [before, after] = [plain[measure], herded[measure]]
  return measure === 'bytes' ? after / before > limit.bytes : after - before > limit[measure] + SLACK
}

function cell(limit: Limit, measure: Measure, plain: Counts, herded: Counts): string {
  const [before, after] = [plain[measure], herded[measure]]
  const digits = measure === 'bytes' ? 0 : 1
  const sign = limit[measure] < 0 ? '' : '+'
  const [found, allowed] =
    measure === 'bytes'
      ? [`× ${(after / before).toFixed(2)}`, `× ${limit.bytes.toFixed(2)}`]
      : [`${after < before ? '' : '+'}${(after - before).toFixed(1)}`, `${sign}${limit[measure]}`]
  const over = isOver(limit, measure, plain, herded) ? ' OVER' : ''
  return `${before.toFixed(digits)} ${after.toFixed(digits)}, ${found} of ${allowed}${over}`
}

/** How many measures are over their limits. */
async function judged(limit: Limit, plan: Plan, contenders: readonly [Contender, Contender]): Promise<number> {
  const { on, form } = limit
  const operations = contenders.map(
    ({ target }): Operation =>
      (n) =>
        form.run(target, n)
  )
  const [plain, herded] = await countsOf(operations as [Operation, Operation], plan)
  const cells = MEASURES.map((measure) => cell(limit, measure, plain, herded))
  console.log(`| ${on}, ${form.name} | ${plan.callers} | ${cells.join(' | ')} |`)
  return MEASURES.filter((measure) => isOver(limit, measure, plain, herded)).length
}

async function judgedOn(cluster: Cluster, limits: readonly Limit[]): Promise<number> {
  const contenders = [await pgPool(cluster), await herd()(cluster)] as const
  try {
    for (const { target } of contenders) {
      await warm(target, CONNECTIONS)
      for (const { form } of limits) await batch((n) => form.run(target, n), PLAN_COLD)
    }
    let over = 0
    for (const limit of limits) for (const plan of PLANS) over += await judged(limit, plan, contenders)
    return over
  } finally {
    for (const contender of contenders) await contender.close()
  }
}

async function main(part: string): Promise<void> {
  install()
  let over = 0
  console.log(`Node ${process.version}; pg.Pool's, pgherd's, and the difference with its limit, for each operation`)
  console.log(`| row | callers | ${MEASURES.join(' | ')} |\n|---|---|${MEASURES.map(() => '---|').join('')}`)
  for (const on of ['one server', 'routed'] as const) {
    const limits = LIMITS.filter((limit) => limit.on === on && `${on}, ${limit.form.name}`.includes(part))
    if (limits.length === 0) continue
    const cluster = await startCluster({ replicas: REPLICAS[on] })
    try {
      const admin = await cluster.connect(0)
      for (const text of TABLES) await admin.query(text)
      await admin.end()
      for (let i = 1; i <= REPLICAS[on]; i++) await cluster.caughtUp(i, 0)
      over += await judgedOn(cluster, limits)
    } finally {
      await cluster.destroy()
    }
  }
  console.log(over === 0 ? 'all within their limits' : `${over} over their limits`)
  process.exitCode = over === 0 ? 0 : 1
}

if (globalThis.gc === undefined) {
  // The compiler works on the main thread: how far it has come does not depend on what else the machine does.
  const flags = [
    '--expose-gc',
    '--no-concurrent-recompilation',
    ...['min', 'max'].map((end) => `--${end}-semi-space-size=${YOUNG}`),
  ]
  const args = [...flags, fileURLToPath(import.meta.url), process.argv[2] ?? '']
  process.exitCode = spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1
} else await main(process.argv[2] ?? '')
