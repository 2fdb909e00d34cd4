// What the probes of many processes cost a server: the CPU of the backends that answer them (Linux), with pools that have nothing to
// do, that read, and that read what they have just written. From that, by the rule of three, 200 processes.
//   SCALE_BUILD=/path/to/another/dist/src/index.js also measures that build

import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import type { Pool as PgherdPool } from 'pgherd'
import { type Cluster, startCluster } from '../test/support/cluster.js'
import { median } from './rounds.js'

const POOLS = Number(process.env.SCALE_POOLS ?? 40)
const PROCESSES = 200
const SECONDS = 10
const ROUNDS = 3
/** A pool rests when no statement has come for 10 s. */
const UNTIL_REST_MILLIS = 12_000

const LOADS = [
  { name: 'no statement for 10 s', reads: 0, writes: 0, options: {} },
  { name: '1 read/s', reads: 1, writes: 0, options: {} },
  { name: '5 reads/s', reads: 5, writes: 0, options: {} },
  { name: '5 reads/s, 1 write/s', reads: 5, writes: 1, options: {} },
  ...[
    { maxLagMillis: 3000, monitorIntervalMillis: 1000 },
    { maxLagMillis: 10_000, monitorIntervalMillis: 3000 },
  ].map((options) => ({
    name: `5 reads/s, 1 write/s, ${options.monitorIntervalMillis} ms`,
    reads: 5,
    writes: 1,
    options,
  })),
] as const

type Load = (typeof LOADS)[number]

export async function probes(): Promise<void> {
  const cluster = await startCluster({ replicas: 1, settings: { max_connections: 20 + POOLS * 6 } })
  const asked = cluster.nodes.map(({ index }) => new pg.Client(cluster.config(index, 'postgres')))
  try {
    await Promise.all(asked.map((client) => client.connect()))
    await asked[0]?.query('create table scale (id int, n int); grant all on scale to app')
    const builds = ['pgherd', ...(process.env.SCALE_BUILD === undefined ? [] : [process.env.SCALE_BUILD])]
    console.log(`PostgreSQL ${cluster.major}, ${POOLS} pools, medians of ${ROUNDS} times ${SECONDS} s`)
    const table = []
    for (const load of LOADS) for (const build of builds) table.push(await measured(cluster, asked, build, load))
    console.table(table)
  } finally {
    await Promise.all(asked.map((client) => client.end()))
    await cluster.destroy()
  }
}

async function measured(cluster: Cluster, asked: readonly pg.Client[], build: string, load: Load): Promise<object> {
  const { Pool } = (await import(build)) as { readonly Pool: typeof PgherdPool }
  const hosts = cluster.nodes.map(({ index }) => cluster.config(index))
  const options = { ...hosts[0], host: hosts.map(({ host }) => host), port: hosts.map(({ port }) => port) }
  const pools = Array.from({ length: POOLS }, () => new Pool({ ...options, ...load.options, max: 2 }))
  await Promise.all(pools.map((pool) => pool.ready({ replicas: 1 })))
  const stop = new AbortController()
  const callers = pools.flatMap((pool) => [
    every(load.reads, stop.signal, () => pool.query('select n from scale where id = 1')),
    every(load.writes, stop.signal, () => pool.query('insert into scale values (2, 2)')),
  ])
  await pause(load.reads === 0 ? UNTIL_REST_MILLIS : 5000)
  const rounds: number[][] = []
  for (let round = 0; round < ROUNDS; round++) {
    const before = await Promise.all(asked.map(cpuOf))
    await pause(SECONDS * 1000)
    const after = await Promise.all(asked.map(cpuOf))
    rounds.push(after.map((cpu, index) => spent(before[index] as Cpus, cpu) / SECONDS / POOLS))
  }
  stop.abort()
  await Promise.all(callers)
  const onReplica = pools.map((pool) => shareOnReplica(pool)).reduce((sum, share) => sum + share, 0) / POOLS
  await Promise.all(pools.map((pool) => pool.end()))
  // Milliseconds of CPU in a second are tenths of a percent of a core.
  const row = (index: number) => {
    const millis = median(rounds.map((each) => each[index] ?? Number.NaN))
    return `${(millis * 1000).toFixed(0)} µs/s, ${PROCESSES}: ${((millis * PROCESSES) / 10).toFixed(1)} %`
  }
  return {
    pools: load.name,
    build: build === 'pgherd' ? 'this' : 'other',
    primary: row(0),
    replica: row(1),
    'reads on the replica': load.reads === 0 ? '' : `${(onReplica * 100).toFixed(0)} %`,
  }
}

function shareOnReplica(pool: PgherdPool): number {
  const reads = pool.decisions().filter(({ reason }) => !reason.includes('write') && !reason.includes('insert'))
  const sum = (all: typeof reads) => all.reduce((total, { count }) => total + count, 0)
  return sum(reads.filter(({ role }) => role === 'replica')) / Math.max(1, sum(reads))
}

/** So often in a second, each a little later or sooner. */
async function every(perSecond: number, signal: AbortSignal, call: () => Promise<unknown>): Promise<void> {
  while (perSecond > 0 && !signal.aborted) {
    await pause(((0.5 + Math.random()) * 1000) / perSecond)
    await call()
  }
}

type Cpus = ReadonlyMap<number, number>

/** Milliseconds of CPU that each backend of a probe has had so far. */
async function cpuOf(client: pg.Client): Promise<Cpus> {
  const { rows } = await client.query(`select pid from pg_stat_activity where application_name = 'pgherd probe'`)
  return new Map(rows.map(({ pid }) => [pid, cpuMillis(pid)]))
}

/** The first field: nanoseconds on a processor. utime and stime of /proc/<pid>/stat count in hundredths of a second. */
function cpuMillis(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6
}

function spent(before: Cpus, after: Cpus): number {
  let sum = 0
  for (const [pid, cpu] of after) sum += cpu - (before.get(pid) ?? 0)
  return sum
}
