// Knex, from 3.3 on. It takes a client of connect() for every statement: a plain read on it borrows a replica, a write does not.
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

  // Runs on the primary.
  await orders(db).insert([
    { item: 'tea', price: 3 },
    { item: 'jam', price: 5 },
  ])

  // Run on replicas as soon as one is proven to have those rows; on the primary until then.
  const items = await orders(db).select('item').orderBy('id')
  const found = await orders(db).where('item', 'tea').first()

  // The whole transaction runs on the primary: its reads see what it has written, and what it locked.
  const raised = await db.transaction(async (trx) => {
    await orders(trx).where('item', 'tea').update({ price: 4 })
    return orders(trx).where('item', 'tea').first()
  })

  // The whole transaction runs on one replica, since it is READ ONLY.
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
