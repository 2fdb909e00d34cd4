// What the application pays: the same operations through pg.Pool and pgherd.Pool, in turn, in one process. Prints a table of this
// process's CPU time per operation and of the throughput, as ratios, then what classify() costs per statement.
//   npm run bench            npm run bench -- --help has the options

import { availableParallelism, cpus, loadavg } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import pgManifest from 'pg/package.json' with { type: 'json' }
import { type Cluster, startCluster } from '../test/support/cluster.js'
import { missingPgBouncer } from '../test/support/pgbouncer.js'
import { missingPgpool } from '../test/support/pgpool.js'
import { CONNECTIONS, type Contender, herd, type Opener, pgBouncer, pgpool, withBuild } from './contenders.js'
import { isSlow, TABLES, warm } from './forms.js'
import { HEAD, HEAD_P99, lineOf, lineOfP99, type Pair, type Percentiles } from './print.js'
import { type Cut, type Entrant, type Figures, percentile, round } from './rounds.js'
import { nameOf, REPLICAS, type Row, type Servers, TABLE } from './rows.js'

const HELP = `npm run bench -- [options]
  --only TEXT       rows whose name has TEXT; may be given several times
  --callers 1,10    only with so many callers
  --pairs 5         rounds, of which the table has the median and the range
  --build PATH      measure the build whose index.js is at PATH beside this one
  --pgbouncer       routed reads through PgBouncer, too
  --pgpool          routed reads through pgpool-II, too
  --list            print the names of the rows`

const { values: chosen } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    callers: { type: 'string' },
    pairs: { type: 'string', default: '5' },
    build: { type: 'string' },
    pgbouncer: { type: 'boolean', default: false },
    pgpool: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

/** A slice is much longer than a young collection, and than the answers that are awaited at its end. */
const CUT: Cut = { slices: 4, sliceMillis: 200 }
/** Before a row, with some callers: on a busy machine the compiler takes that long to come round to the code. */
const CUT_COLD: Cut = { slices: 15, sliceMillis: 200 }
const CALLERS_COLD = 16
const CUT_WARM: Cut = { slices: 3, sliceMillis: 200 }
/** With reads of 50 ms, and with thousands of callers, the end of a slice takes longer. */
const CUT_LONG: Cut = { slices: 2, sliceMillis: 1000 }
const MANY = 1000

/** Notes how long each call took, when it is asked to. */
class Stopwatch implements Entrant {
  readonly contender: Contender
  /** After an operation, off its clock. */
  pauseMillis = 0
  readonly #row: Row
  #quick: number[] = []
  #slow: number[] = []

  constructor(contender: Contender, row: Row) {
    this.contender = contender
    this.#row = row
  }

  readonly once = async (n: number): Promise<void> => {
    const { form, p99 } = this.#row
    if (p99 === undefined) await form.run(this.contender.target, n)
    else {
      const startedAt = performance.now()
      await form.run(this.contender.target, n)
      const times = isSlow(n) ? this.#slow : this.#quick
      times.push(performance.now() - startedAt)
    }
    if (this.pauseMillis > 0) await pause(this.pauseMillis)
  }

  elsewhereMicros(): number {
    return this.contender.elsewhereMicros?.() ?? 0
  }

  /** Of the calls since the last time. */
  percentiles(): Percentiles {
    const [quick, slow] = [this.#quick, this.#slow]
    this.#quick = []
    this.#slow = []
    return { quickMillis: percentile(quick, 0.99), allMillis: percentile([...quick, ...slow], 0.99) }
  }
}

async function measure(row: Row, entrants: readonly Stopwatch[], callers: number, pairs: number): Promise<void> {
  const contenders = entrants.map(({ contender }) => contender)
  const cut = row.p99 !== undefined || callers >= MANY ? CUT_LONG : CUT
  if (row.perSecond !== undefined) for (const each of entrants) each.pauseMillis = (callers / row.perSecond) * 1000
  await round(entrants, callers, CUT_WARM)
  for (const each of entrants) each.percentiles()
  const before = contenders.map(({ decided }) => decided?.())
  const measured: Pair[] = []
  for (let i = 0; i < pairs; i++) {
    const figures = await round(entrants, callers, cut)
    measured.push(entrants.map((each, k) => ({ ...(figures[k] as Figures), ...each.percentiles() })))
  }
  contenders.forEach((contender, index) => {
    if (index === 0) return
    const [earlier, later] = [before[index], contender.decided?.()]
    const share = earlier && later && (later.replicas - earlier.replicas) / (later.all - earlier.all)
    const line = { row, callers, name: contender.name, index, pairs: measured, replicaShare: share ?? null }
    console.log(row.p99 === undefined ? lineOf(line) : lineOfP99(line))
  })
}

async function run(row: Row, cluster: Cluster, extra: readonly Opener[], poolers: readonly Opener[]): Promise<void> {
  for (let i = 1; i <= REPLICAS[row.on]; i++) await cluster.caughtUp(i, 0)
  const contenders: Contender[] = []
  try {
    for (const open of [row.base, ...row.others, ...extra, ...(row.poolers ? poolers : [])]) {
      contenders.push(await open(cluster, row.own))
    }
    for (const { name, target } of contenders) if (name !== 'postgres.js') await warm(target, CONNECTIONS)
    const entrants = contenders.map((contender) => new Stopwatch(contender, row))
    await round(entrants, CALLERS_COLD, CUT_COLD)
    const only = chosen.callers?.split(',').map(Number)
    for (const callers of row.callers) {
      if (only === undefined || only.includes(callers)) await measure(row, entrants, callers, Number(chosen.pairs))
    }
  } finally {
    for (const contender of contenders) await contender.close()
  }
}

async function clusterFor(servers: Servers): Promise<Cluster> {
  const cluster = await startCluster({ replicas: REPLICAS[servers] })
  const admin = await cluster.connect(0)
  for (const text of TABLES) await admin.query(text)
  const { rows } = await admin.query<{ version: string }>("select current_setting('server_version') as version")
  await admin.end()
  console.log(`\n${servers}: PostgreSQL ${rows[0]?.version}, ${REPLICAS[servers]} replicas`)
  return cluster
}

async function runAll(rows: readonly Row[], extra: readonly Opener[], poolers: readonly Opener[]): Promise<void> {
  for (const servers of ['one server', 'routed'] as const) {
    const own = rows.filter(({ on }) => on === servers)
    if (own.length === 0) continue
    const cluster = await clusterFor(servers)
    try {
      for (const [head, part] of [
        [HEAD, own.filter(({ p99 }) => p99 === undefined)],
        [HEAD_P99, own.filter(({ p99 }) => p99 !== undefined)],
      ] as const) {
        if (part.length > 0) console.log(`\n${head}`)
        for (const row of part) await run(row, cluster, extra, poolers)
      }
    } finally {
      await cluster.destroy()
    }
  }
}

/** Those that were asked for and are installed; says so of the others. */
function poolersChosen(): readonly Opener[] {
  const found: Opener[] = []
  for (const [isChosen, missing, opener] of [
    [chosen.pgbouncer, missingPgBouncer, pgBouncer],
    [chosen.pgpool, missingPgpool, pgpool],
  ] as const) {
    const reason = isChosen ? missing() : null
    if (reason !== null) console.log(`left out: ${reason}`)
    else if (isChosen) found.push(opener)
  }
  return found
}

const load = () => loadavg().map((each) => each.toFixed(2))

async function main(): Promise<void> {
  const rows = TABLE.filter((row) => chosen.only.length === 0 || chosen.only.some((part) => nameOf(row).includes(part)))
  if (chosen.help) return console.log(HELP)
  if (chosen.list) return console.log(TABLE.map(nameOf).join('\n'))
  if (rows.length === 0) {
    console.error(`no row is named so; the names are\n${TABLE.map(nameOf).join('\n')}`)
    process.exitCode = 2
    return
  }
  console.log(`Node ${process.version}, pg ${pgManifest.version}, ${chosen.pairs} pairs`)
  console.log(`${availableParallelism()} × ${cpus()[0]?.model.trim()}, load ${load().join(' ')} before`)
  const poolers = poolersChosen()
  if (chosen.build === undefined) await runAll(rows, [], poolers)
  else await withBuild(chosen.build, (Build) => runAll(rows, [herd('the other build', Build)], poolers))
  console.log(`\nload ${load().join(' ')} after`)
  if (chosen.only.length > 0) return
  console.log('\nclassify')
  process.argv.length = 2
  await import('./classify.js')
}

await main()
