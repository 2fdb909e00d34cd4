// A read sees every write that was acknowledged through this pool before it, wherever the read runs; explain() says where.
//   DATABASE_URL=postgres://app@db-a,db-b,db-c/shop node dist/examples/read-after-write.js

import { setTimeout as pause } from 'node:timers/promises'
import { Pool } from 'pgherd'

const pool = new Pool({ connectionString: process.env.DATABASE_URL, maxLagMillis: 500 })
await pool.ready({ replicas: 1, timeoutMillis: 5000 })

await pool.query('create table if not exists visits (at timestamptz not null)')
const count = 'select count(*)::int as n from visits'
for (let i = 0; i < 3; i++) {
  await pool.query('insert into visits values (now())')
  console.log('right after the write:', pool.explain(count).node) // often a replica, which must show that it has it
  console.log((await pool.query(count)).rows[0]) // never too small
  await pause(400)
  console.log('a little later goes to:', pool.explain(count).node)
}

// The first statement may be older than the pool's bound, the second must run on the primary.
await pool.query({ text: count, maxLagMillis: 10_000 })
await pool.query({ text: count, route: 'primary' })
await pool.end()
