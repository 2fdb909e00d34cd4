// Drizzle. It sends statements by pool.query(), and begins transactions on a client of connect(): both are routed.
//   import { Pool } from 'pgherd' // was: from 'pg'
//   const pool = new Pool({ connectionString: 'postgres://app@db-a,db-b/shop' }) // was: one host

import { asc, eq, sum } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import type { Pool } from 'pgherd'

const orders = pgTable('orders', {
  id: integer('id').primaryKey().generatedAlwaysAsIdentity(),
  item: text('item').notNull(),
  price: integer('price').notNull(),
})

export async function withDrizzle(pool: Pool) {
  const db = drizzle({ client: pool })
  const tea = eq(orders.item, 'tea')

  // Runs on the primary.
  await db.insert(orders).values([
    { item: 'tea', price: 3 },
    { item: 'jam', price: 5 },
  ])

  // Run on replicas as soon as one is proven to have those rows; on the primary until then.
  const items = await db.select({ item: orders.item }).from(orders).orderBy(asc(orders.id))
  const [found] = await db.select().from(orders).where(tea)

  // The whole transaction runs on the primary: its reads see what it has written, and what it locked.
  const raised = await db.transaction(async (tx) => {
    await tx.update(orders).set({ price: 4 }).where(tea)
    const [row] = await tx.select().from(orders).where(tea)
    return row?.price
  })

  // The whole transaction runs on one replica, since it is READ ONLY.
  const total = await db.transaction(
    async (tx) => {
      const [row] = await tx.select({ total: sum(orders.price) }).from(orders)
      return Number(row?.total)
    },
    { accessMode: 'read only' }
  )
  return { items: items.map(({ item }) => item), found: found?.price, raised, total }
}
