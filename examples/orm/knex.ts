// Knex, from 3.3 on: it takes a client of connect() for everything. A plain read on it borrows a replica, a write does not.
//   import { Pool } from 'pgherd' // was: from 'pg'
//   const db = knex({ client: 'pg', connectionPool: new Pool({ ... }) }) // was: connection: { ... }

import makeKnex, { type Knex } from 'knex'
import type { Pool } from 'pgherd'

interface Order {
  id: number
  item: string
  price: number
}

export async function withKnex(pool: Pool) {
  const db = makeKnex({ client: 'pg', connectionPool: pool })
  const orders = (on: Knex) => on<Order>('orders')

  // The primary.
  await orders(db).insert([
    { item: 'tea', price: 3 },
    { item: 'jam', price: 5 },
  ])

  // Replicas, as soon as one is proven to have that; the primary until then.
  const items = await orders(db).select('item').orderBy('id')
  const found = await orders(db).where('item', 'tea').first()

  // The primary, with its reads: they see what the transaction has written, and what it locked.
  const raised = await db.transaction(async (trx) => {
    await orders(trx).where('item', 'tea').update({ price: 4 })
    return orders(trx).where('item', 'tea').first()
  })

  // One replica for the whole transaction, since it says that it only reads.
  const total = await db.transaction(
    async (trx) => {
      const [row] = await orders(trx).sum<{ total: string }[]>('price as total')
      return Number(row?.total)
    },
    { readOnly: true }
  )
  await db.destroy() // not the pool, which is yours
  return { items: items.map(({ item }) => item), found: found?.price, raised: raised?.price, total }
}
