// Kysely. It takes a client of connect() for everything: a plain read on it borrows a replica, a write does not.
//   import { Pool } from 'pgherd' // was: from 'pg'
//   const pool = new Pool({ connectionString: 'postgres://app@db-a,db-b/shop' }) // was: one host

import { type Generated, Kysely, PostgresDialect } from 'kysely'
import type { Pool } from 'pgherd'

export interface Shop {
  orders: { id: Generated<number>; item: string; price: number }
}

export async function withKysely(pool: Pool) {
  const db = new Kysely<Shop>({ dialect: new PostgresDialect({ pool }) })

  // The primary.
  await db
    .insertInto('orders')
    .values([
      { item: 'tea', price: 3 },
      { item: 'jam', price: 5 },
    ])
    .execute()

  // Replicas, as soon as one is proven to have that; the primary until then.
  const items = await db.selectFrom('orders').select('item').orderBy('id').execute()
  const found = await db.selectFrom('orders').selectAll().where('item', '=', 'tea').executeTakeFirstOrThrow()

  // The primary, with its reads: they see what the transaction has written, and what it locked.
  const raised = await db.transaction().execute(async (trx) => {
    await trx.updateTable('orders').set({ price: 4 }).where('item', '=', 'tea').execute()
    return trx.selectFrom('orders').select('price').where('item', '=', 'tea').executeTakeFirstOrThrow()
  })

  // One replica for the whole transaction, since it says that it only reads.
  const { total } = await db
    .transaction()
    .setAccessMode('read only')
    .execute((trx) =>
      trx
        .selectFrom('orders')
        .select(({ fn }) => fn.sum('price').as('total'))
        .executeTakeFirstOrThrow()
    )
  await db.destroy() // ends the pool, too
  return { items: items.map(({ item }) => item), found: found.price, raised: raised.price, total: Number(total) }
}
