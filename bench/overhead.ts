// What pgherd costs where it has nothing to do: the same statements through pg.Pool and pgherd.Pool on one server, in
// turn, in one process. Prints both throughputs of each round and their ratio, then what classify() costs per statement.
//   npm run bench            or: node dist/bench/overhead.js [rounds]

import { cpus } from 'node:os'
import pg from 'pg'
import { Pool } from 'pgherd'
import { startCluster } from '../test/support/cluster.js'

const ROUNDS = Number(process.argv[2] ?? 10)
/** Of each pool in each round, cut into slices that alternate, so that a busy machine disturbs both alike. */
const ROUND_MILLIS = 1000
const SLICE_MILLIS = 50
const WARM_UP_MILLIS = 1500
const CONCURRENCIES = [1, 16]
const ROWS = 1000

interface Statement {
  readonly name: string
  run(pool: pg.Pool): Promise<unknown>
}

const STATEMENTS: readonly Statement[] = [
  { name: 'select 1', run: (pool) => pool.query('select 1') },
  {
    name: 'select by primary key',
    run: (pool) => pool.query('select id, name from item where id = $1', [1 + Math.floor(Math.random() * ROWS)]),
  },
]

interface Tally {
  statements: number
  millis: number
  /** Of this process, in microseconds: what other programs on the machine hardly disturb. */
  cpuMicros: number
}

/** Per round, of one pool. */
interface Figures {
  readonly perSecond: number
  readonly cpuMicros: number
}

/** `concurrency` callers, each sending its next statement after the answer to the last. */
async function slice(pool: pg.Pool, statement: Statement, concurrency: number, millis: number): Promise<Tally> {
  const startedAt = performance.now()
  const cpu = process.cpuUsage()
  let statements = 0
  const caller = async () => {
    while (performance.now() - startedAt < millis) {
      await statement.run(pool)
      statements++
    }
  }
  await Promise.all(Array.from({ length: concurrency }, caller))
  const { user, system } = process.cpuUsage(cpu)
  return { statements, millis: performance.now() - startedAt, cpuMicros: user + system }
}

/** Who begins changes with every slice. */
async function round(pools: readonly pg.Pool[], statement: Statement, concurrency: number): Promise<Figures[]> {
  const tallies = pools.map((): Tally => ({ statements: 0, millis: 0, cpuMicros: 0 }))
  for (let i = 0; i < ROUND_MILLIS / SLICE_MILLIS; i++) {
    for (let j = 0; j < pools.length; j++) {
      const index = (i + j) % pools.length
      const [pool, tally] = [pools[index], tallies[index]]
      if (pool === undefined || tally === undefined) continue
      const { statements, millis, cpuMicros } = await slice(pool, statement, concurrency, SLICE_MILLIS)
      tally.statements += statements
      tally.millis += millis
      tally.cpuMicros += cpuMicros
    }
  }
  return tallies.map(({ statements, millis, cpuMicros }) => {
    return { perSecond: (statements / millis) * 1000, cpuMicros: cpuMicros / statements }
  })
}

async function compare(plain: pg.Pool, herd: pg.Pool, statement: Statement, concurrency: number): Promise<void> {
  console.log(`\n${statement.name}, concurrency ${concurrency}`)
  for (const pool of [plain, herd]) await slice(pool, statement, concurrency, WARM_UP_MILLIS)
  const plains: Figures[] = []
  const herds: Figures[] = []
  const ratios: number[] = []
  for (let i = 0; i < ROUNDS; i++) {
    const [before, after] = await round([plain, herd], statement, concurrency)
    if (before === undefined || after === undefined) continue
    plains.push(before)
    herds.push(after)
    ratios.push(after.perSecond / before.perSecond)
    console.log(`  round ${String(i + 1).padStart(2)}   ${line(before, after, after.perSecond / before.perSecond)}`)
  }
  console.log(`  median     ${line(middle(plains), middle(herds), median(ratios))}`)
}

function line(plain: Figures, herd: Figures, ratio: number): string {
  const told = ({ perSecond, cpuMicros }: Figures) =>
    `${String(Math.round(perSecond)).padStart(6)}/s ${cpuMicros.toFixed(1).padStart(5)} µs CPU`
  return `pg ${told(plain)}   pgherd ${told(herd)}   ratio ${ratio.toFixed(3)}`
}

function middle(figures: readonly Figures[]): Figures {
  const of = (name: keyof Figures) => median(figures.map((each) => each[name]))
  return { perSecond: of('perSecond'), cpuMicros: of('cpuMicros') }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const half = (sorted.length - 1) / 2
  return ((sorted[Math.floor(half)] ?? Number.NaN) + (sorted[Math.ceil(half)] ?? Number.NaN)) / 2
}

const cluster = await startCluster({ replicas: 0 })
const options = { ...cluster.config(0), max: Math.max(...CONCURRENCIES) }
const [plain, herd] = [new pg.Pool(options), new Pool(options)]
try {
  const [cpu] = cpus()
  console.log(`Node ${process.version}, PostgreSQL ${cluster.major}, ${cpus().length} × ${cpu?.model.trim()}`)
  await plain.query('create table item (id int primary key, name text not null)')
  await plain.query(`insert into item select i, 'item ' || i from generate_series(1, ${ROWS}) i`)
  for (const statement of STATEMENTS) {
    for (const concurrency of CONCURRENCIES) await compare(plain, herd, statement, concurrency)
  }
} finally {
  await Promise.all([plain.end(), herd.end()])
  await cluster.destroy()
}
console.log('\nclassify')
await import('./classify.js')
