// The delay of the event loop at 10,000 statements per second, which is sent evenly: a hundred every ten milliseconds.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'pgherd'
import { startCluster } from '../test/support/cluster.js'
import { fakeFace } from '../test/support/fake-face.js'

const [PER_SECOND, TICK_MILLIS, SECONDS] = [10_000, 10, 10]
const MOST_IN_FLIGHT = 1000
const READ = 'select 1'

export async function delay(): Promise<void> {
  const table: object[] = [{ what: 'nothing', ...(await paced(null)) }]
  for (const count of [2, 100]) {
    const face = await fakeFace(count)
    table.push({ what: `no servers, ${count} nodes`, ...(await paced(() => face.query(READ))) })
    face.end()
  }
  const cluster = await startCluster({ replicas: 1 })
  const hosts = cluster.nodes.map(({ index }) => cluster.config(index))
  const options = { ...hosts[0], host: hosts.map(({ host }) => host), port: hosts.map(({ port }) => port) }
  const pool = new Pool(options)
  try {
    await pool.ready({ replicas: 1 })
    table.push({ what: `PostgreSQL ${cluster.major}, 2 nodes`, ...(await paced(() => pool.query(READ))) })
  } finally {
    await pool.end()
    await cluster.destroy()
  }
  console.table(table)
}

/** `query`: null to see what the machine alone delays. */
async function paced(query: (() => Promise<unknown>) | null): Promise<object> {
  for (let i = 0; i < 2000; i++) await query?.()
  const histogram = monitorEventLoopDelay({ resolution: 1 })
  histogram.enable()
  const startedAt = performance.now()
  const cpu = process.cpuUsage()
  let [sent, done, leftOut] = [0, 0, 0]
  while (performance.now() - startedAt < SECONDS * 1000) {
    const due = Math.floor(((performance.now() - startedAt) / 1000) * PER_SECOND)
    // What the machine does not carry is left out, and told.
    for (; sent + leftOut < due && sent - done < MOST_IN_FLIGHT; sent++) {
      if (query === null) break
      void query().then(() => done++)
    }
    leftOut = query === null ? 0 : due - sent
    await pause(TICK_MILLIS)
  }
  histogram.disable()
  const seconds = (performance.now() - startedAt) / 1000
  const { user, system } = process.cpuUsage(cpu)
  // The timer of the histogram rings every millisecond: what is more is delay.
  const millis = (percentile: number) => (histogram.percentile(percentile) / 1e6 - 1).toFixed(2)
  return {
    'per second': Math.round(done / seconds),
    'CPU %': Math.round((user + system) / 1e4 / seconds),
    'p50 ms': millis(50),
    'p99 ms': millis(99),
    'max ms': (histogram.max / 1e6 - 1).toFixed(1),
    'left out': leftOut,
  }
}
