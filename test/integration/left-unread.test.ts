// A client that is given back with an answer that nobody reads any more: half a cursor, a COPY that waits for its rows or for a
// reader. Its next holder would wait for ever, with pg too: it must have a connection that answers.

import assert from 'node:assert/strict'
import type { Client, PoolClient } from 'pg'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import type { Pool } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, poolOn } from '../support/pools.js'

/** What pg gives to what submits itself. */
interface Wire {
  query(text: string): void
  parse(query: object, more?: boolean): void
  bind(config: object, more?: boolean): void
  execute(config: object, more?: boolean): void
  flush(): void
  readonly stream: { pause(): void; destroy(): void }
}

/** Those that may be read no more: the test ends them. */
const wires = new Set<Wire>()

/** As pg-copy-streams does it, and then never again: what the server sends is heard, and not answered. */
class Abandoned {
  readonly text: string
  readonly #send: (wire: Wire) => void
  readonly #heard: (wire: Wire) => void
  #wire: Wire | null = null
  heard = false

  constructor(text: string, send: (wire: Wire) => void, heard: (wire: Wire) => void = () => {}) {
    this.text = text
    this.#send = send
    this.#heard = heard
  }

  submit(wire: Wire): void {
    this.#wire = wire
    wires.add(wire)
    this.#send(wire)
  }

  #note(): void {
    this.heard = true
    if (this.#wire !== null) this.#heard(this.#wire)
  }

  handleCopyInResponse(): void {
    this.#note()
  }
  handleCopyData(): void {
    this.#note()
  }
  handleDataRow(): void {
    this.#note()
  }
  handleRowDescription(): void {}
  handlePortalSuspended(): void {}
  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handleReadyForQuery(): void {}
  handleError(): void {}
}

const SERIES = 'select n from generate_series(1, 1000000) n'

const submitted = async (client: PoolClient, query: Abandoned) => {
  ;(client.query as (query: unknown) => unknown)(query)
  await eventually('the server has begun to answer', () => query.heard)
}

/** Each leaves its client with something under way. */
const LEAVES: Readonly<Record<string, (client: PoolClient) => Promise<unknown>>> = {
  'a cursor that was read in part': async (client) => {
    const cursor = client.query(new Cursor(SERIES))
    assert.equal((await cursor.read(2)).length, 2)
  },
  'a cursor that was not read': async (client) => void client.query(new Cursor(SERIES)),
  'a cursor behind a statement': async (client) => {
    await client.query('select 1')
    await client.query(new Cursor(SERIES)).read(1)
  },
  'a stream that was read in part': async (client) => {
    const stream = client.query(new QueryStream(SERIES, [], { batchSize: 2 }))
    const rows = stream[Symbol.asyncIterator]()
    assert.deepEqual((await rows.next()).value, { n: 1 })
  },
  'a portal that was read in part': (client) => {
    const send = (wire: Wire) => {
      wire.parse({ text: SERIES, name: '' }, true)
      wire.bind({ portal: 'half', statement: '', values: [] }, true)
      wire.execute({ portal: 'half', rows: 2 }, true)
      wire.flush()
    }
    return submitted(client, new Abandoned(SERIES, send))
  },
  'a COPY TO that is read no further': (client) => {
    const text = `copy (${SERIES}) to stdout`
    const stop = (wire: Wire) => wire.stream.pause()
    return submitted(client, new Abandoned(text, (wire) => wire.query(text), stop))
  },
}
const WRITES: typeof LEAVES = {
  'a COPY FROM that waits for rows': (client) => {
    const text = 'copy rows from stdin'
    return submitted(client, new Abandoned(text, (wire) => wire.query(text)))
  },
}

describe('a client that is given back with an answer that nobody reads', () => {
  let cluster: Cluster
  let admins: readonly Client[]
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    admins = await Promise.all([cluster.connect(0, 'postgres'), cluster.connect(1, 'postgres')])
    await admins[0]?.query('create table rows (n int); grant all on rows to public')
    await cluster.caughtUp(1, 0)
  })
  afterEach(async () => {
    // What nobody reads, and what waits for it, would keep the pool from its end.
    for (const wire of wires) wire.stream.destroy()
    wires.clear()
    const mine = "from pg_stat_activity where usename = 'app' and application_name = 'held'"
    await Promise.all(admins.map((admin) => admin.query(`select pg_terminate_backend(pid) ${mine}`)))
    await endPools()
  })
  after(() => cluster.destroy())

  const released = async (client: PoolClient, leave: (client: PoolClient) => Promise<unknown>, begin?: string) => {
    if (begin !== undefined) await client.query(begin)
    await leave(client)
    client.release()
  }
  type Leave = (client: PoolClient) => Promise<unknown>
  const HOLDERS: Readonly<Record<string, (pool: Pool, leave: Leave) => Promise<unknown>>> = {
    'a client': async (pool, leave) => released(await pool.connect(), leave),
    'a transaction on a client': async (pool, leave) => released(await pool.connect(), leave, 'begin'),
  }
  const READERS: typeof HOLDERS = {
    ...HOLDERS,
    'a borrowed transaction': async (pool, leave) => released(await pool.connect(), leave, 'begin read only'),
    'a client of a view of replicas': async (pool, leave) =>
      released(await pool.view({ route: 'replica' }).connect(), leave),
    'a transaction on a client of a view of replicas': async (pool, leave) =>
      released(await pool.view({ route: 'replica' }).connect(), leave, 'begin read only'),
  }
  /** Whoever comes next, at either server. */
  const NEXT: Readonly<Record<string, (pool: Pool) => Promise<unknown>>> = {
    'query() on the primary': (pool) => pool.query({ text: 'select 7 as n', route: 'primary' }),
    'query() on a replica': (pool) => pool.query({ text: 'select 7 as n', route: 'replica' }),
    'a client': async (pool) => {
      const client = await pool.connect()
      await client.query('begin')
      await client.query('insert into rows values (1)')
      await client.query('rollback')
      client.release()
    },
    'a borrowed transaction': async (pool) => {
      const client = await pool.connect()
      for (const text of ['begin read only', 'select n from rows', 'commit']) await client.query(text)
      client.release()
    },
    'a client of a view of replicas': async (pool) => {
      const client = await pool.view({ route: 'replica' }).connect()
      assert.equal((await client.query('select 7 as n')).rows[0]?.n, 7)
      client.release()
    },
  }

  for (const [holders, leaves] of [
    [READERS, LEAVES],
    [HOLDERS, WRITES],
  ] as const) {
    for (const [holder, hold] of Object.entries(holders)) {
      for (const [left, leave] of Object.entries(leaves)) {
        it(`${holder}: ${left}`, async () => {
          const pool = poolOn(cluster, {
            maxLagMillis: Infinity,
            readYourWrites: 'off',
            max: 1,
            application_name: 'held',
          })
          await pool.ready({ replicas: 1 })
          await hold(pool, leave)
          const answered: string[] = []
          for (const [next, use] of Object.entries(NEXT)) {
            const used = use(pool).then(() => answered.push(next))
            used.catch(() => {})
            await eventually(`${next} is answered`, () => answered.includes(next), 3000)
            await used
          }
          assert.deepEqual(answered, Object.keys(NEXT))
          assert.equal(pool.idleCount, pool.totalCount)
        })
      }
    }
  }
})
