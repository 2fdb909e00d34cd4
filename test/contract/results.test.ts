// What statements give: results of all shapes, of one statement and of many, named ones, and other forms than pg.Query.

import assert from 'node:assert/strict'
import pg from 'pg'
import { rejection } from './calls.js'
import { contract } from './suite.js'

type Results = pg.QueryResult[]

const ITEMS = 'select id, name from items where id < 3 order by id'

contract('results', {
  'of a read': async ({ pool: make }) => {
    const result = await (await make()).query(ITEMS)
    assert.ok(result instanceof pg.Result)
    const { rows, rowCount, command, fields } = result
    assert.deepEqual([rowCount, command], [2, 'SELECT'])
    assert.deepEqual(rows, [
      { id: 1, name: 'tea' },
      { id: 2, name: 'salt' },
    ])
    assert.deepEqual(
      fields.map(({ name, dataTypeID, format }) => [name, dataTypeID, format]),
      [
        ['id', pg.types.builtins.INT4, 'text'],
        ['name', pg.types.builtins.TEXT, 'text'],
      ]
    )
  },

  'of a read, whoever serves it': async ({ id, pool: make, primary }) => {
    const pool = await make()
    const ports: number[] = []
    pool.on('acquire', ({ port }) => ports.push(port))
    assert.equal((await pool.query(ITEMS)).rowCount, 2)
    assert.deepEqual([ports.length, ports[0] === primary().port], [1, id !== 'replica'])
  },

  'of writes, which the next read sees': async ({ pool: make }) => {
    const pool = await make()
    const insert = await pool.query("insert into items values (9, 'oil') returning name")
    assert.deepEqual([insert.command, insert.rowCount, insert.rows], ['INSERT', 1, [{ name: 'oil' }]])
    assert.equal((await pool.query('select * from items where id = 9')).rowCount, 1)
    const gone = await pool.query('delete from items where id = $1', [9])
    assert.deepEqual([gone.command, gone.rowCount, gone.rows], ['DELETE', 1, []])
    assert.equal((await pool.query('select * from items where id = 9')).rowCount, 0)
  },

  'of many statements: one for each': async ({ pool: make }) => {
    const pool = await make()
    const texts = ['select 1 as n; select 2 as n', "begin; update items set name = 'tea' where id = 1; commit"]
    const [reads, writes] = [await pool.query(texts[0] ?? ''), await pool.query(texts[1] ?? '')] as unknown as Results[]
    assert.deepEqual(
      reads?.map(({ rows }) => rows),
      [[{ n: 1 }], [{ n: 2 }]]
    )
    assert.deepEqual(
      writes?.map(({ command, rowCount }) => [command, rowCount]),
      [
        ['BEGIN', null],
        ['UPDATE', 1],
        ['COMMIT', null],
      ]
    )
  },

  'of no statement': async ({ pool: make }) => {
    const pool = await make()
    for (const text of ['', ';', '-- nothing']) {
      const { rows, rowCount, command } = await pool.query(text)
      assert.deepEqual([rows, rowCount, command], [[], null, null], text)
    }
  },

  'rowMode array': async ({ pool: make }) => {
    const pool = await make()
    const { rows } = await pool.query({ text: ITEMS, rowMode: 'array' })
    assert.deepEqual(rows, [
      [1, 'tea'],
      [2, 'salt'],
    ])
    const both = await pool.query({ text: 'select $1::int as n, 2 as n', values: [1], rowMode: 'array' })
    assert.deepEqual(both.rows, [[1, 2]])
  },

  'values go in and come out': async ({ pool: make }) => {
    const pool = await make()
    const date = new Date('2026-03-01T12:00:00Z')
    const values = [7, 'tea', true, null, date, { a: [1] }, [1, 2], Buffer.from([0, 255])]
    const types = ['int', 'text', 'bool', 'text', 'timestamptz', 'jsonb', 'int[]', 'bytea']
    const text = `select ${types.map((type, i) => `$${i + 1}::${type} as "${i}"`).join(', ')}`
    const { rows } = await pool.query(text, values)
    assert.deepEqual(Object.values(rows[0]), values)
    const big = await pool.query('select 9007199254740993::int8 as n')
    assert.deepEqual(big.rows, [{ n: '9007199254740993' }])
  },

  'named statements are prepared once on a client': async ({ pool: make }) => {
    const client = await (await make()).connect()
    const named = { name: 'sum', text: 'select $1::int + 1 as n' }
    for (const n of [1, 2]) assert.deepEqual((await client.query({ ...named, values: [n] })).rows, [{ n: n + 1 }])
    const { rows } = await client.query('select name from pg_prepared_statements')
    assert.deepEqual(rows, [{ name: 'sum' }])
  },

  'named statements through the pool': async ({ pool: make }) => {
    const pool = await make()
    const named = { name: 'product', text: 'select $1::int * 2 as n' }
    for (const n of [1, 2, 3]) assert.deepEqual((await pool.query({ ...named, values: [n] })).rows, [{ n: n * 2 }])
    assert.deepEqual([pool.totalCount, pool.idleCount], [1, 1])
  },

  'a name stands for one text': async ({ pool: make }) => {
    const pool = await make()
    const client = await pool.connect()
    await client.query({ name: 'one', text: 'select 1' })
    const error = await rejection(client.query({ name: 'one', text: 'select 2' }))
    const message = "Prepared statements must be unique - 'one' was used for a different statement"
    assert.equal(error.message, message)
    assert.equal((await client.query('select 3')).rowCount, 1)
  },

  'pg.Query tells rows as they come': async ({ pool: make }) => {
    const client = await (await make()).connect()
    const query = client.query(new pg.Query(ITEMS))
    const seen: unknown[] = []
    query.on('row', (row) => seen.push(row))
    await new Promise((resolve, reject) => query.on('end', resolve).on('error', reject))
    assert.deepEqual(seen, [
      { id: 1, name: 'tea' },
      { id: 2, name: 'salt' },
    ])
  },
})
