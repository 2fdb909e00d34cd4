// Runs one of these programs on your servers. It drops the table `orders` and makes its own: use a database that has no such
// table of yours.
//   DATABASE_URL=postgres://app@db-a,db-b/trial node dist/examples/orm/run.js kysely

import { Pool } from 'pgherd'
import { withDrizzle } from './drizzle.js'
import { withKnex } from './knex.js'
import { withKysely } from './kysely.js'
import { withPrisma } from './prisma.js'
import { dataSourceWith, poolOf, withTypeorm } from './typeorm.js'

const connectionString = process.env.DATABASE_URL
const given = { drizzle: withDrizzle, kysely: withKysely, knex: withKnex, prisma: withPrisma }
const name = process.argv[2] ?? 'drizzle'

async function prepare(pool: Pool): Promise<void> {
  await pool.query('drop table if exists orders')
  await pool.query('create table orders (id int generated always as identity primary key, item text, price int)')
  await pool.ready({ replicas: 1, timeoutMillis: 5000 }).catch(({ message }: Error) => console.log(message))
}

function tell(pool: Pool, result: object): void {
  console.log(result)
  console.table(pool.decisions(), ['node', 'role', 'reason', 'choice', 'count'])
}

if (name === 'typeorm') {
  const source = await dataSourceWith({ connectionString }).initialize()
  await prepare(poolOf(source))
  tell(poolOf(source), await withTypeorm(source))
  await source.destroy() // ends its pool, too
} else {
  const pool = new Pool({ connectionString })
  await prepare(pool)
  tell(pool, await given[name as keyof typeof given](pool))
  if (!pool.ending) await pool.end()
}
