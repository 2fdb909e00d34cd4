// What a cold process waits for: the first connect(), and how soon reads go to a replica. Each run is a process of its own, pg.Pool and
// pgherd.Pool in turn. Prints milliseconds and their ratio to pg.Pool's.
//   node dist/bench/cold.js [runs]        COLD_BUILD=/path/to/another/dist/src/index.js also measures that build

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'
import type { Cluster } from '../test/support/cluster.js'

interface Run {
  readonly library: string
  readonly options: pg.PoolConfig
  /** What is done first. */
  readonly what: 'connect' | 'reads'
}

interface Told {
  readonly loadMillis: number
  /** From `new Pool` to the first client, or the first row. */
  readonly firstMillis: number
  /** From `new Pool` until a read may go to a replica; null: never. */
  readonly replicaMillis: number | null
  /** Of the first six reads, one after the other. */
  readonly gained: number
}

const PATIENCE_MILLIS = 3000
const READS = 6
const from = 'select pg_is_in_recovery() as gained'

async function child({ library, options, what }: Run): Promise<Told> {
  const startedAt = performance.now()
  const { default: loaded, Pool = loaded?.Pool } = await import(library)
  const loadMillis = performance.now() - startedAt
  const createdAt = performance.now()
  const pool = new Pool({ ...options, primaryFunctions: [], replicaSafeFunctions: ['pg_is_in_recovery'] })
  let gained = 0
  let firstMillis = 0
  if (what === 'connect') {
    const client = await pool.connect()
    firstMillis = performance.now() - createdAt
    client.release()
  } else {
    for (let n = 0; n < READS; n++) {
      const { rows } = await pool.query(from)
      if (n === 0) firstMillis = performance.now() - createdAt
      if (rows[0].gained) gained++
    }
  }
  let replicaMillis: number | null = null
  while (what === 'reads' && Array.isArray(options.host) && performance.now() - createdAt < PATIENCE_MILLIS) {
    const { intent, node } = pool.explain('select 1')
    if (intent === 'read' && node !== null && node !== pool.topology().primary) {
      replicaMillis = performance.now() - createdAt
      break
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await pool.end()
  return { loadMillis, firstMillis, replicaMillis, gained }
}

async function measure(run: Run): Promise<Told> {
  const forked = fork(fileURLToPath(import.meta.url), ['child'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  forked.send(run)
  const [told] = (await once(forked, 'message')) as [Told]
  await once(forked, 'exit')
  return told
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

async function compare(cluster: Cluster, runs: number): Promise<void> {
  const one = cluster.config(0)
  const nodes = cluster.nodes.map(({ index }) => cluster.config(index))
  const all = { ...one, host: nodes.map(({ host }) => host), port: nodes.map(({ port }) => port) }
  const builds = ['pgherd', ...(process.env.COLD_BUILD === undefined ? [] : [process.env.COLD_BUILD])]
  const kinds: readonly { readonly name: string; readonly library: string; readonly options: pg.PoolConfig }[] = [
    { name: 'pg.Pool', library: 'pg', options: one as pg.PoolConfig },
    ...builds.flatMap((library) => [
      { name: `${library}, one host`, library, options: one },
      { name: `${library}, ${nodes.length} hosts`, library, options: all as object },
    ]),
  ]
  const found = new Map<string, { connects: Told[]; reads: Told[] }>()
  for (const { name } of kinds) found.set(name, { connects: [], reads: [] })
  for (let n = 0; n < runs; n++) {
    for (const { name, library, options } of kinds) {
      found.get(name)?.connects.push(await measure({ library, options, what: 'connect' }))
      if (Array.isArray(options.host)) found.get(name)?.reads.push(await measure({ library, options, what: 'reads' }))
    }
  }
  const plain = median((found.get('pg.Pool')?.connects ?? []).map(({ firstMillis }) => firstMillis))
  for (const [name, { connects, reads }] of found) {
    const of = (told: readonly Told[], field: 'loadMillis' | 'firstMillis' | 'replicaMillis') =>
      median(told.map((each) => each[field] ?? Number.POSITIVE_INFINITY))
    const connect = of(connects, 'firstMillis')
    const ratio = `${(connect / plain).toFixed(2)} of pg's`
    console.log(
      `${name}\n  load ${of(connects, 'loadMillis').toFixed(1)} ms, connect() ${connect.toFixed(1)} ms, ${ratio}`
    )
    if (reads.length === 0) continue
    const replica = of(reads, 'replicaMillis').toFixed(1)
    const gained = median(reads.map((each) => each.gained))
    console.log(`  a read may go to a replica after ${replica} ms; ${gained} of the first ${READS} reads did`)
  }
}

if (process.argv[2] === 'child') {
  process.once(
    'message',
    (run) => void child(run as Run).then((told) => process.send?.(told, () => process.disconnect()))
  )
} else {
  const { startCluster } = await import('../test/support/cluster.js')
  const cluster = await startCluster({ replicas: 1 })
  try {
    console.log(`Node ${process.version}, PostgreSQL ${cluster.major}`)
    await compare(cluster, Number(process.argv[2] ?? 20))
  } finally {
    await cluster.destroy()
  }
}
