// One insert every 100 ms until Ctrl-C. Stop the primary meanwhile and promote a replica: this program continues.
//   DATABASE_URL=postgres://app@db-a,db-b,db-c/shop node dist/examples/failover.js

import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'pgherd'

const pool = new Pool({ connectionString: process.env.DATABASE_URL, failoverTimeoutMillis: 60_000 })
pool.on('failover', ({ from, to, millis }) => console.log(`failover: ${from} -> ${to}, ${Math.round(millis)} ms`))
pool.on('topology', ({ nodes }) => console.log(nodes.map(({ key, state }) => `${key} ${state}`).join(', ')))

let running = true
process.once('SIGINT', () => {
  running = false
})
await pool.query('create table if not exists beats (id uuid not null, at timestamptz not null)')
while (running) {
  const id = crypto.randomUUID()
  try {
    await pool.query('insert into beats values ($1, now())', [id]) // waits while there is no primary
  } catch (error) {
    const { outcome, message } = error as Error & { outcome?: string }
    // 'unknown': it may have been executed, so the application must decide: look whether the row is there, or use an idempotent
    // statement.
    const { rowCount } = await pool.query({ text: 'select from beats where id = $1', values: [id], route: 'primary' })
    console.log(`${message} (outcome: ${outcome}); the row is ${rowCount === 0 ? 'not there' : 'there'}`)
  }
  await pause(100)
}
await pool.end()
