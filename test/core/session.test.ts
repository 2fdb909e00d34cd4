import assert from 'node:assert/strict'
import { after, begun } from '../../src/core/session/client-session.js'
import { inspect } from '../../src/core/sql/classify.js'
import { define, policyOf } from '../../src/core/sql/definitions.js'
import {
  closingOf,
  type Effect,
  effectOf,
  harmsElsewhere,
  needsPrimary,
  type Opening,
  onlyShapes,
  openingOf,
} from '../../src/core/sql/effects.js'

const policy = policyOf(
  { primaryFunctions: [], replicaSafeFunctions: ['vouched'], primaryRelations: [] },
  define([
    { kind: 'volatile', name: 'act', text: null },
    { kind: 'function', name: 'slug', text: '1' },
  ]),
  new Set()
)

describe('session: what a statement leaves behind', () => {
  const rows: readonly (readonly [effect: Effect, texts: readonly string[]])[] = [
    [
      'none',
      [
        'select 1',
        'select slug(a), vouched(b) from t',
        'insert into orders (a, b) values (now(), slug($1)) returning id',
        'update t set a = lower(b)',
        'create table t (a int, check (a in (1)))',
        'show all',
        'discard plans',
        "select nextval('s'), currval('s')",
        'select * from t for update',
        'insert into t values (1); delete from t',
        'with x as (insert into "app"."users" ("name") values($1) returning *) select * from x',
        'with x as (insert into t (a) values (1) on conflict (a) do update set (a, b) = (1, 2)) select 1',
        'with recursive d(a, b) as not materialized (values (1, 2)) update t set b = v.b from (values (3)) as v(b)',
        "select 'set x', $$ listen $$",
        'notify c',
        'unlisten c',
        'deallocate p',
      ],
    ],
    [
      'transaction',
      [
        'begin',
        'START TRANSACTION READ ONLY',
        'commit',
        'rollback to savepoint s',
        'savepoint s',
        'set local x = y',
        'set /* c */ LOCAL x = y',
        'set transaction isolation level serializable',
        'set constraints all deferred',
        'lock t',
        "select set_config('app.tenant', $1, true)",
        "select set_config('a', lower('B'), TRUE), set_config('c', 'd', true)",
        'declare c cursor for select 1',
        'declare c cursor without hold for select 1',
        'fetch all from c',
        "prepare transaction 'x'",
        'begin; insert into t values (1); commit',
      ],
    ],
    [
      'taints',
      [
        'set search_path = a',
        'set session x = y',
        'SET "x" = y',
        'set role r',
        'set session characteristics as transaction read only',
        'reset all',
        'listen c',
        'prepare p as select 1',
        'declare c cursor with hold for select 1',
        'create temp table t (a int)',
        'create local temporary view v as select 1',
        'select 1 into temp t',
        "select set_config('a', 'b', false)",
        "insert into t select set_config('a', 'b', false)",
        "select set_config('a', 'b', true), set_config('a', 'b', $1)",
        'create table pg_temp.t (a int)',
        'insert into "pg_temp_3".t values (1)',
        'select pg_advisory_lock(1)',
        'select pg_try_advisory_lock_shared(1, 2)',
        'select act(1)',
        'insert into t values (act(1))',
        'with x as (insert into t (a) values (act(1))) select 1',
        'with x as (insert into t select act(1)) select 1',
        'with x as (insert into t select unheard_of(1)) select 1',
        'with act(a) as (select 1) update t set a = act(1)',
        'select app.never_heard_of(1)',
        'select * from t where never_heard_of (a) for update',
        "select query_to_xml('select 1', true, true, '')",
        'explain (analyze) select act(1)',
        'explain analyse select 1',
        'call p()',
        'do $$ begin end $$',
        "load 'x'",
        'begin; set x = y; commit',
        'select 1; set x = y',
        "select 'never ends",
      ],
    ],
    ['discards', ['discard all', 'DISCARD /* c */ ALL;']],
  ]
  for (const [effect, texts] of rows) {
    for (const sql of texts)
      it(`${effect}: ${sql}`, () => assert.equal(effectOf(sql, inspect(sql, policy), policy), effect))
  }
})

describe('session: how a transaction begins', () => {
  const readOnly = (isolation: Opening['isolation'] = null): Opening => ({ readOnly: true, isolation })
  const rows: readonly (readonly [sql: string, opening: Opening | null])[] = [
    ['begin', { readOnly: false, isolation: null }],
    ['BEGIN;', { readOnly: false, isolation: null }],
    ['begin read only', readOnly()],
    ['Begin Transaction READ ONLY;', readOnly()],
    ['begin work read only', readOnly()],
    ['start transaction read only', readOnly()],
    ['START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY, DEFERRABLE', readOnly('repeatable read')],
    ['begin isolation level serializable read only not deferrable', readOnly('serializable')],
    ['begin read only isolation level read committed', readOnly('read committed')],
    ['begin isolation level read uncommitted, read only', readOnly('read committed')],
    ['begin read only read write', { readOnly: false, isolation: null }],
    ['begin read write, read only', readOnly()],
    ['/* c */ begin -- d\n read /* e */ only ; ;', readOnly()],
    ['start', null],
    ['begin read only; select 1', null],
    ['begin "read" only', null],
    ['begin something', null],
    ['commit', null],
    ['', null],
  ]
  for (const [sql, opening] of rows) it(JSON.stringify(sql), () => assert.deepEqual(openingOf(sql), opening))
})

describe('session: how a transaction ends', () => {
  const rows: readonly (readonly [sql: string, closing: ReturnType<typeof closingOf>])[] = [
    ['commit', { commits: true, chains: false }],
    ['/* c */ END work;', { commits: true, chains: false }],
    ['ROLLBACK', { commits: false, chains: false }],
    ['abort transaction', { commits: false, chains: false }],
    ['commit and chain', { commits: true, chains: true }],
    ['commit and no chain', { commits: true, chains: false }],
    ['rollback to savepoint a', null],
    ['rollback work to a', null],
    ["commit prepared 'a'", null],
    ['commit; select 1', null],
    ['select 1', null],
  ]
  for (const [sql, closing] of rows) it(sql, () => assert.deepEqual(closingOf(sql), closing))
})

describe('session: what a READ ONLY transaction on a replica cannot do there', () => {
  const rows: readonly (readonly [sql: string, needs: boolean, harms: boolean])[] = [
    ['select slug(a) from t', false, false],
    ['savepoint a', false, false],
    ['set local x = y', false, false],
    ["select set_config('a', 'b', true)", false, false],
    ['set transaction read write', true, false],
    ["set transaction snapshot '1'", true, false],
    ['lock table t', true, false],
    ['select 1; select 2', true, false],
    ['insert into t values (1)', true, false],
    ['set x = y', true, true],
    ['select act(1)', true, true],
    ['select pg_advisory_lock(1)', true, true],
    ['select pg_advisory_xact_lock(1)', true, true],
    ['create temp table t (a int)', true, true],
  ]
  for (const [sql, needs, harms] of rows) {
    it(sql, () => {
      const verdict = inspect(sql, policy)
      const effect = effectOf(sql, verdict, policy)
      assert.deepEqual([needsPrimary(sql, verdict, effect), harmsElsewhere(sql, effect)], [needs, harms])
    })
  }

  it('cursors and snapshots cannot be told to another server', () => {
    const loan = begun('begin read only', 'begin read only', 'read committed', 1000)
    const kept = (sql: string) => {
      const asked = { text: sql, sql, sqlClass: inspect(sql), route: undefined, isNamed: false, isSubmittable: false }
      const { isFixed, isolation } = after(loan, { ...asked, effect: 'transaction' }, sql)
      return { isFixed, isolation }
    }
    assert.deepEqual(kept('declare c cursor for select 1'), { isFixed: true, isolation: 'read committed' })
    assert.deepEqual(kept('set transaction isolation level repeatable read'), {
      isFixed: false,
      isolation: 'repeatable read',
    })
    assert.deepEqual(kept('savepoint a'), { isFixed: false, isolation: 'read committed' })
  })
})

describe('session: what only shapes a transaction or the session', () => {
  for (const text of ['commit', ' END;', 'commit /* a */', 'rollback to a', 'set x to 1', 'discard all'])
    it(text, () => assert.equal(onlyShapes(text), true))
  const more = [
    "commit prepared 'a'",
    "commit/**/prepared 'a'",
    "rollback /* a */ prepared 'a'",
    'begin; insert',
    'insert',
  ]
  for (const text of more) it(`not ${text}`, () => assert.equal(onlyShapes(text), false))
})
