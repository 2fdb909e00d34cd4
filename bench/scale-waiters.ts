// 10 to 10,000 statements wait while there is no primary: what each costs in memory, what a look costs that brings nothing they wait
// for, and how long it takes to let all of them go.

import { fakeFace } from '../test/support/fake-face.js'
import { collected } from './scale-cost.js'

const READ = 'select * from users where id = $1'
const WRITE = 'update users set email = $1 where id = $2'
const CHANGES = 40

/** A third of them reads that insist on what was just written. */
export async function waiters(): Promise<void> {
  const table = []
  for (const count of [10, 1000, 10_000]) {
    for (const kind of ['writes', 'mixed'] as const)
      table.push({ waiters: count, kind, ...(await waiting(count, kind)) })
  }
  console.table(table)
}

async function waiting(count: number, kind: 'writes' | 'mixed'): Promise<object> {
  const face = await fakeFace(3, { failoverQueue: 1_000_000, monitorIntervalMillis: 300 })
  const { herd } = face.router
  const [primary, heir] = face.servers
  if (primary === undefined || heir === undefined) throw new Error('no servers')
  primary.mode = 'refuses'
  while (herd.topology.primary !== null) await new Promise((resolve) => setTimeout(resolve, 5))
  const empty = collected()
  const answers = Array.from({ length: count }, (_, i) => face.query(kind === 'mixed' && i % 3 === 0 ? READ : WRITE))
  await new Promise((resolve) => setTimeout(resolve, 10))
  const bytes = (collected() - empty) / herd.waiting
  const waited = herd.waiting
  // A change of state, which all of them are asked about: a node is drained, and taken back.
  const key = [...herd.topology.nodes.keys()][2]
  if (key === undefined) throw new Error('no third node')
  const from = process.cpuUsage()
  let longest = 0
  for (let i = 0; i < CHANGES; i++) {
    const at = performance.now()
    herd.report({ kind: i % 2 === 0 ? 'drained' : 'resumed', key })
    longest = Math.max(longest, performance.now() - at)
  }
  const { user, system } = process.cpuUsage(from)
  const startedAt = performance.now()
  heir.mode = 'primary'
  heir.timeline = 2
  await Promise.all(answers)
  const released = performance.now() - startedAt
  face.end()
  return {
    waiting: waited,
    'bytes each': Math.round(bytes),
    'ms per change': ((user + system) / 1000 / CHANGES).toFixed(2),
    longest: longest.toFixed(2),
    'ms to let all go': released.toFixed(0),
  }
}
