// pgbench, select-only and prepared, with 1, 16 and 64 clients: straight to the primary, through PgBouncer, and through the proxy, each in
// turn, so that a busy machine is busy for all. CPU is that of the process in between, for each query.

import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { start, urlOf } from '../test/support/cli.js'
import { startCluster } from '../test/support/cluster.js'
import { missingPgBouncer, startPgBouncer } from '../test/support/pgbouncer.js'

const SECONDS = Number(process.env.PGHERD_BENCH_SECONDS ?? 4)
const ROUNDS = 3
const CLIENTS = [1, 16, 64]

interface Way {
  readonly name: string
  readonly port: number
  /** Of the process in between. */
  readonly pid: number | null
}

/** Microseconds of CPU that the process has used; Linux only. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

function pgbench(port: number, words: readonly string[]): Promise<string> {
  const where = ['-h', '127.0.0.1', '-p', String(port), '-U', 'app', ...words, 'app']
  const child = spawn('pgbench', where, { stdio: ['ignore', 'pipe', 'ignore'] })
  let out = ''
  child.stdout.on('data', (text) => {
    out += text
  })
  return new Promise((resolve) => child.on('close', () => resolve(out)))
}

async function measure(
  { port, pid }: Way,
  clients: number
): Promise<{ readonly tps: number; readonly micros: number | null }> {
  const before = pid === null ? 0 : cpuOf(pid)
  const out = await pgbench(port, ['-n', '-S', '-M', 'prepared', '-c', String(clients), '-T', String(SECONDS)])
  const count = Number(/actually processed: (\d+)/.exec(out)?.[1] ?? 0)
  const tps = Number(/tps = ([\d.]+)/.exec(out)?.[1] ?? 0)
  return { tps, micros: pid === null || count === 0 ? null : (cpuOf(pid) - before) / count }
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

/** PgBouncer is started by a helper that keeps its process to itself: it is found by the port in its configuration. */
function bouncerOn(port: number): number | null {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      const file = words.find((word) => word.endsWith('.ini'))
      if (!words[0]?.endsWith('pgbouncer') || file === undefined) continue
      if (new RegExp(`listen_port\\s*=\\s*${port}\\b`).test(readFileSync(file, 'utf8'))) return Number(pid)
    } catch {
      // It has gone, or is another user's.
    }
  }
  return null
}

const cluster = await startCluster({ replicas: 2, settings: { max_connections: 300 } })
const proxy = start(['proxy', '--trust', '--listen', '127.0.0.1:0', '--pool-size', '70', urlOf(cluster)])
const bouncer = missingPgBouncer() === null ? await startPgBouncer(cluster.node(0), 'session', { poolSize: 70 }) : null
try {
  await proxy.shows(/listens on/)
  const port = Number(/listens on [\d.]+:(\d+)/.exec(proxy.out())?.[1])
  const primary = cluster.node(0).port
  await pgbench(primary, ['-i', '-s', '5', '-q'])
  await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
  const ways: Way[] = [
    { name: 'direct', port: primary, pid: null },
    { name: 'pgherd proxy', port, pid: proxy.child.pid ?? null },
  ]
  if (bouncer !== null) ways.push({ name: 'PgBouncer', port: bouncer.port, pid: bouncerOn(bouncer.port) })
  // Warm: statements are prepared, functions compiled.
  for (const way of ways) await pgbench(way.port, ['-n', '-S', '-M', 'prepared', '-c', '8', '-T', '2'])
  console.log('clients  way              tps      CPU us per query')
  for (const clients of CLIENTS) {
    const found = new Map<string, { tps: number[]; micros: number[] }>()
    for (let round = 0; round < ROUNDS; round++) {
      for (const way of ways) {
        const { tps, micros } = await measure(way, clients)
        const kept = found.get(way.name) ?? { tps: [], micros: [] }
        kept.tps.push(tps)
        if (micros !== null) kept.micros.push(micros)
        found.set(way.name, kept)
      }
    }
    for (const [name, { tps, micros }] of found) {
      const cpu = micros.length === 0 ? '' : median(micros).toFixed(0)
      console.log(
        `${String(clients).padStart(7)}  ${name.padEnd(14)} ${median(tps).toFixed(0).padStart(8)} ${cpu.padStart(12)}`
      )
    }
  }
} finally {
  proxy.child.kill('SIGINT')
  await proxy.ran
  await bouncer?.close()
  await cluster.destroy()
}
