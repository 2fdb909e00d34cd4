// Plain reads of a replica share a few connections: which ones do, which never do, and that each has its own answer as if it were alone.

import assert from 'node:assert/strict'
import type pg from 'pg'
import type { Pool } from '../../src/index.js'
import { failed } from '../support/failed.js'
import { Lanes, pidOf, who } from '../support/lanes.js'
import { endPools, eventually } from '../support/pools.js'

describe('reads that share a connection', () => {
  let lanes: Lanes
  before(async () => {
    lanes = await Lanes.start()
  })
  afterEach(async () => {
    await lanes.open()
    await endPools()
  })
  after(() => lanes.cluster.destroy())

  const pids = async (pool: Pool, many: number) =>
    new Set(await Promise.all(Array.from({ length: many }, () => pidOf(pool))))

  describe('which do', () => {
    it('reads one after the other, and four of one turn', async () => {
      const pool = await lanes.pool()
      const pid = await pidOf(pool)
      assert.deepEqual([...(await pids(pool, 4))], [pid])
      assert.equal(await pidOf(pool), pid)
    })

    it('fifty of one turn open one connection more, not fifty', async () => {
      const pool = await lanes.pool({ max: 20 })
      await pidOf(pool)
      const { totalCount } = pool
      await pids(pool, 50)
      assert.ok(pool.totalCount <= totalCount + 1, `${totalCount} connections became ${pool.totalCount}`)
    })

    it('those of clients that borrow, beside those of the pool', async () => {
      const pool = await lanes.pool()
      const clients = await Promise.all([1, 2, 3].map(() => pool.connect()))
      const pid = await pidOf(pool)
      assert.deepEqual(await Promise.all(clients.map((client) => pidOf(client))), [pid, pid, pid])
      for (const client of clients) client.release()
    })

    it('none with pipelineReads: false, or max: 1', async () => {
      for (const options of [{ pipelineReads: false }, { max: 1 }]) {
        const { pool, held } =
          options.max === 1
            ? { pool: await lanes.pool(options), held: null }
            : await lanes.narrow({ ...options, max: 2 })
        const open = await lanes.gate(1)
        const first = pidOf(pool, 'select waits(1) as pid')
        await lanes.waiting(1)
        const second = pidOf(pool)
        await eventually('it waits for a connection', () => pool.waitingCount === 1)
        await open()
        assert.equal(await first, await second)
        held?.release()
      }
    })

    for (const [what, query] of [
      ['a write', { text: 'insert into numbers values (0) returning pg_backend_pid() as pid' }],
      ['a read of the primary', { text: who(), route: 'primary' }],
      ['one with rows', { text: who(), rows: 10 }],
      ['one with a portal', { text: who(), portal: 'door' }],
    ] as const) {
      it(`not ${what}`, async () => {
        const { pool, held, pid } = await lanes.narrow()
        held.release()
        const open = await lanes.gate(1)
        const head = pidOf(pool, 'select waits(1) as pid')
        await lanes.waiting(1)
        assert.notEqual(await pidOf(pool, { ...query }), pid)
        await open()
        assert.equal(await head, pid)
      })
    }

    it('nothing that leaves something in its session, though it asks for a replica', async () => {
      const pool = await lanes.pool()
      await pidOf(pool)
      for (const text of [
        'set statement_timeout = 1',
        'listen drinks',
        'prepare p as select 1',
        'begin read only',
        "select set_config('app.drink', 'tea', false)",
        'declare c cursor with hold for select 1',
      ]) {
        await pool.query({ text, route: 'replica' }).catch(() => {})
        const { rows } = await pool.query({
          text: `select current_setting('statement_timeout') as timeout, nullif(current_setting('app.drink', true), '') as drink,
            (select count(*)::int from pg_prepared_statements) + (select count(*)::int from pg_cursors) as left,
            (select count(*)::int from pg_listening_channels()) as heard`,
          route: 'replica',
        })
        assert.deepEqual(rows, [{ timeout: '0', drink: null, left: 0, heard: 0 }], text)
      }
    })
  })

  describe('each has its own answer', () => {
    it('values, names of fields, row modes, parsers, several kinds at a time', async () => {
      const { pool, held } = await lanes.narrow()
      const types = { getTypeParser: () => (value: string) => `own ${value}` }
      const answers = await Promise.all([
        pool.query('select $1::int as a', [1]),
        pool.query({ text: 'select 2 as b, 3 as c', rowMode: 'array' }),
        pool.query({ text: 'select 4 as d', types } as object as pg.QueryConfig),
        pool.query('select n from numbers where n > 0 order by n limit 3'),
        pool.query('select 1 as e where false'),
        pool.query({ text: 'select $1::text as f', values: [null] }),
        pool.query({ text: 'select 5 as g', queryMode: 'extended' } as object as pg.QueryConfig),
      ])
      assert.deepEqual(
        answers.map(({ rows }) => rows),
        [[{ a: 1 }], [[2, 3]], [{ d: 'own 4' }], [{ n: 1 }, { n: 2 }, { n: 3 }], [], [{ f: null }], [{ g: 5 }]]
      )
      assert.deepEqual(
        answers.map(({ command, rowCount, fields }) => [command, rowCount, fields[0]?.name]),
        [
          ['SELECT', 1, 'a'],
          ['SELECT', 1, 'b'],
          ['SELECT', 1, 'd'],
          ['SELECT', 3, 'n'],
          ['SELECT', 0, 'e'],
          ['SELECT', 1, 'f'],
          ['SELECT', 1, 'g'],
        ]
      )
      held.release()
    })

    it('errors among answers: those of the server, of parsers, of values', async () => {
      const { pool, held, pid } = await lanes.narrow()
      const throwing = (what: string) => () => {
        throw new Error(what)
      }
      const value = { toPostgres: throwing('no bytes') }
      const types = { getTypeParser: () => throwing('no parser') }
      const told = await Promise.all(
        [
          pool.query('select 1 / 0'),
          pool.query('select 1 as a'),
          pool.query('select $1::int as b', [value]),
          pool.query('select no_such_column from numbers'),
          pool.query({ text: 'select 2 as c', types } as object as pg.QueryConfig),
          pool.query('selekt'),
          pool.query('select 3 as d'),
        ].map((answer) =>
          answer.then(
            ({ rows }) => rows[0],
            (error) => error.code ?? error.message
          )
        )
      )
      assert.deepEqual(told, ['22012', { a: 1 }, 'no bytes', '42703', 'no parser', '42601', { d: 3 }])
      assert.equal(await pidOf(pool), pid)
      held.release()
    })

    it('outcomes are those without lanes', async () => {
      const value = {
        toPostgres: () => {
          throw new Error('no bytes')
        },
      }
      const types = {
        getTypeParser: () => () => {
          throw new Error('no parser')
        },
      }
      const outcomes = async (pool: Pool) => {
        await pidOf(pool)
        const found: unknown[] = []
        for (const query of [
          { text: 'select 1 / 0' },
          { text: 'select $1::int', values: [value] },
          { text: 'select 1', types },
          { text: 'select $1::int', values: [] },
        ]) {
          found.push((await failed(pool.query({ ...query, route: 'replica' } as object as pg.QueryConfig))).outcome)
        }
        return found
      }
      const alone = await outcomes(await lanes.pool({ pipelineReads: false }))
      assert.deepEqual(await outcomes(await lanes.pool()), alone)
    })

    it('values that are no array, no text, an empty text, several statements', async () => {
      const pool = await lanes.pool()
      await pidOf(pool)
      const odd = pool as unknown as {
        query(...values: unknown[]): Promise<{ rows: unknown[] } | { rows: unknown[] }[]>
      }
      assert.match((await failed(odd.query('select 1', { a: 1 }))).message, /must be an array/)
      await assert.rejects(odd.query({}))
      assert.deepEqual(((await odd.query('')) as { rows: unknown[] }).rows, [])
      const both = (await odd.query('select 1 as a; select 2 as b')) as { rows: unknown[] }[]
      assert.deepEqual(
        both.map(({ rows }) => rows),
        [[{ a: 1 }], [{ b: 2 }]]
      )
      assert.ok((await pidOf(pool)) > 0)
    })

    it('the parsers of the client that borrows, and of no other', async () => {
      const { pool, held } = await lanes.narrow()
      const [plain, own] = [await pool.connect(), await pool.connect()]
      own.setTypeParser(23, (value: string) => `own ${value}`)
      const answers = await Promise.all([plain, own, plain].map((client) => client.query('select 1 as a')))
      assert.deepEqual(
        answers.map(({ rows: [row] }) => row.a),
        [1, 'own 1', 1]
      )
      for (const client of [plain, own, held]) client.release()
    })

    it('notices go to the client whose read raised them', async () => {
      const { pool, held } = await lanes.narrow()
      const clients = await Promise.all(['tea', 'milk'].map(() => pool.connect()))
      const heard = clients.map((client) => {
        const words: unknown[] = []
        client.on('notice', ({ message }) => words.push(message))
        return words
      })
      const words = ['tea', 'milk']
      const told = await Promise.all(clients.map((client, i) => pidOf(client, `select says('${words[i]}') as pid`)))
      assert.equal(new Set(told).size, 1)
      assert.deepEqual(
        heard,
        words.map((each) => [each])
      )
      for (const client of [...clients, held]) client.release()
    })
  })
})
