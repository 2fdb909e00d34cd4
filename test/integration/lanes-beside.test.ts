// What an application does beside its reads, while they share connections: callbacks, tracers, hooks; and what the pool says of itself.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Client, PoolClient } from 'pg'
import { Lanes, who } from '../support/lanes.js'
import { endPools, eventually } from '../support/pools.js'

describe('beside reads that share a connection', () => {
  let lanes: Lanes
  before(async () => {
    lanes = await Lanes.start()
  })
  afterEach(async () => {
    await lanes.open()
    await endPools()
  })
  after(() => lanes.cluster.destroy())

  describe('what the application does beside', () => {
    it('a callback that throws is its own, and one may read again', async () => {
      const { pool, held } = await lanes.narrow()
      const uncaught = process.rawListeners('uncaughtException')
      process.removeAllListeners('uncaughtException')
      const thrown = new Promise((resolve) => process.once('uncaughtException', resolve))
      try {
        const again = new Promise<number>((resolve) => {
          pool.query('select 1', () => {
            pool.query('select 2 as a', (_, { rows }) => resolve(rows[0].a))
            throw new Error('mine')
          })
        })
        const beside = pool.query('select 3 as b')
        assert.equal(((await thrown) as Error).message, 'mine')
        assert.equal(await again, 2)
        assert.deepEqual((await beside).rows, [{ b: 3 }])
      } finally {
        for (const listener of uncaught) process.on('uncaughtException', listener as () => void)
      }
      held.release()
    })

    it('callbacks run in the context of their callers', async () => {
      const { pool, held } = await lanes.narrow()
      const store = new AsyncLocalStorage<number>()
      const ask = (n: number) =>
        store.run(n, () => new Promise<unknown>((resolve) => pool.query('select 1', () => resolve(store.getStore()))))
      assert.deepEqual(await Promise.all([1, 2, 3].map(ask)), [1, 2, 3])
      held.release()
    })

    /** Wraps query() of each client on the replica, as a tracer does. */
    const wrapped = (
      lanes: Lanes,
      wrap: (query: (...values: unknown[]) => unknown) => (...values: unknown[]) => unknown
    ) =>
      lanes.pool({
        onConnect: (client: Client) => {
          const own = client as unknown as { query(...values: unknown[]): unknown }
          own.query = wrap(own.query.bind(own))
        },
      } as object)

    const WRAPPERS: Readonly<
      Record<string, (query: (...values: unknown[]) => unknown) => (...values: unknown[]) => unknown>
    > = {
      'hands on at once':
        (query) =>
        (...values) =>
          query(...values),
      'hands on later':
        (query) =>
        (...values) =>
          void setImmediate(() => query(...values)),
      'answers later': (query) => (first, second, done) =>
        query(first, second, (...answer: unknown[]) =>
          setImmediate(() => (done as (...answer: unknown[]) => void)(...answer))
        ),
      'sends something of its own before':
        (query) =>
        (...values) => {
          query("select 'before'", [], () => {})
          return query(...values)
        },
      'sends something of its own behind':
        (query) =>
        (...values) => {
          const answer = query(...values)
          query('select 1 / 0', [], () => {})
          return answer
        },
    }
    for (const [what, wrap] of Object.entries(WRAPPERS)) {
      it(`a tracer that ${what}`, async () => {
        const pool = await wrapped(lanes, wrap)
        for (let i = 0; i < 3; i++) {
          const told = await Promise.all(
            ['select 1 as a', 'select 1 / 0', 'selekt', 'select 2 as a'].map((text) =>
              pool.query({ text, route: 'replica' }).then(
                ({ rows }) => rows[0],
                ({ code }) => code
              )
            )
          )
          assert.deepEqual(told, [{ a: 1 }, '22012', '42601', { a: 2 }])
        }
        await eventually('all connections rest', () => pool.idleCount === pool.totalCount)
      })
    }

    it('a listener of connect that goes on sending', async () => {
      const pool = await lanes.pool()
      pool.on('connect', async (client: PoolClient) => {
        // A read that fails ends its connection, and what its listener sends there.
        for (let i = 0; i < 20; i++) await client.query('select 1').catch(() => {})
      })
      for (let i = 0; i < 20; i++) {
        const answers = await Promise.all(
          ['select 1 as a', 'selekt'].map((text) =>
            pool.query({ text, route: 'replica' }).then(
              ({ rows }) => rows[0],
              ({ code }) => code
            )
          )
        )
        assert.deepEqual(answers, [{ a: 1 }, '42601'])
      }
    })
  })

  it('the pool counts what there is', async () => {
    const { pool, held } = await lanes.narrow()
    held.release()
    const idle = pool.idleCount
    assert.equal(idle, pool.totalCount)
    const open = await lanes.gate(1)
    const head = pool.query('select waits(1)')
    await lanes.waiting(1)
    assert.deepEqual([pool.idleCount, pool.waitingCount], [idle - 1, 0])
    await open()
    await head
    await eventually('all rest', () => pool.idleCount === pool.totalCount)
  })

  it('many reads leave nothing behind', async () => {
    const pool = await lanes.pool()
    const warnings: string[] = []
    const heard = ({ name }: Error) => warnings.push(name)
    process.on('warning', heard)
    const never = new AbortController()
    for (let i = 0; i < 100; i++) {
      await Promise.all(Array.from({ length: 50 }, () => pool.query({ text: who(), signal: never.signal })))
    }
    process.removeListener('warning', heard)
    assert.deepEqual(warnings, [])
    const clients = (pool as unknown as { _clients: (Client & { connection: Client })[] })._clients
    const counts = clients.flatMap((client) =>
      ['error', 'end', 'notice', 'drain'].map((event) => client.listenerCount(event))
    )
    const ready = clients.map(({ connection }) => connection.listenerCount('readyForQuery'))
    assert.ok(Math.max(...counts, ...ready) < 8, JSON.stringify([counts, ready]))
  })
})
