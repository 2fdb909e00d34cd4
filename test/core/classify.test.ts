import assert from 'node:assert/strict'
import { classify, inspect, type NamePolicy } from '../../src/core/sql/classify.js'
import type { Objection } from '../../src/core/sql/objections.js'
import { isRepeatable } from '../../src/core/undone.js'

const READS = [
  'select 1',
  'SELECT * FROM "t" WHERE "t"."a" = $1 LIMIT $2',
  '((select 1) union all (select 2)) order by 1',
  'values (1), (2)',
  'table t',
  'select 1;',
  ';; select 1 ; -- done',
  '/* c */ select /* c */ 1',
  'with x(a, b) as (select 1, 2), y(c) as materialized (select 3) select * from x, y',
  'with recursive t(n) as (values (1) union all select n + 1 from t where n < 9) select sum(n) from t',
  'with t as not materialized (select 1) select * from t',
  'with recursive g(f) as (select 1) search depth first by f set o cycle f set c using p select * from g',
  'select count(*)::int, coalesce(max(a), 0), row_number() over (partition by b order by c) from t',
  'select sum(a) filter (where b) over w from t window w as (order by c)',
  "select string_agg(a, ',' order by a), percentile_cont(0.5) within group (order by b) from t",
  'select * from t where a = any($1::int[]) and b not in (1, 2) and exists (select 1)',
  'select u.* from unnest($1::text[], $2::int[]) as u(name, n)',
  'select u.* from unnest($1::text[]) with ordinality u(v, i) join (values (1)) v(x) on true',
  'select * from t x (a, b), u y (c) left join w z(d) using (d)',
  'select * from generate_series(1, 3) g(i) left join lateral (select 1) l(x) on true',
  'select * from s.t join (select 1 as a) q using (a)',
  'select * from t cross join (select 1) q',
  'select * from (t join (u cross join v) on true)',
  "select cast('2 hours' as interval hour to second (3)), '2 h'::interval second (3), 0x1f, 1_000.5_0, 1.5e3",
  'select lo.lo_revenue, lo.lo_tax from lineorder lo',
  `select * from json_to_recordset($1) as x(a int, b numeric(10,2), c varchar(20))`,
  "select cast(a as numeric(10,2)), b::geometry(Point,4326), numeric(3,1) '1.5', c::character varying(5) from t",
  'select a from t group by a, rollup (b), grouping sets ((c), cube (d, e))',
  'select a from t order by (b) fetch first (3) rows only',
  "select extract(year from now()), substring(a from 1 for 2), overlay(a placing b from 1), trim(both 'x' from a)",
  "select a at time zone ('UTC'), a like ('x%'), a ilike ('x'), 1 operator(pg_catalog.+) 2",
  "select xmlelement(name foo, xmlattributes(1 as x)), json_object('a': 1), json_value(j, '$.a' returning int)",
  "select * from json_table(j, '$' columns (a int path '$.a', nested path '$.b' columns (c int path '$')))",
  'select pg_catalog.count(*), "lower"(a), pg_catalog . lower (b) from t',
  'select c.relname, pg_catalog.pg_get_viewdef(c.oid) from pg_catalog.pg_class c join pg_namespace n on true',
  "select 'pg_stat_activity'::regclass, 'delete from t', $$ insert into t $$, \"insert\" from t",
  "select 'it''s; delete', e'\\'; delete', /* ; delete */ 1 -- ; delete",
  'select a, update, delete from t where insert = 1',
  'select a + update, (b = delete) from t',
  'select t.into, t.for, x as into, y as update from t',
  'select last_value(a) over (order by b) as last_value from t',
  "select ts_rewrite('a'::tsquery, 'b'::tsquery, 'c'::tsquery)",
  "select gen_random_uuid(), random(), clock_timestamp(), pg_sleep(0), crypt('a', gen_salt('bf'))",
  'select similarity(a, b), public.unaccent(c), extensions.uuid_generate_v4() from t',
  'select * from t tablesample system (10) repeatable (1)',
  'copy t (a, b) to stdout',
  'copy (select count(*) from t) to stdout with (format csv, force_quote (a))',
]

// Everything here must not run on a replica, or is not known not to. The second column is the word that is shown.
const WRITES: readonly (readonly [sql: string, word: string])[] = [
  ['insert into t values (1)', 'INSERT'],
  ['update t set a = 1', 'UPDATE'],
  ['delete from t', 'DELETE'],
  ['merge into t using u on true when matched then delete', 'MERGE'],
  ['truncate t', 'TRUNCATE'],
  ['create table t (a int)', 'CREATE'],
  ['with x as (insert into t values (1) returning a) select * from x', 'INSERT'],
  ['with x as materialized (update t set a = 1 returning a) select * from x', 'UPDATE'],
  ['with x as (select 1) delete from t', 'DELETE'],
  ['with x as (with y as (select 1) merge into t using y on true when matched then delete) select 1', 'MERGE'],
  ['with recursive x as (select 1) cycle a set b using c delete from t', 'DELETE'],
  ['select (with x as (delete from t returning 1) select * from x)', 'DELETE'],
  ['select * into t from u', 'INTO'],
  ['select 1. into t', 'INTO'],
  ['select $1 into t', 'INTO'],
  ['select 1into t', 'INTO'],
  ['select t.as into u from t', 'INTO'],
  ['select 1 as as into t', 'INTO'],
  ['select * from t for update', 'FOR UPDATE'],
  ['select * from t for /* c */ no key update', 'FOR NO KEY UPDATE'],
  ['select * from (select * from t for share) x', 'FOR SHARE'],
  ['table t for key share', 'FOR KEY SHARE'],
  ["select nextval('s')", 'nextval'],
  ["select pg_catalog.nextval('s')", 'nextval'],
  ['SELECT "pg_catalog" . /* c */ "nextval" -- (\n (\'s\')', 'nextval'],
  ["select NextVal /* ( */ ('s')", 'nextval'],
  ["select ('s'::regclass).nextval", 'nextval'],
  ["select (array['s'::regclass])[1] . nextval", 'nextval'],
  ["values (nextval('s'))", 'nextval'],
  ["select distinct on (1) nextval('s')", 'nextval'],
  ["select 1 operator(pg_catalog.+) nextval('s')", 'nextval'],
  ["select a from t fetch first nextval('s') rows only", 'nextval'],
  ["select a[nextval('s')] from t", 'nextval'],
  ["select * from lateral nextval('s')", 'nextval'],
  ["with x as (select 1) (select 1) order by 1, nextval('s')", 'nextval'],
  ["with x as (select 1) table t order by 1, nextval('s')", 'nextval'],
  ["select 1 --\r, nextval('s')", 'nextval'],
  ["select e'\\'' || nextval('s') --'", 'nextval'],
  ["select e'a'\n'\\'', nextval('s') --'", 'nextval'],
  ["select '\\', nextval('s') --'", 'nextval'],
  ["select 1 +/* x */nextval('s')", 'nextval'],
  ["select $a$ $b$ $a$, nextval('s')", 'nextval'],
  ["select a$a$ , nextval('s') --$a$", 'nextval'],
  ["select 1 where 1 < 1_000. and nextval('s') > 0", 'nextval'], // PostgreSQL 16
  ['select x from t where x < 1_000. for share', 'FOR SHARE'],
  ['select 1_000. into t', 'INTO'],
  ['select * from t join join(1) on true', 'join'],
  ['select $\ud800$ a $\ud801$, nextval(1), $\ud801$ x $\ud800$', 'NUL'],
  ["/* /* */ */ select setval('s', 1)", 'setval'],
  ['select last_value from s', 'last_value'],
  ['select "is_called" from s', 'is_called'],
  ['select pg_current_xact_id()', 'pg_current_xact_id'],
  ['select txid_current()', 'txid_current'],
  ['select pg_advisory_xact_lock(1)', 'pg_advisory_xact_lock'],
  ["select pg_notify('c', 'x')", 'pg_notify'],
  ['select pg_promote()', 'pg_promote'],
  ['select pg_something_new(1)', 'pg_something_new'],
  ['select lo_unlink(1)', 'lo_unlink'],
  ["select * from dblink('c', 'delete from t') as x(a int)", 'dblink'],
  ["select query_to_xml('select 1', true, true, '')", 'query_to_xml'],
  ["select ts_rewrite('a'::tsquery, 'select 1, 2')", 'ts_rewrite'],
  ["select ts_rewrite('a'::tsquery, array['select', 'x', 'y'][1])", 'ts_rewrite'],
  ["select current_setting('x')", 'current_setting'],
  ['select * from pg_stat_activity', 'pg_stat_activity'],
  ['table pg_catalog.pg_locks', 'pg_locks'],
  ['select * from "pg_settings"', 'pg_settings'],
  ['copy pg_stat_activity (pid) to stdout', 'pg_stat_activity'],
  ['select f(1)', 'f'],
  ['select app.count(1)', 'count'],
  ['select s.select(1)', 'select'],
  ['select "COUNT"(1)', 'COUNT'],
  ['select first(1), next(2)', 'first'],
  ['select rollup(1)', 'rollup'],
  ['select a from t order by rollup(a)', 'rollup'],
  ['select a from t group by a + rollup(b)', 'rollup'],
  ['select percentile_cont(0.5) within group (order by a), rollup(1) from t', 'rollup'],
  ['select not materialized(1)', 'materialized'],
  ['select a from t order by join(a)', 'join'],
  ["select a from t where b like c escape join('x')", 'join'],
  ["select * from t join u on b like c escape join('x')", 'join'],
  ['select xmlparse(document join(1))', 'join'],
  ['select operator(1)', 'operator'],
  ['select t.operator(1)', 'operator'],
  ['select over(1)', 'over'],
  ['select xmlparse(document f(1))', 'f'],
  ['select json_object(key a is distinct from b value 1, key f(1) value 2)', 'f'],
  ['copy t from stdin', 'COPY'],
  ['copy t from stdout', 'COPY'],
  ["copy t to '/tmp/x'", 'COPY'],
  ["copy t to program 'cat'", 'COPY'],
  ['copy (delete from t returning 1) to stdout', 'DELETE'],
  ['explain select 1', 'EXPLAIN'],
  ['explain analyze delete from t', 'EXPLAIN'],
  ['show all', 'SHOW'],
  ['do $$ begin end $$', 'DO'],
  ['call p()', 'CALL'],
  ['vacuum', 'VACUUM'],
  ['alter system set a = 1', 'ALTER'],
  ['notify c', 'NOTIFY'],
  ['select 1; select 2', ';'],
  ['select 1; delete from t', ';'],
  ['select (1; select 2)', '; select 2)'],
  ['wibble', 'WIBBLE'],
  ['\ufeffselect 1', '\ufeffSELECT'],
  ['"select" 1', '"select" 1'],
  ["select 'a", "'a"],
  ['select U&"d\\0061ta" from t', 'U&"d\\0061ta" fro'],
  ['select 1 \0', 'NUL'],
  ['(select 1', ''],
  ['select 1)', ')'],
  ['', ''],
  ['; -- nothing', ''],
]

const SESSION: readonly (readonly [sql: string, word: string])[] = [
  ['begin', 'BEGIN'],
  ['START TRANSACTION READ ONLY', 'START'],
  ['commit', 'COMMIT'],
  ['end', 'END'],
  ['rollback to savepoint a', 'ROLLBACK'],
  ['savepoint a', 'SAVEPOINT'],
  ["prepare transaction 'x'", 'PREPARE'],
  ['set search_path = a', 'SET'],
  ['reset all', 'RESET'],
  ['discard all', 'DISCARD'],
  ['prepare p as delete from t', 'PREPARE'],
  ['execute p', 'EXECUTE'],
  ['declare c cursor for select 1', 'DECLARE'],
  ['fetch all from c', 'FETCH'],
  ['listen c', 'LISTEN'],
  ['lock t', 'LOCK'],
  ["load 'x'", 'LOAD'],
  ["select set_config('a', 'b', false)", 'set_config'],
  ["select f(1), set_config('a', 'b', false)", 'set_config'],
  ["insert into t select pg_catalog.set_config('a', 'b', false)", 'set_config'],
  ['select (0.5::float8).setseed', 'setseed'],
  ['select pg_advisory_lock(1)', 'pg_advisory_lock'],
  ['select pg_try_advisory_lock_shared(1)', 'pg_try_advisory_lock_shared'],
  ['select (1::bigint).pg_advisory_unlock', 'pg_advisory_unlock'],
  ['create temp table t (a int)', 'TEMP'],
  ['create or replace temporary view v as select 1', 'TEMPORARY'],
  ['select 1 into temp t', ''],
  ['select * from pg_temp.t', 'pg_temp'],
  ['insert into pg_temp_3.t values (1)', 'pg_temp_3'],
  ['select 1; set a = b', 'SET'],
  ['delete from t; begin', 'BEGIN'],
]

describe('classify: reads', () => {
  for (const sql of READS) {
    it(sql, () => assert.deepEqual([inspect(sql).word, classify(sql)], [inspect(sql).word, 'read']))
  }
})

describe('classify: writes', () => {
  for (const [sql, word] of WRITES) {
    it(JSON.stringify(sql), () => assert.deepEqual([classify(sql), inspect(sql).word], ['write', word]))
  }
})

describe('classify: session statements', () => {
  for (const [sql, word] of SESSION) {
    it(sql, () => {
      const verdict = inspect(sql)
      assert.equal(verdict.intent, 'session')
      assert.equal(isRepeatable(verdict.undone), false)
      if (word !== '') assert.equal(verdict.word, word)
    })
  }
})

describe('classify: one statement or several', () => {
  const rows: readonly (readonly [sql: string, single: boolean])[] = [
    ['select 1', true],
    ['select 1; -- x', true],
    [';insert into t values (1);;', true],
    ['with x as (delete from t) select 1', true],
    ['create rule r as on insert to t do (delete from t; delete from u)', true],
    ['create function f() returns int begin atomic; select case when true then 1 end; select 2; end;', true],
    ['create function f() returns int begin atomic select 1; end; drop table t', false],
    ['insert into t values (1); select 1', false],
    ['select 1; /* c */ select 2', false],
    ["select ';'", true],
    ['do $$ ; $$', true],
    ["select 'a", false],
    ['', false],
    ['--', false],
  ]
  for (const [sql, single] of rows) {
    it(JSON.stringify(sql), () => assert.equal(inspect(sql).single, single))
  }
})

describe('classify: hints', () => {
  const rows: readonly (readonly [sql: string, hint: string | null])[] = [
    ['/* pgherd:primary */ select 1', 'primary'],
    ['/* PGHERD:Primary */ select 1', 'primary'],
    ['\n/*pgherd:replica*/ select f(1)', 'replica'],
    ['/* pgherd:replica */ /* x */ begin', 'replica'],
    ["/* pgherd:primary */ select '", 'primary'],
    ['select 1 /* pgherd:primary */', null],
    ['/* x */ /* pgherd:primary */ select 1', null],
    ['-- pgherd:primary\nselect 1', null],
    ["select '/* pgherd:primary */'", null],
    ['/* pgherd:other */ select 1', null],
  ]
  for (const [sql, hint] of rows) {
    it(JSON.stringify(sql), () => assert.equal(inspect(sql).hint, hint))
  }
})

describe('classify: what is known of names', () => {
  const primary = { intent: 'write', reason: 'is known' } as const
  const policy: NamePolicy = {
    functions: new Map<string, 'vouched' | 'harmless' | typeof primary>([
      ['slug', 'harmless'],
      ['nextval', 'harmless'],
      ['currval', 'vouched'],
      ['round', primary],
    ]),
    relations: new Map<string, Objection>([
      ['elsewhere', primary],
      ['locks', { intent: 'session', reason: 'locks' }],
      ['x'.repeat(63), primary],
    ]),
    fields: new Map([['touch', primary]]),
    types: new Map([['checked', primary]]),
    operators: new Set(),
    sequences: false,
    unknown: { intent: 'write', reason: 'nobody knows' },
  }
  const rows: readonly (readonly [sql: string, intent: string, word?: string])[] = [
    ['select slug(a), app.slug(b) from t', 'read'],
    ['select other(a) from t', 'write', 'other'],
    ["select nextval('s')", 'write', 'nextval'], // a catalogue excuses no name of PostgreSQL's own
    ["select currval('s')", 'read'], // the user's word does
    ["select ('s'::regclass).currval", 'read'],
    ['select round(a) from t', 'write', 'round'], // an overload of the user's looks the same
    ['select pg_catalog.round(a) from t', 'write', 'round'],
    ['select * from app.elsewhere', 'write', 'elsewhere'],
    ['select * from "elsewhere" e', 'write', 'elsewhere'],
    ['select a from t, elsewhere', 'write', 'elsewhere'],
    ['select a distinct from t, elsewhere', 'write', 'elsewhere'], // a label
    ['select a from t where b is distinct from c and elsewhere', 'read'],
    ['select a from t x (b), only app.elsewhere', 'write', 'elsewhere'],
    ['select a from only (elsewhere)', 'write', 'elsewhere'],
    ['select a from (t cross join elsewhere)', 'write', 'elsewhere'],
    ['select a from ((elsewhere join t on true) join u on true)', 'write', 'elsewhere'],
    ['select a from t join u on values = 1, elsewhere', 'write', 'elsewhere'],
    ['select a from t join u on t.values is distinct from u.a, elsewhere', 'write', 'elsewhere'],
    ['select a from t tablesample system (1) repeatable (1), elsewhere', 'write', 'elsewhere'],
    ['select a from f as order_by (a int), "elsewhere"', 'write', 'elsewhere'],
    ["select * from xmltable('/a' passing '<a/>' columns b for ordinality) x, elsewhere", 'write', 'elsewhere'],
    ['select (select count(*) from elsewhere) from t', 'write', 'elsewhere'],
    ['select 1 where exists (table elsewhere)', 'write', 'elsewhere'],
    ['with x as (select 1) table elsewhere', 'write', 'elsewhere'],
    ['with x as (values (1)) values (1) union all table only elsewhere', 'write', 'elsewhere'],
    ['table elsewhere', 'write', 'elsewhere'],
    ['copy elsewhere to stdout', 'write', 'elsewhere'],
    ['copy binary app.elsewhere (a) to stdout', 'write', 'elsewhere'],
    ['copy (select 1 from elsewhere) to stdout', 'write', 'elsewhere'],
    // A column, an alias or a schema of that name is no such table.
    ['select elsewhere, t.elsewhere from t where elsewhere > 1 and (elsewhere, 1) in (values (1, 2))', 'read'],
    ['select elsewhere.a from t elsewhere, u where f(elsewhere) order by elsewhere, a', 'write', 'f'],
    ['select elsewhere.a from t elsewhere, u order by 1, elsewhere', 'read'],
    ['select a from t group by b, elsewhere having count(elsewhere) > 1', 'read'],
    ['select * from locks', 'session', 'locks'],
    ['select a as elsewhere from t', 'read'],
    ["select 'elsewhere' from t", 'read'],
    ['select t.touch from t', 'write', 'touch'], // touch(t)
    ['select (select t).touch from t', 'write', 'touch'],
    ["select '7'::checked, cast(a as checked) from t", 'write', 'checked'],
    ['select checked from t', 'write'], // a type may stand anywhere
    ['select touch from t', 'read'],
    ['select t.touch_at from t', 'read'],
    [`select * from ${'x'.repeat(70)}`, 'write'], // the server cuts it to 63 bytes
    [`select * from ${'x'.repeat(62)}`, 'read'],
  ]
  for (const [sql, intent, word] of rows) {
    it(sql, () => {
      const verdict = inspect(sql, policy)
      assert.equal(verdict.intent, intent)
      if (word !== undefined) assert.equal(verdict.word, word)
    })
  }

  it('a function that nobody knows is refused in the words of the policy', () => {
    assert.equal(inspect('select other(1)', policy).reason, 'nobody knows')
  })
})

describe('classify: which texts may change what names mean', () => {
  const rows: readonly (readonly [sql: string, defines: boolean])[] = [
    ['create function f() returns int language sql as $$ select 1 $$', true],
    ['create or replace view v as select 1', true],
    ['CREATE OR REPLACE RECURSIVE VIEW v (a) AS SELECT 1', true],
    ['create unlogged table t (a int)', true],
    ['create policy p on t using (true)', true],
    ['create extension x', true],
    ['alter table t set unlogged', true],
    ['alter function f() volatile', true],
    ['import foreign schema s from server r into t', true],
    ['insert into t values (1); create view v as select 1', true],
    ['create table t (a int)', false],
    ['create temp table t (a int)', false],
    ['create unique index on t (a)', false],
    ['create materialized view m as select f()', false], // its rows are plain rows
    ['alter role r set a = b', false],
    ['alter system set a = b', false],
    ['drop view v', false],
    ['insert into t values (1)', false],
    ["select 'create view'", false],
  ]
  for (const [sql, defines] of rows) it(sql, () => assert.equal(inspect(sql).defines, defines))
})

describe('classify: what must go to the primary goes there however it is dressed', () => {
  const GLUE = ['/**/', '/* select */', "/* ' */", '/* " */', '--\n', "-- '\r", '/*/* $$ */*/', '\n\t']
  const plain = WRITES.filter(([sql]) => /^[a-z(][^'"$\\/-]*$/.test(sql)).map(([sql]) => sql)
  const dress: readonly (readonly [how: string, wrap: (sql: string) => string])[] = [
    ['with comments for spaces', (sql) => sql.replace(/ /g, () => GLUE[sql.length % GLUE.length] ?? ' ')],
    ['in capitals', (sql) => sql.toUpperCase()],
    ['behind a read', (sql) => `select 1; ${sql}`],
    ['before a read', (sql) => `${sql}; select 1`],
    ['as a query of WITH', (sql) => `with zz as (${sql}) select 1`],
    ['behind a query of WITH', (sql) => `with zz(a) as (select 1) ${sql}`],
    ['behind a literal that looks unfinished', (sql) => `with zz as (select '\\', e'\\'', $a$'$a$) ${sql}`],
    ['explained', (sql) => `explain (analyze) ${sql}`],
    ['in a sub-select', (sql) => `select (select * from (with zz as (${sql}) select 1) zz(a, b))`],
    ['as a materialized query', (sql) => `with zz as not materialized (${sql}) table zz`],
    ['copied', (sql) => `copy (${sql}) to stdout`],
  ]
  for (const [how, wrap] of dress) {
    it(how, () => {
      assert.ok(plain.length > 50)
      for (const sql of plain) assert.notEqual(classify(wrap(sql)), 'read', wrap(sql))
    })
  }
})

describe('classify: any size, depth or rubbish', () => {
  const many = 100_000
  const rows: readonly (readonly [name: string, sql: string, intent: string])[] = [
    ['deep parentheses', `select ${'('.repeat(many)}1${')'.repeat(many)}`, 'read'],
    ['deep sub-selects', `${'select (select '.repeat(many)}`, 'write'],
    ['a long list', `select * from t where a in (${'1,'.repeat(many)}1)`, 'read'],
    ['a long chain', `select 1${' + 1'.repeat(many)}`, 'read'],
    ['many unions', `select 1${' union all select 1'.repeat(many)}`, 'read'],
    ['many rows', `insert into t values ${'(1),'.repeat(many)}(1)`, 'write'],
    ['many statements', 'select 1;'.repeat(many), 'write'],
    ['only closing', ')'.repeat(many), 'write'],
    ['deep brackets', `select a${'[b'.repeat(many)}${']'.repeat(many)}`, 'read'],
    ['a long name', `select ${'x.'.repeat(many)}y`, 'read'],
    ['with behind with', 'with a as ('.repeat(many), 'write'],
  ]
  for (const [name, sql, intent] of rows) {
    it(name, () => {
      const started = process.hrtime.bigint()
      assert.equal(classify(sql), intent)
      assert.ok(Number(process.hrtime.bigint() - started) / 1e6 < 2000)
    })
  }

  it('never throws on any two-byte or cut text', () => {
    const base = 'with "a" as (select $$x$$, e\'\\\'\', u&"y") /* z */ select 1. -- w'
    for (let end = 0; end <= base.length; end++) classify(base.slice(0, end))
    for (let code = 0; code < 0x10000; code += 7) classify(`select ${String.fromCharCode(code)} 1`)
  })
})
