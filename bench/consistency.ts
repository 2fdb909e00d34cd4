// What reads that must see the pool's own writes cost, and how many of them replicas serve: under 0 to 1,000 writes a second, in
// each of the three forms, near and far from the servers. 'primary': the same reads on the primary alone, for comparison.
//   npm run bench:consistency            or: node dist/bench/consistency.js [seconds per cell] [delay,...] [writes,...]

import { cpus } from 'node:os'
import { Pool, type PoolConfig } from 'pgherd'
import { type Cluster, startCluster } from '../test/support/cluster.js'
import { farAway } from './far.js'

const numbers = (text: string | undefined, otherwise: readonly number[]) => text?.split(',').map(Number) ?? otherwise
const SECONDS = Number(process.argv[2] ?? 2)
const DELAYS = numbers(process.argv[3], [0, 1, 5])
const RATES = numbers(process.argv[4], [0, 10, 100, 1000])
const READERS = 16
const ROWS = 1000

const POLICIES: Readonly<Record<string, PoolConfig>> = {
  primary: { targetSessionAttrs: 'primary' },
  pool: { readYourWrites: 'pool' },
  session: { readYourWrites: 'session' },
  off: { readYourWrites: 'off' },
}

interface Cell {
  readonly reads: number
  readonly share: number
  readonly p50: number
  readonly p99: number
  /** Questions to the primary, and to replicas, per read. */
  readonly onPrimary: number
  readonly onReplicas: number
  readonly missed: number
}

/** Open loop: writes are due at a steady rate, however long they take. Tells the newest value acknowledged. */
function writing(pool: Pool, perSecond: number): { acknowledged(): number; stop(): Promise<void> } {
  let [value, newest, stopped] = [0, 0, false]
  const pending = new Set<Promise<void>>()
  const write = async (mine: number) => {
    await pool.query('update counter set n = greatest(n, $1) where id = 1', [mine])
    newest = Math.max(newest, mine)
  }
  const loop = async () => {
    const startedAt = performance.now()
    while (!stopped && perSecond > 0) {
      const due = Math.floor(((performance.now() - startedAt) / 1000) * perSecond)
      while (value < due) {
        const one: Promise<void> = write(++value).finally(() => pending.delete(one))
        pending.add(one)
      }
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await Promise.all(pending)
  }
  const ended = loop()
  return {
    acknowledged: () => newest,
    stop() {
      stopped = true
      return ended
    },
  }
}

async function measured(pool: Pool, policy: string, perSecond: number): Promise<Cell> {
  await pool.query('update counter set n = 0 where id = 1')
  const writer = writing(pool, perSecond)
  const millis: number[] = []
  let missed = 0
  const read = async () =>
    (await pool.query<{ n: number }>('select n from counter where id = $1', [1])).rows[0]?.n ?? -1
  const once = policy === 'session' ? () => pool.session(read) : read
  const until = performance.now() + SECONDS * 1000
  const before = { ...pool.freshness(), ...servedBy(pool) }
  const reader = async () => {
    for (let now = performance.now(); now < until; now = performance.now()) {
      const known = writer.acknowledged()
      if ((await once()) < known) missed++
      millis.push(performance.now() - now)
    }
  }
  await Promise.all(Array.from({ length: READERS }, reader))
  const after = { ...pool.freshness(), ...servedBy(pool) }
  await writer.stop()
  millis.sort((a, b) => a - b)
  const per = (name: keyof typeof after) => (after[name] - before[name]) / millis.length
  return {
    reads: millis.length / SECONDS,
    share: per('replicas') - per('guardsFailed'),
    p50: millis[Math.floor(millis.length / 2)] ?? Number.NaN,
    p99: millis[Math.floor(millis.length * 0.99)] ?? Number.NaN,
    onPrimary: per('positionsAsked') + per('positionsCaptured'),
    onReplicas: per('guardsPassed') + per('guardsFailed'),
    missed,
  }
}

function servedBy(pool: Pool): { readonly replicas: number } {
  let replicas = 0
  for (const { role, count } of pool.decisions()) if (role === 'replica') replicas += count
  return { replicas }
}

async function at(cluster: Cluster, ports: readonly number[]): Promise<void> {
  const { user, password, database } = cluster.config(0)
  const address = { user, password, database, host: ports.map(() => '127.0.0.1'), port: [...ports] }
  const probe = new Pool({ ...address, targetSessionAttrs: 'primary', max: 1 })
  const trips: number[] = []
  for (let i = 0; i < 50; i++) {
    const from = performance.now()
    await probe.query('select 1')
    trips.push(performance.now() - from)
  }
  await probe.end()
  console.log(`\nround trip ${trips.sort((a, b) => a - b)[25]?.toFixed(2)} ms`)
  console.log(
    'writes/s  policy    replicas   reads/s  of primary   p50 ms   p99 ms  questions per read: primary, replicas  missed'
  )
  for (const perSecond of RATES) {
    let base = Number.NaN
    for (const [policy, options] of Object.entries(POLICIES)) {
      const pool = new Pool({ ...address, ...options })
      await pool.ready({ replicas: 2 })
      await Promise.all(Array.from({ length: READERS }, () => pool.query('select n from counter where id = 2')))
      const cell = await measured(pool, policy, perSecond)
      await pool.end()
      if (policy === 'primary') base = cell.reads
      print(perSecond, policy, cell, base)
    }
  }
}

function print(perSecond: number, policy: string, cell: Cell, base: number): void {
  const share = `${(100 * cell.share).toFixed(1)} %`
  console.log(
    String(perSecond).padStart(8),
    ` ${policy.padEnd(8)}`,
    share.padStart(9),
    cell.reads.toFixed(0).padStart(9),
    (cell.reads / base).toFixed(2).padStart(11),
    cell.p50.toFixed(2).padStart(8),
    cell.p99.toFixed(2).padStart(8),
    cell.onPrimary.toFixed(3).padStart(28),
    cell.onReplicas.toFixed(3).padStart(9),
    String(cell.missed).padStart(7)
  )
}

const cluster = await startCluster({ replicas: 2 })
try {
  const client = await cluster.connect(0)
  await client.query('create table counter (id int primary key, n int not null)')
  await client.query(`insert into counter select g, 0 from generate_series(1, ${ROWS}) g`)
  await client.end()
  for (const index of [1, 2]) await cluster.caughtUp(index, 0)
  console.log(
    `${cpus().length} x ${cpus()[0]?.model}, Node ${process.version}, PostgreSQL ${cluster.major}, ${READERS} readers`
  )
  for (const delay of DELAYS) {
    const far = delay === 0 ? null : await farAway(cluster, delay)
    await at(cluster, far?.ports ?? cluster.nodes.map(({ port }) => port))
    await far?.close()
  }
} finally {
  await cluster.destroy()
}
