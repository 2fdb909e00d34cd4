// Kysely. It takes a client of connect() for every statement: a plain read on it borrows a replica, a write does not.
//   import { Pool } from 'pgherd' // was: from 'pg'
//   const pool = new Pool({ connectionString: 'postgres://app@db-a,db-b/shop' }) // was: one host

import { type Generated, Kysely, PostgresDialect } from 'kysely'
import type { Pool } from 'pgherd'

export interface Shop {
  orders: { id: Generated<number>; item: string; price: number }
}

export async function withKysely(pool: Pool) {
  const db = new Kysely<Shop>({ dialect: new PostgresDialect({ pool }) })

  // Runs on the primary.
  await db
    .insertInto('orders')
    .values([
      { item: 'tea', price: 3 },
      { item: 'jam', price: 5 },
    ])
    .execute()

  // Run on replicas as soon as one is proven to have those rows; on the primary until then.
  const items = await db.selectFrom('orders').select('item').orderBy('id').execute()
  const found = await db.selectFrom('orders').selectAll().where('item', '=', 'tea').executeTakeFirstOrThrow()

  // The whole transaction runs on the primary: its reads see what it has written, and what it locked.
  const raised = await db.transaction().execute(async (trx) => {
    await trx.updateTable('orders').set({ price: 4 }).where('item', '=', 'tea').execute()
    return trx.selectFrom('orders').select('price').where('item', '=', 'tea').executeTakeFirstOrThrow()
  })

  // The whole transaction runs on one replica, since it is READ ONLY.
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
