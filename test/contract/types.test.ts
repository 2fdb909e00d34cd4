// To TypeScript a pgherd Pool is a pg.Pool. What is checked here is checked by the compiler; running it proves only that.

import assert from 'node:assert/strict'
import pg from 'pg'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import whole, { Pool, type PoolConfig } from '../../src/index.js'

interface Item {
  readonly id: number
  readonly name: string
}

/** True only where the two types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const isTrue = <_T extends true>(): void => {}

// Classes and options
const asClass: new (config?: pg.PoolConfig) => pg.Pool = Pool
const asWholeClass: typeof pg.Pool = Pool
const asModule: typeof pg = whole
const asPool = (pool: Pool): pg.Pool => pool
const asConfig = (config: pg.PoolConfig): PoolConfig => config
const takesAnyPool = (pool: pg.Pool | pg.Client | pg.PoolClient): unknown => pool.query('select 1')
const OPTIONS: PoolConfig = {
  connectionString: 'postgres://app@db/app',
  max: 5,
  idleTimeoutMillis: null,
  ssl: { ca: 'the-ca' },
  password: async () => 'told',
  verify: (client, done) => void client.query('select 1', () => done()),
  onConnect: async (client) => void (await client.query('select 1')),
  Client: pg.Client,
  types: { getTypeParser: pg.types.getTypeParser },
}

// Never called: each line has the type that pg's own Pool gives it.
async function forms(pool: Pool): Promise<void> {
  const plain = await pool.query('select 1')
  isTrue<Same<typeof plain, pg.QueryResult>>()
  const configured = await pool.query({ text: 'select 1' })
  isTrue<Same<typeof configured, pg.QueryResult>>()
  const rows: Item[] = (await pool.query<Item>('select * from items where id = $1', [1])).rows
  const other: Item[] = (await pool.query<Item>({ text: 'select * from items', values: [1], name: 'items' })).rows
  const arrays: [number, string][] = (await pool.query<[number, string]>({ text: 'select', rowMode: 'array' })).rows
  const nothing = pool.query<Item>('select 1', (error: Error, result: pg.QueryResult<Item>) =>
    assert.ok(error ?? result)
  )
  isTrue<Same<typeof nothing, void>>()
  pool.query('select $1', [1], (error, result) => assert.ok(error ?? result.rowCount))
  pool.query({ text: 'select 1' }, (error, result) => assert.ok(error ?? result.rows))
  const stream: QueryStream = pool.query(new QueryStream('select 1'))
  const cursor: Cursor<Item> = pool.query(new Cursor<Item>('select 1'))
  const query: pg.Query = pool.query(new pg.Query('select 1'))
  assert.ok([plain, rows, other, arrays, stream, cursor, query])
  // @ts-expect-error a result has no such member
  assert.ok(plain.nonsense)
  // @ts-expect-error a query is not a number
  await pool.query(42)
}

async function clients(pool: Pool): Promise<void> {
  const client: pg.PoolClient = await pool.connect()
  client.release()
  client.release(true)
  client.release(new Error('enough of it'))
  const nothing = pool.connect((error, taken, release) => {
    const [failed, given]: [Error | undefined, pg.PoolClient | undefined] = [error, taken]
    release(failed ?? given)
  })
  isTrue<Same<typeof nothing, void>>()
  const ended: Promise<void> = pool.end()
  pool.end(() => {})
  const counts: number[] = [pool.totalCount, pool.idleCount, pool.waitingCount, pool.expiredCount]
  const flags: boolean[] = [pool.ending, pool.ended]
  const most: number = pool.options.max
  assert.ok([ended, counts, flags, most])
  // @ts-expect-error counts are read only
  pool.totalCount = 1
}

function events(pool: Pool): void {
  pool
    .on('connect', (client: pg.PoolClient) => void client.query('set jit = off'))
    .on('acquire', (client) => client.release())
    .on('remove', (client: pg.PoolClient) => client.host)
    .on('release', (error: Error, client: pg.PoolClient) => assert.ok(error ?? client))
    .on('error', (error, client) => assert.ok(error.message, String(client)))
  pool.once('connect', () => {})
  pool.off('connect', () => {})
}

describe('contract: types', () => {
  it('a pgherd Pool is a pg.Pool to the compiler', () => {
    const pool = asPool(new Pool(asConfig({ host: '203.0.113.1' })))
    assert.ok(new asClass({ host: '203.0.113.1' }) instanceof pg.Pool)
    assert.equal(asModule.Pool, asWholeClass)
    assert.equal(asWholeClass.defaultMaxListeners, pg.Pool.defaultMaxListeners)
    assert.ok(pool instanceof pg.Pool)
    for (const checked of [forms, clients, events, takesAnyPool]) assert.equal(typeof checked, 'function')
    assert.equal(OPTIONS.max, 5)
  })
})
