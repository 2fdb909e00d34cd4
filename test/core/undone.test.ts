// Statement forms and functions -> what a server takes back of them. That it does is shown on real servers in
// integration/undone.test.ts.

import assert from 'node:assert/strict'
import { inspect } from '../../src/core/sql/classify.js'
import type { Acting, NamePolicy } from '../../src/core/sql/names.js'
import { SHIPPED_ONLY } from '../../src/core/sql/names.js'
import type { Objection } from '../../src/core/sql/objections.js'
import type { Undone } from '../../src/core/undone.js'

const ROWS: readonly (readonly [undone: Undone, ...texts: string[]])[] = [
  [
    'whole',
    'select 1',
    'insert into t (a, b) values (1, 2) on conflict (a) do update set (b, c) = (1, 2) returning a',
    'with x (a) as (delete from t returning a) select * from x',
    'create table t (a int)',
    'create table concurrent as select 1 as program',
    'create unique index i on t (lower(a))',
    'create index on t using gin (a gin_trgm_ops)',
    'drop index i',
    'reassign owned by a to b',
    'refresh materialized view concurrently v',
    'alter table t set tablespace_x to 1',
    'create rule r as on insert to t do (delete from t; delete from u)',
    'truncate t',
    'insert into http (put_line) values (1)',
    "notify a, 'b'",
    "select pg_notify('a', 'b')",
    "select nextval('s')",
    "insert into t values (nextval('s'), currval('s'))",
    "select lo_import('/tmp/x'), lo_unlink(1), lo_creat(-1)",
    'select pg_advisory_xact_lock(1)',
    'select * from t for update',
    'select count(*) over (partition by a), sum(a) filter (where b) from t for update',
    'copy t (program) from stdin',
    'copy t to stdout',
    "copy t from '/tmp/file'",
    'explain analyze insert into t values (1)',
    'show all',
    // Nothing of it runs yet.
    "create function f() returns int language sql as $$ select setval('s', 1) $$",
    "create view v as select setval('s', 1)",
    'create function f() returns int begin atomic; select setval(1, 2); end',
    "create rule r as on insert to t do also select pg_notify('a', 'b')",
    // All or nothing: an implicit transaction block.
    'insert into t values (1); update t set a = 2',
    'select 1; select 2',
  ],
  [
    'session',
    'set a = 1',
    'begin',
    'commit',
    '/* c */ end and chain',
    'rollback to a',
    "prepare transaction 'a'",
    "prepare p as select setval('s', 1)",
    'lock table t',
    "select set_config('a', 'b', true)",
    // Each commits by itself, so the server refuses it beside others.
    'vacuum t; select 1',
    'insert into t values (1); call p()',
  ],
  ['repeatable', 'vacuum full t', 'analyze', 'cluster t', 'reindex table t', 'checkpoint', 'repack t'],
  [
    'hidden',
    'execute p(1)',
    'explain analyze execute p',
    'create table t as execute p',
    'fetch 1 from c',
    'move c',
    'select unheard_of(1)',
    "select query_to_xml('select 1', true, true, '')",
    'selec 1',
  ],
  [
    'parts',
    'call p()',
    'do $$ begin end $$',
    'create index concurrently on t (a)',
    'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)',
    'drop index concurrently i',
    'reindex index concurrently i',
    'reindex (verbose, concurrently) table t',
    'alter table t detach partition p concurrently',
    'create database d',
    'drop database d',
    "create tablespace s location '/x'",
    'drop tablespace s',
    "create subscription s connection '' publication p",
    'alter subscription s refresh publication',
    'drop subscription s',
    'alter system set a = 1',
    "commit prepared 'a'",
    "rollback prepared 'a'",
    'repack (concurrently) t',
    'select 1; select "',
  ],
  [
    'outside',
    "select dblink_exec('c', 'insert into t values (1)')",
    "select * from dblink('c', 'select 1') as t (a int)",
    "select public . dblink_send_query('c', 'select 1')",
    "insert into t select 1 from dblink_exec('c', 'x')",
    "insert into t values (setval('s', 1))",
    "select pg_catalog.setval('s', 1)",
    'select "setval"(\'s\', 1)',
    "with x as (select setval('s', 1)) insert into t select * from x",
    "create table t as select setval('s', 1)",
    "select lo_export(1, '/tmp/x')",
    "explain analyze select setval('s', 1)",
    "declare c cursor for select setval('s', 1)",
    "select pg_logical_emit_message(false, 'a', 'b')",
    'select pg_advisory_lock(1)',
    'select pg_try_advisory_lock(1)',
    'select pg_advisory_unlock_all()',
    'select pg_switch_wal()',
    "select pg_create_physical_replication_slot('a')",
    "select * from pg_logical_slot_get_changes('a', null, null)",
    'select pg_terminate_backend(1)',
    'select pg_reload_conf()',
    'select pg_promote()',
    'select pg_stat_reset()',
    "select pg_stat_reset_shared('wal')",
    'select pg_stat_statements_reset()',
    "select pg_file_write('a', 'b', false)",
    "select http_post('a', 'b', 'c')",
    "copy t to '/tmp/file'",
    "copy (select 1) to program 'cat'",
    "copy t from program 'cat'",
    "insert into t values (1); select setval('s', 1)",
  ],
]

describe('undone: what a server takes back of a statement', () => {
  for (const [undone, ...texts] of ROWS) {
    for (const text of texts) it(`${undone}: ${text}`, () => assert.equal(inspect(text).undone, undone))
  }

  it('says where a text ends transactions by itself', () => {
    const texts = ['insert into t values (1); commit', 'begin; select 1', 'rollback; select 1', 'select 1; select 2']
    assert.deepEqual(
      texts.map((text) => inspect(text).controls),
      [true, true, true, false]
    )
  })
})

describe('undone: what the catalogue says of functions, tables and views', () => {
  const acting: Acting = {
    complete: true,
    functions: new Map([
      ['logs_apart', 'outside'],
      ['in_python', 'hidden'],
    ]),
    relations: new Map([
      ['audited', { undone: 'outside', reading: false }],
      ['elsewhere', { undone: 'hidden', reading: false }],
      ['acting_view', { undone: 'outside', reading: true }],
    ]),
  }
  const volatile = { intent: 'write', reason: 'is declared VOLATILE' } as const
  const functions = new Map<string, 'vouched' | 'harmless' | Objection>([
    ['logs_apart', volatile],
    ['in_python', volatile],
    ['touch', volatile],
    ['vouched_for', 'vouched'],
    ['slug', 'harmless'],
  ])
  const policy: NamePolicy = { ...SHIPPED_ONLY, functions, acting }
  const rows: readonly (readonly [sql: string, undone: Undone])[] = [
    ['select touch(1)', 'whole'],
    ['select logs_apart(1)', 'outside'],
    ['insert into t values (logs_apart(1))', 'outside'],
    ['select in_python(1)', 'hidden'],
    ['select vouched_for(unheard_of(1))', 'hidden'],
    ['insert into t values (touch(1))', 'whole'],
    ['insert into audited (a) values (1)', 'outside'],
    ['update audited set a = 1', 'outside'],
    ['with x as (delete from public.audited returning 1) select * from x', 'outside'],
    ['select * from audited', 'whole'],
    ['insert into elsewhere values (1)', 'hidden'],
    ['insert into t select * from acting_view', 'outside'],
    ['select * from acting_view for update', 'outside'],
  ]
  for (const [sql, undone] of rows) {
    it(`${sql}: ${undone}`, () => assert.equal(inspect(sql, policy).undone, undone))
  }
  it('before it is read, a function that PostgreSQL does not ship may do anything', () => {
    assert.equal(inspect('select touch(1)').undone, 'hidden')
    assert.equal(inspect('insert into t (a) values (touch(1))').undone, 'whole', 'as a trigger might')
  })
})
