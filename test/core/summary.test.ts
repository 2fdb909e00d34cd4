import assert from 'node:assert/strict'
import { summaryOf } from '../../src/core/sql/summary.js'

describe('summary', () => {
  const rows: readonly (readonly [sql: string, operation: string, text: string])[] = [
    ['select * from wuser_table where username = $1', 'SELECT', 'SELECT wuser_table'],
    ['SELECT * FROM songs, artists WHERE songs.artist_id = artists.id', 'SELECT', 'SELECT songs artists'],
    [
      'select a from (select * from orders o join customers c on o.c = c.id) x',
      'SELECT',
      'SELECT SELECT orders customers',
    ],
    ['insert into shipping_details (a) select a from orders', 'INSERT', 'INSERT shipping_details SELECT orders'],
    ["insert into t values ('secret') on conflict (a) do update set b = 'secret'", 'INSERT', 'INSERT t'],
    [
      'update only Public."Order Lines" set a = 1 from stock where x is distinct from y',
      'UPDATE',
      'UPDATE Public."Order Lines" stock',
    ],
    ['delete from t using u where t.id = u.id', 'DELETE', 'DELETE t u'],
    ['merge into t using s on t.a = s.a when matched then update set b = 1', 'MERGE', 'MERGE t s'],
    [
      'with moved as (delete from a returning *) insert into b select * from moved',
      'INSERT',
      'DELETE a INSERT b SELECT moved',
    ],
    ['select 1', 'SELECT', 'SELECT'],
    ['select * from a join b using (id) left join c on c.x = a.x, d', 'SELECT', 'SELECT a b c d'],
    ['select extract(year from x), trim(both from y) from t', 'SELECT', 'SELECT t'],
    ['select * from t where a in (select b from u) for update of t', 'SELECT', 'SELECT t SELECT u'],
    ['select a from t union all select b from u order by 1', 'SELECT', 'SELECT t SELECT u'],
    ['select * from generate_series(1, 10) g, (a join b on true)', 'SELECT', 'SELECT generate_series a b'],
    ['create table if not exists app.t (a int)', 'CREATE TABLE', 'CREATE TABLE app.t'],
    ['create or replace materialized view v as select * from t', 'CREATE VIEW', 'CREATE VIEW v SELECT t'],
    ['create unique index concurrently i on t (a)', 'CREATE INDEX', 'CREATE INDEX i'],
    ['alter table t add column a int', 'ALTER TABLE', 'ALTER TABLE t'],
    ['alter table t alter a type int using a::int', 'ALTER TABLE', 'ALTER TABLE t'],
    ["create role r password 'secret'", 'CREATE ROLE', 'CREATE ROLE r'],
    ['drop table if exists a', 'DROP TABLE', 'DROP TABLE a'],
    ['truncate a, b', 'TRUNCATE', 'TRUNCATE a b'],
    ['explain (analyze) select * from t', 'EXPLAIN', 'EXPLAIN ANALYZE SELECT t'],
    ['begin isolation level serializable', 'BEGIN', 'BEGIN'],
    ["set role 'secret'", 'SET', 'SET'],
    ['copy t (a) from stdin', 'COPY', 'COPY t'],
    ['call app.p($1)', 'CALL', 'CALL app.p'],
    ['values (1), (2)', 'VALUES', 'VALUES'],
    ['/* hint */ select 1; -- and\n delete from t', 'SELECT', 'SELECT DELETE t'],
    ['selec hunter2 from t', '', ''],
    ["select * from t where a = 'never ends", 'SELECT', 'SELECT t'],
    ['', '', ''],
    // Words that are no reserved ones name tables, too.
    ['select * from event e join access on true', 'SELECT', 'SELECT event access'],
    ['insert into temp select * from method', 'INSERT', 'INSERT temp SELECT method'],
    ['drop table if exists event', 'DROP TABLE', 'DROP TABLE event'],
    ['explain analyze verbose update t set a = 1', 'EXPLAIN', 'EXPLAIN ANALYZE UPDATE t'],
    ['explain (analyze true, costs off) delete from t', 'EXPLAIN', 'EXPLAIN ANALYZE DELETE t'],
    ['explain verbose insert into t values (1)', 'EXPLAIN', 'EXPLAIN INSERT t'],
    ['select * from (values (1), (2)) v, t', 'SELECT', 'SELECT t'],
    ['select * from (with w as (select 1 from u) select * from w) x', 'SELECT', 'SELECT SELECT u SELECT w'],
    ['grant select on t to hunter', 'GRANT', 'GRANT'],
    ['revoke select on t from hunter', 'REVOKE', 'REVOKE'],
    ['create policy p on t for select using (a in (select b from u))', 'CREATE POLICY', 'CREATE POLICY p SELECT u'],
    ["create user mapping for u server s options (password 'x')", 'CREATE USER MAPPING', 'CREATE USER MAPPING'],
    ["alter system set primary_conninfo = 'x'", 'ALTER SYSTEM', 'ALTER SYSTEM'],
    // No SQL: words in it may be anything.
    ['please select all from hunter2', '', ''],
    ["'a' select b from hunter2", '', ''],
    ['copy t from stdin;\n1\tselect what from hunter2\n\\.', 'COPY', 'COPY t'],
    ['set a into hunter2', 'SET', 'SET'],
    // Where standard_conforming_strings is off, all of this is one literal.
    ["insert into t select 'it\\' from hunter2, hunter3", 'INSERT', 'INSERT t SELECT'],
    ["select E'it\\'s', E'\\\\' from t", 'SELECT', 'SELECT t'],
  ]
  for (const [sql, operation, text] of rows) {
    it(JSON.stringify(sql), () => assert.deepEqual(summaryOf(sql), { operation, text }))
  }

  it('ends with a whole word, within 255 characters', () => {
    const { text } = summaryOf(`select * from ${Array.from({ length: 500 }, (_, i) => `table_${i}`).join(', ')}`)
    assert.ok(text.length <= 255 && text.length > 240, text)
    assert.match(text, /^SELECT( table_\d+)+$/)
  })

  it('takes a text of any depth', () => {
    assert.equal(summaryOf(`${'('.repeat(200_000)}select 1`).text, '')
  })
})
