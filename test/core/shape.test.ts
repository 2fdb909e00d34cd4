import assert from 'node:assert/strict'
import { shapeOf } from '../../src/core/sql/shape.js'

describe('shape', () => {
  const rows: readonly (readonly [sql: string, shape: string])[] = [
    ["select * from t where a = 'secret' and b = 12.5", 'select * from t where a = ? and b = ?'],
    ['SELECT  *\n FROM "T" /* c */ WHERE a=$1 -- d', 'select * from "T" where a = ?'],
    ['select * from t where a in (1, 2, 3)', 'select * from t where a in (?)'],
    ["insert into t (a, b) values ('x', 1), ('y', 2)", 'insert into t(a, b) values (?)'],
    ['select count(*), s.f(a)::int[] from s.t', 'select count(*), s.f(a)::int[] from s.t'],
    ["select E'a\\'b', $$c$$, X'1F', U&'d' , 1e5, -7", 'select ?, - ?'],
    ['select a >= 1 and b->>0 = ?', 'select a >= ? and b ->> ? = ?'],
    ["select 'it''s'\n'more'", 'select ?'],
    ['select 1; select 2', 'select ?; select ?'],
    ["select 'never ends", 'select …'],
    ['', ''],
    // The value of a setting may stand there without quotes.
    ['set app.token to hunter2, "hunter3"', 'set app.token to ?'],
    ['alter role r set app.token = hunter2; set role r', 'alter role r set app.token = ?; set role r'],
    ['update t set a = b', 'update t set a = b'],
    // Where standard_conforming_strings is off the literal goes on.
    ["select 'it\\' from hunter2'", 'select ? …'],
    ["select E'it\\'s', 'C:\\x' from t", 'select ? from t'],
  ]
  for (const [sql, shape] of rows) it(JSON.stringify(sql), () => assert.equal(shapeOf(sql), shape))

  it('is short however long the text is', () => {
    const lists = `select * from t where a in (${Array.from({ length: 50_000 }, (_, i) => i).join(',')})`
    assert.equal(shapeOf(lists), 'select * from t where a in (?)')
    assert.ok(shapeOf('select a, '.repeat(100_000)).length <= 501)
  })
})
