// Which replica gets the read: pgherd's rule and others, on three replicas of unequal speed. Each rule has a pool, or several pools
// that stand for several processes; they take turns in slices, so that other work on the machine disturbs all alike. Relays make the
// replicas slow, and `max` says how many statements one serves at a time.
//   npm run bench:balance             or: node dist/bench/balance.js [seconds per rule] [part of a title]

import { cpus, loadavg } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { type BalancePolicy, leastInFlight } from '../src/core/cluster/balance.js'
import { Pool } from '../src/index.js'
import { type Cluster, startCluster } from '../test/support/cluster.js'
import { type Far, farAway } from './far.js'
import { policiesFor } from './policies.js'

const SECONDS = Number(process.argv[2] ?? 5)
const ONLY = process.argv[3] ?? ''
const SLICE_MILLIS = 500

interface Scene {
  readonly title: string
  /** What a round trip to each replica takes longer. */
  readonly millis: readonly [number, number, number]
  /** Connections to each replica, of all pools. */
  readonly connections: number
  readonly pools: number
  /** Of each pool. */
  readonly callers: number
  readonly weights?: readonly number[]
  /** The last replica says nothing for so long in each slice. */
  readonly stallMillis?: number
  /** What a caller does between two reads takes so long. */
  readonly pauseMillis?: number
  /** Not the other rules take part, but pgherd's with each of these `hedgeMillis`. */
  readonly hedges?: readonly number[]
}

const UNEVEN = [5, 5, 25] as const
const SCENES: readonly Scene[] = [
  { title: 'as fast as each other, 16 callers', millis: [5, 5, 5], connections: 8, pools: 1, callers: 16 },
  { title: 'one five times as slow, 4 callers', millis: UNEVEN, connections: 8, pools: 1, callers: 4 },
  { title: 'the same, 16 callers', millis: UNEVEN, connections: 8, pools: 1, callers: 16 },
  { title: 'the same, 32 callers: more than connections', millis: UNEVEN, connections: 8, pools: 1, callers: 32 },
  { title: 'the same, 8 processes with 2 callers each', millis: UNEVEN, connections: 16, pools: 8, callers: 2 },
  {
    title: 'the same, with weights 5, 5 and 1',
    ...{ millis: UNEVEN, connections: 16, pools: 8, callers: 2, weights: [1, 5, 5, 1] },
  },
  { title: 'one that stalls, 16 callers', millis: [5, 5, 5], connections: 8, pools: 1, callers: 16, stallMillis: 100 },
  {
    title: 'one that stalls for longer, 16 callers that pause for 20 ms',
    ...{
      millis: [5, 5, 5],
      connections: 8,
      pools: 1,
      callers: 16,
      pauseMillis: 20,
      stallMillis: 300,
      hedges: [20, 40],
    },
  },
]

interface Contender {
  readonly name: string
  readonly pools: readonly Pool[]
  readonly latencies: number[]
  millis: number
}

function contender(
  cluster: Cluster,
  far: Far,
  name: string,
  scene: Scene,
  policy: () => BalancePolicy,
  hedgeMillis = Infinity
): Contender {
  const { user, password, database } = cluster.config(0)
  const pools = Array.from({ length: scene.pools }, () => {
    const places = { host: far.ports.map(() => '127.0.0.1'), port: far.ports }
    const weights = scene.weights === undefined ? {} : { weights: scene.weights }
    const max = scene.connections / scene.pools
    // Many pools look at the servers here, and these reads have no bound.
    const bounds = { maxLagMillis: Infinity, monitorIntervalMillis: 2000 }
    return new Pool({ user, password, database, ...places, ...weights, ...bounds, max, hedgeMillis, balance: policy() })
  })
  return { name, pools, latencies: [], millis: 0 }
}

const READ = { name: 'read', text: 'select value from figures where id = $1' }

async function slice({ pools, latencies }: Contender, { callers, pauseMillis }: Scene, until: number): Promise<void> {
  const caller = async (pool: Pool, id: number) => {
    while (performance.now() < until) {
      const from = performance.now()
      await pool.query({ ...READ, values: [id] })
      latencies.push(performance.now() - from)
      if (pauseMillis !== undefined) await pause(pauseMillis)
    }
  }
  await Promise.all(pools.flatMap((pool) => Array.from({ length: callers }, (_, i) => caller(pool, i))))
}

async function measure(cluster: Cluster, scene: Scene): Promise<void> {
  const far = await farAway(cluster, [0, ...scene.millis])
  const distances = new Map(scene.millis.map((millis, i) => [far.ports[i + 1] ?? 0, millis]))
  const policies = Object.entries(policiesFor(distances)).slice(0, scene.hedges === undefined ? undefined : 1)
  const contenders = policies.map(([name, policy]) => contender(cluster, far, name, scene, policy))
  for (const millis of scene.hedges ?? []) {
    contenders.push(contender(cluster, far, `hedgeMillis: ${millis}`, scene, () => leastInFlight, millis))
  }
  try {
    for (const each of contenders) {
      await Promise.all(each.pools.map((pool) => pool.ready({ replicas: 3 })))
      await slice(each, scene, performance.now() + SLICE_MILLIS)
      each.latencies.length = 0
    }
    for (let turn = 0; turn < (SECONDS * 1000) / SLICE_MILLIS; turn++) {
      for (const each of turn % 2 === 0 ? contenders : contenders.toReversed()) {
        const from = performance.now()
        const { stallMillis } = scene
        if (stallMillis !== undefined) setTimeout(() => far.stall(3, stallMillis), SLICE_MILLIS / 4)
        await slice(each, scene, from + SLICE_MILLIS)
        each.millis += performance.now() - from
      }
    }
    print(scene, contenders)
  } finally {
    await Promise.all(contenders.flatMap(({ pools }) => pools.map((pool) => pool.end())))
    await far.close()
  }
}

function print({ title }: Scene, contenders: readonly Contender[]): void {
  console.log(`\n${title}\n| | reads/s | p50 | p99 | p99.9 |\n|---|---|---|---|---|`)
  for (const { name, latencies, millis } of contenders) {
    const sorted = latencies.sort((a, b) => a - b)
    const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN).toFixed(1)
    const perSecond = Math.round((sorted.length / millis) * 1000)
    console.log(`| ${name} | ${perSecond} | ${at(0.5)} ms | ${at(0.99)} ms | ${at(0.999)} ms |`)
  }
}

const cluster = await startCluster({ replicas: 3, settings: { max_connections: 200 } })
try {
  await cluster.streaming(0, 3)
  const client = await cluster.connect(0)
  await client.query('create table figures as select id, id as value from generate_series(0, 99) as id')
  await client.query('alter table figures add primary key (id)')
  await client.end()
  for (const { index } of cluster.nodes.slice(1)) await cluster.caughtUp(index, 0)
  console.log(
    `Node ${process.version}, PostgreSQL ${cluster.major}, ${cpus().length} processors, load ${loadavg()[0]?.toFixed(1)}`
  )
  for (const scene of SCENES.filter(({ title }) => title.includes(ONLY))) await measure(cluster, scene)
  console.log(`\nload ${loadavg()[0]?.toFixed(1)}`)
} finally {
  await cluster.destroy()
}
