// A shop in two processes, here two pools with a port each. A visitor orders in one process, and reads the orders in the other.
//   DATABASE_URL=postgres://app@db-a,db-b/shop node dist/examples/sessions/run.js express

import { Pool } from 'pgherd'
import * as express from './express.js'
import * as fastify from './fastify.js'
import { order, type Queue, work } from './job-queue.js'

const config = {
  connectionString: process.env.DATABASE_URL,
  readYourWrites: 'session',
  maxLagMillis: Infinity, // so that it shows: without a token any replica will do, however far behind
} as const
const [first, second] = [new Pool(config), new Pool(config)]
const name = process.argv[2] ?? 'express'

await first.query('create table if not exists orders (id int generated always as identity primary key, item text)')
await Promise.all([first, second].map((pool) => pool.ready({ replicas: 1, timeoutMillis: 5000 }))).catch(
  ({ message }: Error) => console.log(message)
)

async function visit({ serve }: Pick<typeof express | typeof fastify, 'serve'>): Promise<void> {
  const [here, there] = [await serve(first), await serve(second)]
  const headers = { 'content-type': 'application/json' }
  const item = `tea, ${new Date().toISOString()}`
  const ordered = await fetch(`${here.url}/orders`, { method: 'POST', headers, body: JSON.stringify({ item }) })
  const cookie = ordered.headers.get('set-cookie')?.split(';')[0] ?? ''
  console.log(ordered.status, ordered.headers.get('set-cookie'))
  for (const carried of ['', cookie]) {
    const answer = await fetch(`${there.url}/orders`, { headers: { cookie: carried } })
    const orders = (await answer.json()) as string[]
    console.log(carried === '' ? 'without it:' : 'with it:', orders.includes(item) ? 'it is there' : 'not there yet')
  }
  for (const server of [here, there]) await server.close()
}

async function hire(): Promise<void> {
  const jobs: string[] = []
  const queue: Queue = { push: async (job) => jobs.push(job), pop: async () => jobs.shift() }
  await order(first, queue, 'tea')
  console.log('job:', jobs[0])
  console.log('the worker finds', await work(second, queue))
}

await (name === 'job-queue' ? hire() : visit(name === 'fastify' ? fastify : express))
for (const pool of [first, second]) await pool.end()
