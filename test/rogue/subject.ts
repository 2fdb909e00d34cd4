// The process under attack: pools whose servers are rogue beside an honest one, and a pool with a rogue server alone. Tells its
// parent ten times a second that it lives, and everything that was thrown where nothing catches it.

import { setTimeout as pause } from 'node:timers/promises'
import { replication } from '../../src/index.js'
import { productIn } from '../consistency/product.js'

/** What the parent wants attacked. */
export interface Wish {
  readonly product: string
  readonly honest: {
    readonly host: string
    readonly port: number
    readonly user: string
    readonly password: string
    readonly database: string
  }
  /** Named by the user. */
  readonly named: readonly number[]
  /** Found in the honest primary's pg_stat_replication. */
  readonly discovered: readonly number[]
  readonly seconds: number
}

export type Told =
  | { readonly kind: 'beat'; readonly heapBytes: number }
  | { readonly kind: 'uncaught'; readonly text: string }
  | { readonly kind: 'read'; readonly millis: number }
  | { readonly kind: 'failed'; readonly text: string }
  | { readonly kind: 'leak'; readonly text: string }
  | { readonly kind: 'over' }

const tell = (told: Told) => process.send?.(told)
const textOf = (error: unknown) => (error instanceof Error ? (error.stack ?? error.message) : String(error))
process.on('uncaughtException', (error) => tell({ kind: 'uncaught', text: textOf(error) }))
process.on('unhandledRejection', (error) => tell({ kind: 'uncaught', text: textOf(error) }))
let enough = false
process.once('message', (wish) => {
  process.on('message', () => {
    enough = true
  })
  void attacked(wish as Wish)
})

const MOST_HONEST_MILLIS = 30_000

async function attacked(wish: Wish): Promise<void> {
  const product = await productIn(new URL(wish.product))
  const Pool = product.Pool(product.systemClock)
  const { honest, named, discovered } = wish
  const { user, password, database } = honest
  const role = {
    user,
    password,
    database,
    monitorIntervalMillis: 20,
    connectionTimeoutMillis: 20_000,
    max: 4,
  }
  let next = 0
  const pools = [
    new Pool({
      ...role,
      host: [honest.host, ...named.map(() => '127.0.0.1')],
      port: [honest.port, ...named],
    } as object),
    new Pool({
      ...role,
      host: honest.host,
      port: honest.port,
      discovery: replication({
        address: () => ({ host: '127.0.0.1', port: discovered[next++ % discovered.length] ?? 1 }),
      }),
    } as object),
  ]
  const alone = named
    .slice(0, 2)
    .map((port) => new Pool({ ...role, host: '127.0.0.1', port, failoverTimeoutMillis: 200 } as object))
  for (const pool of [...pools, ...alone]) pool.on('error', () => {})
  const beats = setInterval(() => {
    ;(globalThis as { gc?: () => void }).gc?.()
    tell({ kind: 'beat', heapBytes: process.memoryUsage().heapUsed })
  }, 100)
  const until = Date.now() + wish.seconds * 1000
  const secret = new RegExp(password)
  const note = (error: unknown) => {
    if (secret.test(`${textOf(error)} ${JSON.stringify(error)}`)) tell({ kind: 'leak', text: 'a password in an error' })
  }
  await Promise.all([
    ...pools.flatMap((pool) => [
      honestReads(pool, until),
      // What may go anywhere meets the rogue servers that pass for replicas.
      anyReads(pool, until, note),
    ]),
    ...alone.map((pool) => anyReads(pool, until, note)),
  ])
  await Promise.all([...pools, ...alone].map((pool) => Promise.race([pool.end(), pause(5000)])))
  clearInterval(beats)
  process.exitCode = 0
  process.send?.({ kind: 'over' } satisfies Told, () => process.exit())
}

type AnyPool = { query(query: object): Promise<unknown> }

/** On the honest primary: each must finish, whatever goes on beside it. */
async function honestReads(pool: unknown, until: number): Promise<void> {
  while (Date.now() < until && !enough) {
    const from = performance.now()
    const read = (pool as AnyPool).query({ text: 'select 1 as one', route: 'primary' })
    const late = pause(MOST_HONEST_MILLIS, 'late')
    const result = await Promise.race([read.catch((error: unknown) => error), late])
    if (result === 'late' || result instanceof Error) tell({ kind: 'failed', text: textOf(result) })
    else tell({ kind: 'read', millis: performance.now() - from })
    await pause(5)
  }
}

async function anyReads(pool: unknown, until: number, note: (error: unknown) => void): Promise<void> {
  while (Date.now() < until && !enough) {
    const texts = ['select 1 as one', 'select $1::text as value']
    const reads = texts.map((text, i) =>
      (pool as AnyPool).query(i === 0 ? { text, maxLagMillis: Infinity } : { text, values: ['v'] })
    )
    for (const { reason } of (await Promise.race([Promise.allSettled(reads), pause(3000, [])])) as {
      reason?: unknown
    }[]) {
      if (reason !== undefined) note(reason)
    }
    await pause(2)
  }
}
