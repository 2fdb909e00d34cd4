// Prisma's adapter. It sends statements by pool.query(), and begins transactions on a client of connect().
//   import { Pool } from 'pgherd' // was: none, or from 'pg'
//   const prisma = new PrismaClient({ adapter: new PrismaPg(new Pool({ ... })) }) // was: new PrismaPg({ ... })
// Here the adapter is called as the generated client calls it.

import { PrismaPg } from '@prisma/adapter-pg'
import type { Pool } from 'pgherd'

type Queryable = Pick<Awaited<ReturnType<PrismaPg['connect']>>, 'queryRaw' | 'executeRaw'>

const query = (sql: string, ...args: readonly string[]) => ({
  sql,
  args: [...args],
  argTypes: args.map(() => ({ scalarType: 'string' as const, arity: 'scalar' as const })),
})

async function firstColumn(on: Queryable, sql: string, ...args: readonly string[]): Promise<unknown[]> {
  const { rows } = await on.queryRaw(query(sql, ...args))
  return rows.map(([value]) => value)
}

export async function withPrisma(pool: Pool) {
  const adapter = await new PrismaPg(pool).connect()

  // Runs on the primary.
  await adapter.executeRaw(query("INSERT INTO orders (item, price) VALUES ('tea', 3), ('jam', 5)"))

  // Run on replicas as soon as one is proven to have those rows; on the primary until then.
  const items = await firstColumn(adapter, 'SELECT item FROM orders ORDER BY id')
  const [found] = await firstColumn(adapter, 'SELECT price FROM orders WHERE item = $1', 'tea')

  // The whole transaction runs on the primary: its reads see what it has written, and what it locked.
  const transaction = await adapter.startTransaction('READ COMMITTED')
  await transaction.executeRaw(query('UPDATE orders SET price = 4 WHERE item = $1', 'tea'))
  const [raised] = await firstColumn(transaction, 'SELECT price FROM orders WHERE item = $1', 'tea')
  // The adapter leaves the COMMIT to the client: $transaction() sends it.
  await transaction.executeRaw(query('COMMIT'))
  await transaction.commit()

  // Prisma cannot begin a READ ONLY transaction. A single statement outside of a transaction is routed.
  const [total] = await firstColumn(adapter, 'SELECT sum(price) FROM orders')
  await adapter.dispose() // not the pool, which is yours
  return { items, found, raised, total: Number(total) }
}
