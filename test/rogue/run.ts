// One run: rogue servers here, the process under attack there, and a watchdog between them. What it found, in figures.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { BUILT } from '../consistency/product.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { type Random, seeded } from '../support/grammar.js'
import { Rogue } from './server.js'
import type { Told, Wish } from './subject.js'

export interface RunOptions {
  readonly seed: number
  readonly seconds: number
  /** The run is over as soon as so many were made, or when its seconds are; 0: they are not counted. */
  readonly connections?: number
  /** Another build of pgherd: the directory of its compiled `src/`. */
  readonly product?: URL
}

export interface Report {
  readonly connections: number
  readonly uncaught: readonly string[]
  /** The process said nothing for this long. */
  readonly hung: boolean
  /** What discovered servers were given. */
  readonly credentials: readonly string[]
  readonly leaks: readonly string[]
  readonly honest: {
    readonly reads: number
    readonly failed: readonly string[]
    readonly p50: number
    readonly p99: number
    readonly max: number
  }
  /** Of the heap, in bytes: the median of the first and of the last fifth of the run. */
  readonly heap: { readonly first: number; readonly last: number }
}

const ROGUES = 8
/** On a busy machine a process may get no turn for seconds. */
const HUNG_MILLIS = 15_000

export async function run({ seed, seconds, connections = 0, product = BUILT }: RunOptions): Promise<Report> {
  const random = seeded(seed)
  const cluster = await startCluster({ replicas: 1, auth: 'scram-sha-256' })
  const rogues: Rogue[] = []
  try {
    await cluster.streaming(0, 1)
    const identifier = await identifierOf(cluster)
    const listening = async (): Promise<number> => {
      const rogue = new Rogue(seeded(random.below(1 << 30)), identifier)
      rogues.push(rogue)
      return rogue.listen()
    }
    const ports: number[] = []
    for (let i = 0; i < 2 * ROGUES; i++) ports.push(await listening())
    const { host, port, user, password, database } = cluster.config(0) as Wish['honest']
    const wish: Wish = {
      product: product.href,
      honest: { host, port, user, password, database },
      named: ports.slice(0, ROGUES),
      discovered: ports.slice(ROGUES),
      seconds,
    }
    const isEnough = () => connections > 0 && sumOf(rogues) >= connections
    return reportOf(await watched(wish, isEnough), rogues)
  } finally {
    await Promise.all(rogues.map((rogue) => rogue.close()))
    await cluster.destroy()
  }
}

async function identifierOf(cluster: Cluster): Promise<string> {
  const client = await cluster.connect(0, 'postgres')
  const { rows } = await client.query<{ id: string }>('select system_identifier::text as id from pg_control_system()')
  await client.end()
  return rows[0]?.id ?? ''
}

/** Everything that the process told, until it was over, died or hung. */
async function watched(
  wish: Wish,
  isEnough: () => boolean
): Promise<{ readonly told: readonly Told[]; readonly hung: boolean }> {
  const child = fork(fileURLToPath(new URL('subject.js', import.meta.url)), [], {
    execArgv: ['--expose-gc'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const told: Told[] = []
  let hung = false
  let dog = setTimeout(() => {}, 0)
  const wake = () => {
    clearTimeout(dog)
    dog = setTimeout(() => {
      hung = true
      child.kill('SIGKILL')
    }, HUNG_MILLIS)
  }
  child.on('message', (message: Told) => {
    told.push(message)
    wake()
    if (isEnough() && child.connected) child.send('enough')
  })
  wake()
  child.send(wish)
  await once(child, 'exit')
  clearTimeout(dog)
  if (!hung && !told.some(({ kind }) => kind === 'over'))
    told.push({ kind: 'uncaught', text: `the process ended: ${child.exitCode ?? child.signalCode}` })
  return { told, hung }
}

const sumOf = (rogues: readonly Rogue[]) => rogues.reduce((sum, { connections }) => sum + connections, 0)

const median = (values: readonly number[], share = 0.5) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * share)] ?? 0

function reportOf(
  { told, hung }: { readonly told: readonly Told[]; readonly hung: boolean },
  rogues: readonly Rogue[]
): Report {
  const of = <K extends Told['kind']>(kind: K) =>
    told.filter((each): each is Extract<Told, { kind: K }> => each.kind === kind)
  const heap = of('beat').map(({ heapBytes }) => heapBytes)
  const reads = of('read').map(({ millis }) => millis)
  const fifth = Math.max(1, Math.floor(heap.length / 5))
  return {
    connections: sumOf(rogues),
    uncaught: of('uncaught').map(({ text }) => text),
    hung,
    credentials: rogues.slice(ROGUES).flatMap((rogue) => rogue.credentials),
    leaks: of('leak').map(({ text }) => text),
    honest: {
      reads: reads.length,
      failed: of('failed').map(({ text }) => text),
      p50: median(reads),
      p99: median(reads, 0.99),
      max: Math.max(0, ...reads),
    },
    heap: { first: median(heap.slice(0, fifth)), last: median(heap.slice(-fifth)) },
  }
}

/** What is not as promised. */
export function faultsOf({ uncaught, hung, credentials, leaks, honest, heap }: Report): string[] {
  return [
    ...new Set(uncaught.map((text) => `uncaught: ${text}`)),
    ...(hung ? [`nothing was heard of the process for ${HUNG_MILLIS / 1000} s`] : []),
    ...new Set(credentials.map((text) => `a discovered server was given a credential: ${text}`)),
    ...new Set(leaks),
    ...new Set(honest.failed.map((text) => `an honest read failed: ${text}`)),
    ...(honest.reads === 0 ? ['no honest read was made'] : []),
    ...(heap.last > heap.first + MOST_GROWTH ? [`the heap grew from ${heap.first} to ${heap.last} bytes`] : []),
  ]
}

/** Caches that are still filling; a leak of the run's connections would be many times that. */
const MOST_GROWTH = 32 << 20

export type { Random }
