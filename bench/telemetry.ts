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
import { type Figures, median, round, slice } from './rounds.js'

const ROUNDS = Number(process.argv[2] ?? 10)
const WARM_UP_MILLIS = 1000
const CONCURRENCIES = [1, 16]
const ROWS = 1000

/** Every call out of the pool, gone. */
const WITHOUT: readonly Mistake[] = [
  { file: 'router/router.js', right: 'if (!this.telemetry.active)', wrong: 'if (true)' },
  { file: 'router/router.js', right: 'return this.telemetry.active ?', wrong: 'return false ?' },
  { file: 'router/router.js', right: 'this.telemetry.follow(after, before, found);', wrong: '' },
  { file: 'router/router.js', right: 'this.telemetry.heard(event)', wrong: 'undefined' },
  {
    file: 'pool/events.js',
    right: "if (event === 'acquire')\n            telemetry.connection(event, from.address, first);",
    wrong: '',
  },
  { file: 'pool/events.js', right: 'telemetry.connection(event, from.address, second);', wrong: '' },
  { file: 'pool/checkout.js', right: 'telemetry.measures ? clock.mono() : null', wrong: 'null' },
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

/** `pools`: without the calls, and as it is. */
async function compare(name: string, pools: readonly [Pool, Pool], concurrency: number): Promise<void> {
  let id = 0
  const once = (pool: Pool) => ({
    once: () => pool.query('select id, name from item where id = $1', [1 + (id++ % ROWS)]),
  })
  const pair = [once(pools[0]), once(pools[1])] as const
  for (const each of pair) await slice(each, concurrency, WARM_UP_MILLIS)
  const rounds: (readonly [Figures, Figures])[] = []
  for (let i = 0; i < ROUNDS; i++) rounds.push(await round(pair, concurrency))
  const of = (value: (without: Figures, asIs: Figures) => number) => rounds.map((each) => value(...each))
  const ratios = of((without, asIs) => asIs.perSecond / without.perSecond)
  const figures = [
    String(Math.round(median(of((without) => without.perSecond)))).padStart(7),
    String(Math.round(median(of((_, asIs) => asIs.perSecond)))).padStart(8),
    median(ratios).toFixed(3).padStart(8),
    `${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`.padStart(11),
    median(of((without, asIs) => asIs.cpuMicros - without.cpuMicros))
      .toFixed(1)
      .padStart(8),
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
