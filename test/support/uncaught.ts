// A program that handles uncaught exceptions and goes on, as some do, and in which something throws where pg and Node leave that
// uncaught. Its pool must go on, too: each line tells what is left of it. Run as a child process by a test.

import { tracingChannel } from 'node:diagnostics_channel'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { Pool, type PoolConfig } from '../../src/index.js'

let uncaught = 0
process.on('uncaughtException', () => uncaught++)

const { PGHOST = '', PGPORT = '' } = process.env
const hosts = { host: PGHOST.split(','), port: PGPORT.split(',').map(Number), maxLagMillis: 10_000 }
const [host = '', port = 0] = [hosts.host[0], hosts.port[0]]
const fail = () => {
  throw new Error('thrown by the application')
}

class Throwing extends pg.Client {
  // biome-ignore lint/suspicious/noExplicitAny: it stands for every overload.
  override query(...args: any[]): any {
    const answer = Reflect.apply(super.query, this, args)
    if (String(args[0]?.text ?? args[0]).includes('of class')) fail()
    return answer
  }
}

class Submits {
  callback: ((error: unknown) => void) | undefined
  submit = fail
  handleError(error: unknown): void {
    this.callback?.(error)
  }
  handleReadyForQuery(): void {}
}
const channel = tracingChannel('pgherd:statement')
const subscriber = { start: fail, end: fail, asyncStart: fail, asyncEnd: fail, error: fail }

/** What throws, and how: it may use the pool, or leave something to what follows. */
const CASES: Readonly<Record<string, (pool: Pool) => unknown>> = {
  connect: (pool) => pool.on('connect', fail),
  acquire: (pool) => pool.on('acquire', fail),
  release: (pool) => pool.on('release', fail),
  remove: (pool) => pool.on('remove', fail),
  callback: (pool) => new Promise<void>((resolve) => pool.query('select 1', () => resolve(fail()))),
  'callback of connect()': (pool) =>
    new Promise<void>((resolve) =>
      pool.connect((_, client) => {
        client?.release()
        resolve()
        fail()
      })
    ),
  subscriber: () => channel.subscribe(subscriber as never),
  submittable: (pool) => pool.query(new Submits() as never),
  'a class of client': (pool) => pool.query('select 1 /* of class */'),
  'a handler of abort': (pool) => {
    const stop = new AbortController()
    stop.signal.addEventListener('abort', fail)
    const slow = pool.query({ text: 'select pg_sleep(30)', signal: stop.signal })
    setImmediate(() => stop.abort())
    return slow
  },
}

async function run(name: string, options: PoolConfig): Promise<void> {
  uncaught = 0
  const pool = new Pool({ ...options, max: 2, Client: Throwing } as PoolConfig)
  pool.on('error', () => {})
  const begun = Promise.resolve(CASES[name]?.(pool)).catch((error: Error & { outcome?: unknown }) => error)
  if (name !== 'callback') await begun
  const answers = await Promise.allSettled(Array.from({ length: 12 }, () => pool.query('update items set id = id')))
  for (let i = 0; i < 5; i++) {
    const client = await pool.connect()
    client.release(i === 4)
  }
  await pool.query('select count(*) from items')
  await pool.end()
  channel.unsubscribe(subscriber as never)
  // What subscribers throw is uncaught one turn later.
  await new Promise((resolve) => setImmediate(resolve))
  // A socket may end after its pool has.
  for (let i = 0; i < 1000 && name === 'remove' && uncaught === 0; i++) await pause(5)
  const error =
    name === 'callback' ? null : ((await begun) as { message?: string; outcome?: string } | null | undefined)
  const answered = answers.filter(({ status }) => status === 'fulfilled').length
  const told = error instanceof Error ? { message: error.message, outcome: Reflect.get(error, 'outcome') } : null
  console.log(JSON.stringify({ name, answered, left: pool.totalCount, uncaught: uncaught > 0, told }))
}

for (const name of Object.keys(CASES)) for (const options of [{ host, port }, hosts]) await run(name, options)
console.log('done')
