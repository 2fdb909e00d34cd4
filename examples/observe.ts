// Before you turn routing on: every statement runs on the primary, and at the end the program prints where each would have gone,
// and why.
//   DATABASE_URL=postgres://app@db-a,db-b,db-c/shop node dist/examples/observe.js

import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'pgherd'

const pool = new Pool({ connectionString: process.env.DATABASE_URL, routing: 'observe' })
await pool.ready({ replicas: 1, timeoutMillis: 5000 })

await pool.query('create table if not exists offers (id int, net int)')
await pool.query("create or replace function price(int) returns int language sql as 'select $1 * 119 / 100'") // VOLATILE
await pause(1000) // until replicas have these, and are known to: reads are the primary's before
for (let id = 0; id < 5; id++) await pool.query(`select * from offers where id = ${id}`)
for (let id = 0; id < 5; id++) await pool.query('select price(net) from offers where id = $1', [id])
await pool.query('select * from offers') // right behind what may have written: no replica is proven to have it yet

for (const { role, word, reason, choice, statement, count } of pool.decisions()) {
  console.log(`${count} x ${role ?? 'nowhere'} (${choice}): ${statement}\n    ${word} ${reason}`)
}
await pool.end()
