// The import is all that changes; every call below is pg.Pool's.
//   DATABASE_URL=postgres://app@db-a,db-b,db-c/shop node dist/examples/drop-in.js

import { Pool } from 'pgherd' // was: from 'pg'

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 10 })

await pool.query('create table if not exists orders (id int generated always as identity, item text)') // primary
await pool.query('insert into orders (item) values ($1)', ['tea']) // primary
const { rows } = await pool.query('select count(*)::int as n from orders') // a replica that has that order, or the primary
console.log(rows)

const client = await pool.connect() // the primary: here a transaction begins
try {
  await client.query('begin')
  await client.query("update orders set item = 'green tea' where item = 'tea'")
  await client.query('commit')
} catch (error) {
  await client.query('rollback')
  throw error
} finally {
  client.release()
}

// What pgherd knows of the servers, and where the statements ran.
console.table(pool.topology().nodes, ['key', 'state', 'lagMillis'])
console.table(pool.decisions(), ['node', 'role', 'reason', 'choice', 'count'])
await pool.end()
