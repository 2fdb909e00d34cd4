// What pgherd costs where it has nothing to do: the same statements through pg.Pool and pgherd.Pool on one server, in
// turn, in one process. Prints both throughputs of each round and their ratio, then what classify() costs per statement.
//   npm run bench            or: node dist/bench/overhead.js [rounds]

import { cpus } from 'node:os'
import pg from 'pg'
import { Pool } from 'pgherd'
import { startCluster } from '../test/support/cluster.js'
import { type Figures, median, round, slice } from './rounds.js'

const ROUNDS = Number(process.argv[2] ?? 10)
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

async function compare(plain: pg.Pool, herd: pg.Pool, statement: Statement, concurrency: number): Promise<void> {
  console.log(`\n${statement.name}, concurrency ${concurrency}`)
  const pair = [() => statement.run(plain), () => statement.run(herd)] as const
  for (const once of pair) await slice(once, concurrency, WARM_UP_MILLIS)
  const plains: Figures[] = []
  const herds: Figures[] = []
  const ratios: number[] = []
  for (let i = 0; i < ROUNDS; i++) {
    const [before, after] = await round(pair, concurrency)
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
