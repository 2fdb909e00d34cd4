// From a promotion to the first acknowledged write, for pgherd and for other ways to survive a failover in Node. One contender
// per failover, in turn, on one cluster of a primary and two replicas. Between two failovers the old primary is copied anew from
// the new one, or only restarted as its replica where it was stopped: half the time that a new cluster takes.
//   npm run bench:failover            or: node dist/bench/failover.js [failovers per contender] [kill,switchover] [contender,...]

import { cpus, loadavg } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import { type Cluster, startCluster } from '../test/support/cluster.js'
import { CONTENDERS, Load, monotonic, type Place, type Slip, type Tally } from './failover-load.js'
import { MovedAddress } from './moved.js'

const FAILOVERS = Number(process.argv[2] ?? 50)
const KINDS = (process.argv[3] ?? 'kill,switchover').split(',')
const NAMES = Object.keys(CONTENDERS).filter((name) =>
  (process.argv[4] ?? '').split(',').some((own) => name.startsWith(own))
)
const WARM_ROWS = 200
/** After the first acknowledged write: late errors and doubled rows show. */
const AFTERMATH_ROWS = 100
const PATIENCE_MILLIS = 30_000
/** Begins with the timeline, so each row tells which primary took it. */
const SEGMENT = 'pg_walfile_name(pg_current_wal_lsn())'

interface Round {
  /** The new primary's index. */
  readonly heir: number
  /** From the moment when the server says that it is promoted. Infinity: none within PATIENCE_MILLIS. */
  readonly firstWrite: number
  /** From the same moment until the contender says that it knows; null: it does not say. */
  readonly noticed: number | null
  /** From the fault. Zero: no error. */
  readonly lastError: number
  /** From the fault to the promotion: what no client can change. */
  readonly promotion: number
  readonly errors: readonly Slip[]
  readonly lost: number
  readonly doubled: number
}

/** Sessions that were opened before anything fails. */
interface Replica {
  readonly index: number
  readonly asks: Client
  readonly orders: Client
}

async function replicaOf(cluster: Cluster, index: number): Promise<Replica> {
  return { index, asks: await cluster.connect(index, 'postgres'), orders: await cluster.connect(index, 'postgres') }
}

async function received({ asks }: Replica): Promise<bigint> {
  const { rows } = await asks.query<{ bytes: string }>("select pg_last_wal_receive_lsn() - '0/0' as bytes")
  return BigInt(rows[0]?.bytes ?? 0)
}

/** A commit waits for any one replica, so that nothing acknowledged dies. A promoted one has not been told that, and waits for nobody. */
async function acknowledgeOnTwo(cluster: Cluster, primary: number): Promise<void> {
  const admin = await cluster.connect(primary, 'postgres')
  await admin.query("alter system set synchronous_standby_names = 'ANY 1 (*)'")
  await admin.end()
  await cluster.reload(primary)
}

async function prepared(cluster: Cluster, kind: string, primary: number): Promise<void> {
  await cluster.streaming(primary, 2)
  const client = await cluster.connect(primary)
  await client.query('drop table if exists ledger')
  await client.query(`create table ledger (id int not null, segment text not null default ${SEGMENT})`)
  await client.query('create index on ledger (id)')
  await client.end()
  for (const index of othersThan(primary)) await cluster.caughtUp(index, primary)
  if (kind === 'kill') await acknowledgeOnTwo(cluster, primary)
}

/** What a failover manager does afterwards. */
async function repaired(cluster: Cluster, kind: string, old: number, primary: number): Promise<void> {
  for (const index of othersThan(primary)) if (index !== old) await cluster.follow(index, primary)
  if (kind === 'kill') await cluster.reclone(old, primary)
  else await cluster.follow(old, primary)
}

const othersThan = (primary: number) => [0, 1, 2].filter((index) => index !== primary)

function placeOf(cluster: Cluster, moved: MovedAddress): Place {
  const { user, password, database } = cluster.config(0, 'monitor')
  const [hosts, ports] = [cluster.nodes.map(({ host }) => host), cluster.nodes.map(({ port }) => port)]
  return { user, password, database, hosts, ports, moved: moved.port }
}

/** Promotes the replica that has received most; resolves with its index and the moment when it says that it is promoted. */
async function promoteHeir(replicas: readonly Replica[]): Promise<{ readonly heir: number; readonly at: number }> {
  const bytes = await Promise.all(replicas.map(received))
  const heir = replicas[(bytes[0] ?? 0n) >= (bytes[1] ?? 0n) ? 0 : 1] as Replica
  await heir.orders.query('select pg_promote(false)')
  for (;;) {
    const { rows } = await heir.asks.query<{ waits: boolean }>('select pg_is_in_recovery() as waits')
    if (rows[0]?.waits === false) return { heir: heir.index, at: monotonic() }
    await pause(1)
  }
}

async function failOver(cluster: Cluster, kind: string, name: string, primary: number): Promise<Round> {
  const moved = await MovedAddress.at(cluster.node(primary))
  const replicas = await Promise.all(othersThan(primary).map((index) => replicaOf(cluster, index)))
  const load = new Load(name, placeOf(cluster, moved))
  try {
    if (!(await load.progress(WARM_ROWS, PATIENCE_MILLIS))) throw new Error(`${name} does not get going`)
    const faultAt = monotonic()
    if (kind === 'kill') await cluster.kill(primary)
    else await cluster.stop(primary, 'fast')
    const { heir, at } = await promoteHeir(replicas)
    moved.pointAt(cluster.node(heir))
    await load.progress(AFTERMATH_ROWS, PATIENCE_MILLIS)
    const tally = await load.stop()
    const errors = tally.errors.filter((error) => error.at >= faultAt)
    const lastError = Math.max(0, ...errors.map((error) => error.at - faultAt))
    const noticed = tally.noticedAt === null ? null : tally.noticedAt - at
    const { taken, lost, doubled } = await accountOf(cluster, heir, tally)
    const first = tally.acknowledged.find(({ id }) => taken.has(id))?.at ?? Infinity
    return { heir, firstWrite: first - at, noticed, lastError, promotion: at - faultAt, errors, lost, doubled }
  } finally {
    await moved.close()
    for (const { asks, orders } of replicas) await Promise.all([asks.end(), orders.end()])
  }
}

interface Row {
  readonly id: number
  readonly n: number
  /** The new primary has taken it. */
  readonly young: boolean
}

/** Compares what was told with what the new primary holds. `taken`: the rows that it took itself. */
async function accountOf(cluster: Cluster, heir: number, { acknowledged }: Tally) {
  const client = await cluster.connect(heir)
  const young = `max(left(segment, 8)) = left(${SEGMENT}, 8) as young`
  const { rows } = await client.query<Row>(`select id, count(*)::int as n, ${young} from ledger group by id`)
  await client.end()
  const found = new Set(rows.map(({ id }) => id))
  const lost = acknowledged.filter(({ id }) => !found.has(id)).length
  const taken = new Set(rows.filter((row) => row.young).map(({ id }) => id))
  return { taken, lost, doubled: rows.filter(({ n }) => n > 1).length }
}

function percentile(values: readonly number[], share: number): string {
  const sorted = [...values].sort((a, b) => a - b)
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
  return value === Infinity ? `> ${PATIENCE_MILLIS}` : value.toFixed(0)
}

const spread = (values: readonly number[]) =>
  [0.5, 0.9, 0.99, 1].map((share) => percentile(values, share).padStart(7)).join('')

function print(kind: string, results: ReadonlyMap<string, readonly Round[]>): void {
  const what = kind === 'kill' ? 'kill -9 of the primary' : 'switchover by a fast stop'
  console.log(
    `\n${what}, then a replica is promoted. Milliseconds: p50, p90, p99, max; below them counts over all rounds`
  )
  console.log(`${''.padEnd(29)} rounds   promotion to first write     fault to last error`)
  for (const [name, rounds] of results) {
    if (rounds.length === 0) continue
    const [writes, last] = [rounds.map(({ firstWrite }) => firstWrite), rounds.map(({ lastError }) => lastError)]
    console.log(`${name.padEnd(29)}${String(rounds.length).padStart(7)} ${spread(writes)} ${spread(last)}`)
    const noticed = rounds.flatMap((round) => round.noticed ?? [])
    if (noticed.length > 0) console.log(`    ${'of which until it knew'.padEnd(32)} ${spread(noticed)}`)
    console.log(`    ${countsOf(rounds)}`)
  }
  const promotions = [...results.values()].flat().map(({ promotion }) => promotion)
  console.log(`${'fault to promotion'.padEnd(36)} ${spread(promotions)}     load ${loadavg()[0]?.toFixed(1)}`)
}

function countsOf(rounds: readonly Round[]): string {
  const errors = rounds.flatMap((round) => round.errors)
  const [writes, reads] = [errors.filter(({ writing }) => writing), errors.filter(({ writing }) => !writing)]
  const sum = (of: (round: Round) => number) => rounds.reduce((total, round) => total + of(round), 0)
  const failed = `${writes.length} writes and ${reads.length} reads failed`
  return `${failed}, ${sum(({ lost }) => lost)} lost, ${sum(({ doubled }) => doubled)} doubled; ${codesOf(errors)}`
}

function codesOf(errors: readonly Slip[]): string {
  const counts = new Map<string, number>()
  for (const { code } of errors) counts.set(code, (counts.get(code) ?? 0) + 1)
  const told = [...counts].sort((a, b) => b[1] - a[1]).map(([code, n]) => `${n} x ${code}`)
  return told.join(', ') || 'no error'
}

const [cpu] = cpus()
console.log(
  `Node ${process.version}, ${cpus().length} x ${cpu?.model.trim()}, load ${loadavg()[0]?.toFixed(1)} before it began`
)
for (const kind of KINDS) {
  const results = new Map<string, Round[]>(NAMES.map((name) => [name, []]))
  const cluster = await startCluster({ replicas: 2 })
  try {
    let primary = 0
    for (let i = 0; i < FAILOVERS; i++) {
      for (const [name, rounds] of results) {
        await prepared(cluster, kind, primary)
        const round = await failOver(cluster, kind, name, primary)
        rounds.push(round)
        await repaired(cluster, kind, primary, round.heir)
        primary = round.heir
      }
      if (process.stderr.isTTY) process.stderr.write(`\r${kind} ${i + 1} of ${FAILOVERS} `)
    }
  } finally {
    await cluster.destroy()
  }
  print(kind, results)
}
