// A service that ends on SIGTERM without cutting off a request, also in the middle of a failover. /ready is for a readiness
// probe, /alive for a liveness probe.
//   DATABASE_URL=postgres://app@db-a,db-b,db-c/shop PORT=8080 node dist/examples/sigterm.js

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'pgherd'

/** Load balancers need this long to notice that /ready says no; until then requests still arrive. */
const NOTICE_MILLIS = Number(process.env.NOTICE_MILLIS ?? 5000)
/** Requests have this long to finish: a little longer than a statement may wait for a primary. */
const FINISH_MILLIS = 12_000
/** pool.end() has this long. All three together must be less than terminationGracePeriodSeconds, which is 30. */
const END_MILLIS = 5000

const pool = new Pool({ connectionString: process.env.DATABASE_URL, failoverTimeoutMillis: 10_000 })
let stopping = false

async function order(res: ServerResponse): Promise<void> {
  try {
    await pool.query("insert into orders (item) values ('tea')") // waits while there is no primary
    res.writeHead(201).end('ordered\n')
  } catch (error) {
    const { outcome } = error as { outcome?: string }
    console.error(error)
    // 'committed': the order is there, and only the rest of the reply was lost. 'unknown': it may be there. With any other outcome
    // it is not, so the caller may simply try again.
    if (outcome === 'committed') res.writeHead(201).end('ordered\n')
    else if (outcome === 'unknown') res.writeHead(500).end('perhaps ordered\n')
    else res.writeHead(503, { 'retry-after': '1' }).end('not ordered\n')
  }
}

async function answer({ url }: IncomingMessage, res: ServerResponse): Promise<void> {
  // A failover of the database is not a reason to restart this process.
  if (url === '/alive') res.writeHead(200).end('alive\n')
  // Ready while a read would be served. Writes wait during a failover, which is better than an error.
  else if (url === '/ready') res.writeHead(!stopping && pool.health().readable ? 200 : 503).end()
  else await order(res)
}

/** True: it happened in time. */
async function within(millis: number, event: Promise<unknown>): Promise<boolean> {
  return Promise.race([event.then(() => true), pause(millis, false)])
}

async function stop(): Promise<void> {
  stopping = true
  await pause(NOTICE_MILLIS)
  server.close() // takes no more connections, and lets requests finish
  const closed = once(server, 'close')
  await within(FINISH_MILLIS, closed)
  // Statements that still wait for a primary are rejected now; running statements and checked-out clients may finish.
  const ended = Promise.all([pool.end(), closed])
  // end() gives up a frozen server after silentMillis. It does not give up a statement that takes an hour, or a client that is never
  // released.
  const done = await within(END_MILLIS, ended)
  process.exit(done ? 0 : 1)
}

await pool.query('create table if not exists orders (id int generated always as identity, item text)')
await pool.ready()
const server = createServer((req, res) => void answer(req, res))
server.listen(Number(process.env.PORT ?? 0))
await once(server, 'listening')
process.once('SIGTERM', () => void stop())
console.log(`listening on ${(server.address() as AddressInfo).port}`)
