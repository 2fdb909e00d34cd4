// TypeORM. It makes its own pool, of the module that it is given, and takes a client of connect() for every statement: a plain
// read on it borrows a replica, a write does not.
//   import pgherd from 'pgherd'
//   new DataSource({ type: 'postgres', driver: pgherd, url: 'postgres://app@db-a,db-b/shop' }) // was: no driver, one host

import pgherd, { type Pool, type PoolConfig } from 'pgherd'
import { DataSource, EntitySchema } from 'typeorm'

interface Order {
  id: number
  item: string
  price: number
}

const Orders = new EntitySchema<Order>({
  name: 'orders',
  columns: {
    id: { type: 'int', primary: true, generated: 'increment' },
    item: { type: 'text' },
    price: { type: 'int' },
  },
})

/** `extra` is for the options of the pool: pg's, and pgherd's. */
export function dataSourceWith(extra: PoolConfig): DataSource {
  return new DataSource({ type: 'postgres', driver: pgherd, extra, entities: [Orders] })
}

/** The pool that TypeORM has made: for topology(), decisions(), ready() and the events. */
export function poolOf({ driver }: DataSource): Pool {
  return (driver as unknown as { readonly master: Pool }).master
}

/** With a data source that is initialized. */
export async function withTypeorm(source: DataSource) {
  const orders = source.getRepository(Orders)

  // Runs on the primary. TypeORM puts it into a transaction.
  await orders.save([
    { item: 'tea', price: 3 },
    { item: 'jam', price: 5 },
  ])

  // Run on replicas as soon as one is proven to have those rows; on the primary until then.
  const items = await orders.find({ order: { id: 'asc' } })
  const found = await orders.findOneBy({ item: 'tea' })

  // The whole transaction runs on the primary: its reads see what it has written, and what it locked.
  const raised = await source.transaction(async (manager) => {
    await manager.update(Orders, { item: 'tea' }, { price: 4 })
    return manager.findOneBy(Orders, { item: 'tea' })
  })

  const total = await readOnly(source, (runner) => runner.manager.sum(Orders, 'price'))
  return { items: items.map(({ item }) => item), found: found?.price, raised: raised?.price, total: Number(total) }
}

type Runner = ReturnType<DataSource['createQueryRunner']>

/** The whole transaction runs on one replica. TypeORM has no option for READ ONLY, so the program says it in SQL. */
async function readOnly<T>(source: DataSource, work: (runner: Runner) => Promise<T>): Promise<T> {
  const runner = source.createQueryRunner()
  try {
    await runner.query('begin read only')
    const result = await work(runner)
    await runner.query('commit')
    return result
  } catch (error) {
    await runner.query('rollback')
    throw error
  } finally {
    await runner.release()
  }
}
