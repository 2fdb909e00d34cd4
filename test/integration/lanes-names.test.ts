// Statements with a name on a connection that reads share: one that fails takes none of the others with it, for no longer than that.

import assert from 'node:assert/strict'
import type { QueryConfig } from 'pg'
import type { Pool } from '../../src/index.js'
import { Lanes, pidOf, who } from '../support/lanes.js'
import { endPools, eventually } from '../support/pools.js'

describe('statements with a name that share a connection', () => {
  let lanes: Lanes
  before(async () => {
    lanes = await Lanes.start()
  })
  afterEach(async () => {
    await lanes.open()
    await endPools()
  })
  after(() => lanes.cluster.destroy())

  const told = (answer: Promise<{ rows: unknown[] }>) =>
    answer.then(
      ({ rows }) => rows[0],
      ({ code, message }) => code ?? message
    )
  interface Wire {
    readonly processID: number
    readonly connection: {
      readonly parsedStatements: Record<string, string>
      parse(query: { readonly name?: string }): void
    }
  }
  const wireOf = (pool: Pool, pid: number): Wire => {
    const found = (pool as unknown as { readonly _clients: readonly Wire[] })._clients.find(
      ({ processID }) => processID === pid
    )
    assert.ok(found, 'the connection is there')
    return found
  }
  /** The names that are prepared on this connection from now on. */
  const preparedOn = ({ connection }: Wire): string[] => {
    const names: string[] = []
    const { parse } = connection
    connection.parse = (query) => {
      if (query.name) names.push(query.name)
      Reflect.apply(parse, connection, [query])
    }
    return names
  }
  const NO_BYTES = {
    toPostgres: () => {
      throw new Error('no bytes')
    },
  }

  it('one is prepared once, and run by all', async () => {
    const { pool, held, pid } = await lanes.narrow()
    const named = { name: 'who', text: who() }
    const names = preparedOn(wireOf(pool, pid))
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => pidOf(pool, named))), [pid, pid, pid])
    assert.equal(await pidOf(pool, named), pid)
    assert.deepEqual(names, ['who'])
    held.release()
  })

  it('the Parse fails: its sender has the error, and so has each that follows, its own', async () => {
    const { pool, held, pid } = await lanes.narrow()
    const query = { name: 'lost', text: 'select no_such_column from numbers' }
    const answers = await Promise.all([told(pool.query(query)), told(pool.query(query)), pidOf(pool)])
    assert.deepEqual(answers, ['42703', '42703', pid])
    held.release()
  })

  it('values that cannot be put into bytes fail alone', async () => {
    const { pool, held } = await lanes.narrow()
    held.release()
    const query = (values: unknown[]): QueryConfig => ({ name: 'bytes', text: 'select $1::int as a', values })
    for (let i = 0; i < 3; i++) {
      const answers = [query([NO_BYTES]), query([1]), query([2])].map((each) => told(pool.query(each)))
      assert.deepEqual(await Promise.all(answers), ['no bytes', { a: 1 }, { a: 2 }])
    }
  })

  it('pg closes the name of what it cannot put into bytes: it is prepared again, once', async () => {
    const { pool, held } = await lanes.narrow()
    // Where the machine is busy the shape is slow at times, and has another connection.
    await eventually('all have run on the lane', async () => {
      const pid = await pidOf(pool)
      const text = `${who()}, $1::int as a`
      const query = (value: unknown): QueryConfig => ({ name: text, text, values: [value] })
      const names = preparedOn(wireOf(pool, pid))
      assert.equal(await told(pool.query(query(NO_BYTES))), 'no bytes')
      const pids = [await pidOf(pool, query(1)), await pidOf(pool, query(2))]
      assert.equal(await told(pool.query(query(NO_BYTES))), 'no bytes')
      pids.push(await pidOf(pool, query(3)))
      // Each failure takes the name along.
      return pids.every((each) => each === pid) && names.length === 3
    })
    held.release()
  })

  it('one name for two texts: each has its own rows', async () => {
    const pool = await lanes.pool()
    for (let i = 0; i < 3; i++) {
      const answers = [1, 2, 1, 2].map((n) => told(pool.query({ name: 'one', text: `select ${n} as n` })))
      assert.deepEqual(await Promise.all(answers), [{ n: 1 }, { n: 2 }, { n: 1 }, { n: 2 }])
    }
  })

  it('the same with one lane and nothing else', async () => {
    const { pool, held } = await lanes.narrow()
    const answers = [1, 2, 1, 2].map((n) => told(pool.query({ name: 'one', text: `select ${n} as n` })))
    held.release()
    assert.deepEqual(await Promise.all(answers), [{ n: 1 }, { n: 2 }, { n: 1 }, { n: 2 }])
  })

  it('a plan that is stale fails once', async () => {
    await lanes.onPrimary.query('create table drinks as select 7 as a; grant all on drinks to public')
    await lanes.cluster.caughtUp(1, 0)
    try {
      const { pool, held } = await lanes.narrow()
      held.release()
      const query = { name: 'plan', text: 'select * from drinks' }
      assert.deepEqual(await told(pool.query(query)), { a: 7 })
      await lanes.onPrimary.query('alter table drinks add column b text')
      await lanes.cluster.caughtUp(1, 0)
      const answers = await Promise.all([1, 2, 3, 4].map(() => told(pool.query(query))))
      answers.push(await told(pool.query(query)))
      const good = answers.filter((answer) => answer !== '0A000')
      assert.ok(good.length >= 4, JSON.stringify(answers))
      for (const answer of good) assert.deepEqual(answer, { a: 7, b: null })
    } finally {
      await lanes.onPrimary.query('drop table drinks')
    }
  })

  it('a name that the server has forgotten is told to no caller, and prepared again', async () => {
    const { pool, held } = await lanes.narrow()
    held.release()
    await eventually('the lane has prepared it', async () => {
      const pid = await pidOf(pool)
      const { connection } = wireOf(pool, pid)
      const query = { name: who(), text: who() }
      connection.parsedStatements[query.name] = query.text
      const names = preparedOn({ processID: pid, connection })
      await Promise.all([1, 2, 3].map(() => pidOf(pool, query)))
      return (await pidOf(pool, query)) === pid && names.includes(query.name)
    })
  })
})
