// What it costs that pgherd can be looked at: the same statements through pgherd as it is, and through a copy of its build from
// which the calls are taken out, in turn, in one process. First with nobody looking on, then with an OpenTelemetry SDK whose
// processor does nothing, then with metrics, then with a subscriber of the channel.
//   npm run bench:telemetry            or: node dist/bench/telemetry.js [rounds]

import { tracingChannel } from 'node:diagnostics_channel'
import { cpus } from 'node:os'
import { context, metrics, trace } from '@opentelemetry/api'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { NodeTracerProvider, NoopSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { Pool } from 'pgherd'
import { type Mistake, withMistakes } from '../test/chaos/mutant.js'
import { type Cluster, startCluster } from '../test/support/cluster.js'

const ROUNDS = Number(process.argv[2] ?? 10)
const ROUND_MILLIS = 1000
const SLICE_MILLIS = 50
const WARM_UP_MILLIS = 1000
const CONCURRENCIES = [1, 16]
const ROWS = 1000

/** Every call out of the pool, gone. */
const WITHOUT: readonly Mistake[] = [
  { file: 'pool/pool.js', right: 'if (!this.#telemetry.active)', wrong: 'if (true)' },
  { file: 'pool/pool.js', right: 'this.#telemetry.active ?', wrong: 'false ?' },
  { file: 'pool/pool.js', right: 'this.#telemetry.follow(after, before, found);', wrong: '' },
  { file: 'pool/pool.js', right: 'this.#telemetry.heard(event)', wrong: 'undefined' },
  {
    file: 'pool/pool.js',
    right: "if (event === 'acquire')\n                this.#telemetry.connection(event, pool.address, first);",
    wrong: '',
  },
  { file: 'pool/pool.js', right: 'this.#telemetry.connection(event, pool.address, second);', wrong: '' },
  { file: 'pool/node-pool.js', right: 'telemetry.measures ? clock.mono() : null', wrong: 'null' },
]

interface Onlooker {
  readonly name: string
  begin(): () => Promise<void>
}

const ONLOOKERS: readonly Onlooker[] = [
  { name: 'nobody looks on', begin: () => async () => {} },
  {
    name: 'spans, to a processor that does nothing',
    begin() {
      const provider = new NodeTracerProvider({ spanProcessors: [new NoopSpanProcessor()] })
      provider.register()
      return async () => {
        trace.disable()
        context.disable()
        await provider.shutdown()
      }
    },
  },
  {
    name: 'metrics',
    begin() {
      const exporter = new InMemoryMetricExporter(AggregationTemporality.DELTA)
      const provider = new MeterProvider({
        readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1000 })],
      })
      metrics.setGlobalMeterProvider(provider)
      return async () => {
        metrics.disable()
        await provider.shutdown()
      }
    },
  },
  {
    name: 'a subscriber of pgherd:statement',
    begin() {
      const channel = tracingChannel('pgherd:statement')
      const nothing = () => {}
      const listeners = { start: nothing, end: nothing, asyncStart: nothing, asyncEnd: nothing, error: nothing }
      channel.subscribe(listeners)
      return async () => channel.unsubscribe(listeners)
    },
  },
]

interface Tally {
  statements: number
  millis: number
  cpuMicros: number
}

interface Figures {
  readonly perSecond: number
  readonly cpuMicros: number
}

interface Round {
  readonly without: Figures
  readonly asIs: Figures
  readonly ratio: number
  /** Microseconds of CPU per statement. */
  readonly extra: number
}

async function slice(pool: Pool, concurrency: number, millis: number): Promise<Tally> {
  const startedAt = performance.now()
  const cpu = process.cpuUsage()
  let statements = 0
  const caller = async () => {
    while (performance.now() - startedAt < millis) {
      await pool.query('select id, name from item where id = $1', [1 + (statements % ROWS)])
      statements++
    }
  }
  await Promise.all(Array.from({ length: concurrency }, caller))
  const { user, system } = process.cpuUsage(cpu)
  return { statements, millis: performance.now() - startedAt, cpuMicros: user + system }
}

/** Slices alternate, and who begins changes with each pair. */
async function round(pools: readonly [Pool, Pool], concurrency: number): Promise<Round> {
  const tallies = [0, 1].map((): Tally => ({ statements: 0, millis: 0, cpuMicros: 0 }))
  for (let i = 0; i < ROUND_MILLIS / SLICE_MILLIS; i++) {
    for (const index of i % 2 === 0 ? [0, 1] : [1, 0]) {
      const tally = tallies[index] as Tally
      const { statements, millis, cpuMicros } = await slice(pools[index] as Pool, concurrency, SLICE_MILLIS)
      tally.statements += statements
      tally.millis += millis
      tally.cpuMicros += cpuMicros
    }
  }
  const [without, asIs] = tallies.map(({ statements, millis, cpuMicros }) => ({
    perSecond: (statements / millis) * 1000,
    cpuMicros: cpuMicros / statements,
  }))
  if (without === undefined || asIs === undefined) throw new Error('two pools')
  return { without, asIs, ratio: asIs.perSecond / without.perSecond, extra: asIs.cpuMicros - without.cpuMicros }
}

async function compare(name: string, pools: readonly [Pool, Pool], concurrency: number): Promise<void> {
  for (const pool of pools) await slice(pool, concurrency, WARM_UP_MILLIS)
  const rounds: Round[] = []
  for (let i = 0; i < ROUNDS; i++) rounds.push(await round(pools, concurrency))
  const of = (value: (each: Round) => number) => rounds.map(value).sort((a, b) => a - b)
  const middle = (values: readonly number[]) => values[values.length >> 1] ?? Number.NaN
  const ratios = of(({ ratio }) => ratio)
  const figures = [
    String(Math.round(middle(of(({ without }) => without.perSecond)))).padStart(7),
    String(Math.round(middle(of(({ asIs }) => asIs.perSecond)))).padStart(8),
    middle(ratios).toFixed(3).padStart(8),
    `${(ratios[0] ?? 0).toFixed(2)}–${(ratios.at(-1) ?? 0).toFixed(2)}`.padStart(11),
    `${middle(of(({ extra }) => extra)).toFixed(1)}`.padStart(8),
  ]
  console.log(`${name.padEnd(40)} ${String(concurrency).padStart(3)} ${figures.join(' ')}`)
}

async function run(cluster: Cluster, Without: typeof Pool): Promise<void> {
  const hosts = cluster.nodes.map(({ index }) => cluster.config(index))
  const { user, database } = cluster.config(0)
  const options = { user, database, host: hosts.map(({ host }) => host), port: hosts.map(({ port }) => port), max: 16 }
  const pools = [new Without(options), new Pool(options)] as const
  try {
    for (const pool of pools) await pool.ready({ replicas: 1 })
    console.log(`${''.padEnd(40)}       without    as is    ratio       range  µs CPU more`)
    for (const { name, begin } of ONLOOKERS) {
      const end = begin()
      for (const concurrency of CONCURRENCIES) await compare(name, pools, concurrency)
      await end()
    }
  } finally {
    await Promise.all(pools.map((pool) => pool.end()))
  }
}

const cluster = await startCluster({ replicas: 1 })
try {
  const [cpu] = cpus()
  console.log(
    `Node ${process.version}, PostgreSQL ${cluster.major}, ${cpus().length} × ${cpu?.model.trim()}, ${ROUNDS} rounds`
  )
  const admin = await cluster.connect(0)
  await admin.query('create table item (id int primary key, name text not null)')
  await admin.query(`insert into item select i, 'item ' || i from generate_series(1, ${ROWS}) i`)
  await cluster.caughtUp(1, 0)
  await withMistakes(WITHOUT, (Without) => run(cluster, Without))
} finally {
  await cluster.destroy()
}
