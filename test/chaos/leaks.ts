// Does a pool that lives through many failovers keep anything of them? Sockets, timers, listeners and the objects
// on the heap are counted while it is at rest, after each failover; they must be as many at the end as they were when it
// had seen a few. Objects, not bytes: code that the engine compiles and throws away moves the bytes by half a megabyte.

import { setTimeout as pause } from 'node:timers/promises'
import { queryObjects } from 'node:v8'
import { Pool } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { until } from '../support/cluster-wait.js'

export interface Held {
  readonly sockets: number
  readonly timers: number
  readonly others: number
  readonly listeners: number
  readonly objects: number
}

const OPTIONS = { user: 'monitor', password: 'monitor', database: 'app', max: 4, monitorIntervalMillis: 50 }

/** What is held after each of so many failovers. */
export async function heldOver(failovers: number, told: (held: Held) => void = () => {}): Promise<readonly Held[]> {
  const cluster = await startCluster({ replicas: 2 })
  const ports = cluster.nodes.map(({ port }) => port)
  const pool = new Pool({ ...OPTIONS, host: ports.map(() => '127.0.0.1'), port: ports })
  // Every connection of the pool dies with each failover; that is told here, and is no end of the process.
  pool.on('error', () => undefined)
  const found: Held[] = []
  try {
    await pool.ready({ replicas: 2 })
    await pool.query('create table load (n int)')
    for (let i = 0; i < failovers; i++) {
      const to = 1 + (i % 2)
      await failOver(cluster, pool, i === 0 ? 0 : 3 - to, to)
      const held = await atRest(pool)
      found.push(held)
      told(held)
    }
    return found
  } finally {
    await Promise.all([pool.end(), cluster.destroy()])
  }
}

/** Statements, plans and pictures of the first few are remembered: only what comes on top of them is a leak. */
const WARM = 4
/** One ended `pg.Client` that is kept is 53 objects, and each failover ends a dozen. What is at rest differs by 200. */
const OBJECTS_PER_FAILOVER = 50

/** At rest a pool holds three more or fewer connections, as the last statements happened to need. */
const MORE = 4

/** One open connection more is about so many objects. */
const OBJECTS_PER_SOCKET = 140

/** What has become more: the least of the second half compared with the least of the first. */
export function leaksOf(held: readonly Held[]): string[] {
  const warm = held.slice(WARM).map((each) => ({ ...each, objects: each.objects - OBJECTS_PER_SOCKET * each.sockets }))
  const middle = Math.ceil(warm.length / 2)
  const least = (part: readonly Held[], of: keyof Held) => Math.min(...part.map((each) => each[of]))
  const grown = (of: keyof Held) => least(warm.slice(middle), of) - least(warm.slice(0, middle), of)
  const counts = (['sockets', 'timers', 'others', 'listeners'] as const).flatMap((of) =>
    grown(of) >= MORE ? [`${of}: ${grown(of)} more`] : []
  )
  const objects = grown('objects') / middle
  return objects > OBJECTS_PER_FAILOVER ? [...counts, `${Math.round(objects)} objects per failover`] : counts
}

/** Under load, with the primary stopped at once and a replica promoted. */
async function failOver(cluster: Cluster, pool: Pool, from: number, to: number): Promise<void> {
  let stopped = false
  const work = async (text: string) => {
    while (!stopped) await pool.query(text).catch(() => pause(1))
  }
  const texts = ['insert into load values (1)', 'select count(*) from load', 'select 1', 'delete from load']
  const workers = texts.map(work)
  await cluster.stop(from, 'immediate')
  await cluster.promote(to)
  const others = cluster.nodes.map(({ index }) => index).filter((node) => node !== to)
  for (const node of others) await cluster.follow(node, to).catch(() => cluster.reclone(node, to))
  const key = `127.0.0.1:${cluster.node(to).port}`
  const isWhole = () => {
    const { primary, nodes } = pool.topology()
    return primary === key && nodes.filter(({ state }) => state === 'replica').length === 2
  }
  await until('the pool to see the new primary and two replicas', isWhole)
  stopped = true
  await Promise.all(workers)
}

/** Once every node has the same few connections as ever: one statement at a time, on each. */
async function atRest(pool: Pool): Promise<Held> {
  await pool.query('insert into load values (1)')
  for (let i = 0; i < 8; i++) await pool.query('select 1')
  const objects = queryObjects(Object, { format: 'count' })
  const resources = process.getActiveResourcesInfo()
  const count = (name: RegExp) => resources.filter((each) => name.test(each)).length
  const [sockets, timers] = [count(/^TCP/), count(/^Time/)]
  const listeners = pool.eventNames().reduce((sum, name) => sum + pool.listenerCount(name), 0)
  return { sockets, timers, others: resources.length - sockets - timers, listeners, objects }
}
