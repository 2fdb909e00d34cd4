// npm run demo: a primary and two replicas, one Pool, a small workload. The primary is killed, a replica promoted, the
// old primary comes back as a replica; then the acknowledgements that the writers got are compared with the rows that are there.

import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'pgherd'
import { type Cluster, startCluster } from '../test/support/cluster.js'
import { Meter, TICK_MILLIS } from './demo/meter.js'
import { Screen } from './demo/screen.js'
import { type Account, Workload } from './demo/workload.js'

const NAMES = ['a', 'b', 'c'] as const
const WORKLOAD = { writers: 4, writesPerSecond: 40, readers: 8, readsPerSecond: 320 }

/** How long the demo leaves the cluster without a primary; a failover manager usually needs some seconds. */
const WITHOUT_PRIMARY_MILLIS = 1000

interface Failover {
  /** The promoted node. */
  readonly to: number
  /** When the promotion was ordered, on the monotonic clock, in milliseconds. */
  readonly promotedAt: number
}

async function main(screen: Screen): Promise<boolean> {
  screen.say('starting a primary and two replicas …')
  const onStep = (step: string) => screen.say(`${step} …`, 'dim')
  const cluster = await startCluster({ replicas: NAMES.length - 1, onStep })
  try {
    await acknowledgeOnTwo(cluster)
    const pool = poolOver(cluster)
    try {
      return await story(screen, cluster, pool)
    } finally {
      await pool.end()
    }
  } finally {
    await cluster.destroy()
  }
}

/**
 * A commit is acknowledged once a second node has it, so that no acknowledged row dies with the primary. This is set on the first
 * primary only: the promoted one must not wait for replicas that it does not have yet, as with any failover manager.
 */
async function acknowledgeOnTwo(cluster: Cluster): Promise<void> {
  const admin = await cluster.connect(0, 'postgres')
  await admin.query("alter system set synchronous_standby_names = 'ANY 1 (*)'")
  await admin.end()
  await cluster.reload(0)
}

function poolOver(cluster: Cluster): Pool {
  const { user, password, database } = cluster.config(0, 'monitor')
  const host = cluster.nodes.map((node) => node.host)
  const port = cluster.nodes.map((node) => node.port)
  return new Pool({ host, port, user, password, database, max: 20 })
}

async function story(screen: Screen, cluster: Cluster, pool: Pool): Promise<boolean> {
  const names = new Map(cluster.nodes.map(({ host, port, index }) => [`${host}:${port}`, nameOf(index)]))
  const told = (key: string | null) => names.get(key ?? '') ?? 'none'
  pool.on('failover', ({ from, to, millis }) => {
    screen.say(`pool: failover from ${told(from)} to ${told(to)}, ${Math.round(millis)} ms without a primary`, 'cyan')
  })
  await pool.ready({ replicas: NAMES.length - 1 })
  const workload = await Workload.create(pool)
  const meter = new Meter(pool, names)
  const drawing = setInterval(() => screen.draw(meter.frame()), TICK_MILLIS)
  try {
    const { writers, readers } = WORKLOAD
    screen.say(`PostgreSQL ${cluster.major} is up; a commit is acknowledged once two nodes have it`)
    screen.say(`${writers} writers and ${readers} readers share one Pool; a read looks for the newest acknowledged row`)
    workload.start(WORKLOAD)
    await pause(4000)
    const failover = await failOver(screen, cluster)
    await pause(2500)
    await rejoin(screen, cluster, 0, failover.to)
    await pause(3500)
    await workload.stop()
    clearInterval(drawing)
    screen.clear()
    const served = meter.served()
    const readsBy = [...names].map(([key, name]) => `${served.get(key)?.reads ?? 0} by ${name}`)
    return summary(screen, await workload.account(), gapOf(workload.acknowledgedAt, failover), readsBy)
  } finally {
    clearInterval(drawing)
    // After a failure the demo does not wait for the workers: they end with the pool, and some may wait for a primary.
    void workload.stop()
  }
}

/** Kills node 0 and promotes the replica that has received most, as a failover manager would. */
async function failOver(screen: Screen, cluster: Cluster): Promise<Failover> {
  screen.say(`kill -9 on ${nameOf(0)}, the primary`, 'bold', 'red')
  await cluster.kill(0)
  await pause(WITHOUT_PRIMARY_MILLIS)
  const [to, other] = (await receivedBy(cluster, 1)) >= (await receivedBy(cluster, 2)) ? [1, 2] : [2, 1]
  screen.say(`promoting ${nameOf(to)}: it has received most of what ${nameOf(0)} wrote`, 'bold')
  const promotedAt = performance.now()
  await cluster.promote(to)
  await cluster.follow(other, to)
  screen.say(`${nameOf(other)} now follows ${nameOf(to)}`)
  return { to, promotedAt }
}

async function receivedBy(cluster: Cluster, index: number): Promise<bigint> {
  const client = await cluster.connect(index)
  const { rows } = await client.query<{ bytes: string }>("select pg_last_wal_receive_lsn() - '0/0' as bytes")
  await client.end()
  return BigInt(rows[0]?.bytes ?? 0)
}

/** Rows that the old primary wrote and no replica received cannot be kept: then its data directory is copied anew. */
async function rejoin(screen: Screen, cluster: Cluster, index: number, primary: number): Promise<void> {
  try {
    await cluster.follow(index, primary)
    screen.say(`${nameOf(index)}, the old primary, is back and follows ${nameOf(primary)}`)
  } catch (error) {
    if (!String(error).includes('diverged')) throw error
    screen.say(`${nameOf(index)} had written what nobody received: it is copied anew from ${nameOf(primary)}`)
    await cluster.reclone(index, primary)
    screen.say(`${nameOf(index)}, the old primary, follows ${nameOf(primary)}`)
  }
}

/** The pause in acknowledged writes, in milliseconds: up to the order to promote, and from there to the first new one. */
interface Gap {
  readonly before: number
  readonly after: number
}

function gapOf(acknowledgedAt: readonly number[], { promotedAt }: Failover): Gap {
  const last = acknowledgedAt.findLast((at) => at < promotedAt) ?? Number.NaN
  const first = acknowledgedAt.find((at) => at >= promotedAt) ?? Number.NaN
  return { before: promotedAt - last, after: first - promotedAt }
}

/** False: the result is not as promised. */
function summary(screen: Screen, account: Account, gap: Gap, readsBy: readonly string[]): boolean {
  const { acknowledged, found, lost, doubled, unknown, resurrected, reads, missed, failed } = account
  const wrong = lost + doubled + resurrected + missed + failed.length
  const bad = (count: number, text: string) => {
    return count === 0 ? `${count} ${text}` : screen.paint(`${count} ${text}`, 'red', 'bold')
  }
  const [before, after, whole] = [gap.before, gap.after, gap.before + gap.after].map(
    (millis) => `${Math.round(millis)} ms`
  )
  screen.print('')
  screen.fact('write gap', `${whole}: ${before} until a replica was told to become the primary`)
  screen.fact('', `and ${screen.paint(after ?? '', 'bold')} from there to the first write that it acknowledged`)
  screen.fact(
    'writes',
    `${acknowledged} acknowledged, ${found} found, ${bad(lost, 'lost')}, ${bad(doubled, 'doubled')}`
  )
  screen.fact('', `${unknown} of unknown outcome (the reply was lost; nothing is sent twice)`)
  screen.fact('reads', `${reads} answered: ${readsBy.join(', ')}`)
  screen.fact('', `${bad(missed, 'missed a write acknowledged before them')}, ${bad(failed.length, 'failed')}`)
  if (resurrected > 0) screen.fact('', bad(resurrected, 'writes that were reported as not executed are there'))
  for (const text of failed) screen.fact('', text)
  const verdict = wrong === 0 ? screen.paint('Nothing lost.', 'bold', 'green') : screen.paint('FAILED', 'bold', 'red')
  screen.print(`\n   ${verdict}\n`)
  return wrong === 0
}

function nameOf(index: number): string {
  return NAMES[index] ?? '?'
}

// The demo has its own servers: libpq's variables, such as PGSSLMODE, are meant for other servers.
for (const name of Object.keys(process.env)) if (/^PG(?!HERD_)/.test(name)) delete process.env[name]

const screen = new Screen()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    screen.clear()
    screen.say('interrupted: the servers are stopped and removed')
    // The cluster is removed with this process, however the process ends.
    process.exit(signal === 'SIGINT' ? 130 : 143)
  })
}
process.exitCode = (await main(screen)) ? 0 : 1
