// Two processes: one writes, the other reads with and without the token of the first.
//   DATABASE_URL=postgres://app@db-a,db-b,db-c/shop node dist/examples/sessions/two-processes.js

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Pool } from 'pgherd'

const pool = new Pool({
  connectionString: process.env.DATABASE_URL,
  readYourWrites: 'session',
  maxLagMillis: Infinity, // so that it shows: without a token any replica will do, however far behind
})

async function newest(): Promise<string | undefined> {
  const { rows } = await pool.query<{ item: string }>('select item from orders order by id desc limit 1')
  return rows[0]?.item
}

async function write(): Promise<void> {
  await pool.query('create table if not exists orders (id int generated always as identity primary key, item text)')
  const reader = fork(fileURLToPath(import.meta.url), ['reader'])
  await once(reader, 'message') // it is ready

  const item = `order of ${new Date().toISOString()}`
  const token = await pool.session(async () => {
    await pool.query('insert into orders (item) values ($1)', [item])
    return pool.token()
  })
  reader.send({ token })
  const [seen] = await once(reader, 'message')
  console.log({ token, written: item, ...seen })
}

async function read(): Promise<void> {
  await pool.ready({ replicas: 1, timeoutMillis: 5000 }).catch(({ message }: Error) => console.log(message))
  process.send?.('ready')
  const [{ token }] = await once(process, 'message')
  const withoutToken = await newest()
  const withToken = await pool.session(token, newest)
  process.send?.({ withoutToken, withToken })
  process.disconnect()
}

await (process.argv[2] === 'reader' ? read() : write())
await pool.end()
