import assert from 'node:assert/strict'
import { classify, inspect } from '../../src/core/sql/classify.js'
import {
  culprit,
  type DefinitionRow,
  define,
  doubted,
  type NameOptions,
  policyOf,
  UNREAD,
  unreadable,
} from '../../src/core/sql/definitions.js'

const row = (kind: DefinitionRow['kind'], name: string, text: string | null = null): DefinitionRow => ({
  kind,
  name,
  text,
})
const NO_OPTIONS: NameOptions = { primaryFunctions: [], replicaSafeFunctions: [], primaryRelations: [] }

/** What a shop might define. */
const SHOP = define([
  row('function', 'slug'),
  row('volatile', 'touch'),
  row('volatile', 'round'),
  row('field', 'touch'),
  row('contrib', 'gen_salt'),
  row('contrib', 'gen_random_uuid'),
  row('contrib', 'connectby'),
  row('unlogged', 'cache'),
  row('foreign', 'elsewhere'),
  row('sequence', 'orders_id_seq'),
  row('operator', '<<>>'),
  row('view', 'plain', 'SELECT slug(o.item) AS slug FROM orders o;'),
  row('view', 'ticket', "SELECT nextval('orders_id_seq'::regclass) AS n;"),
  row('view', 'deep', 'SELECT t.n FROM ticket t WHERE (EXISTS ( SELECT 1 FROM middle));'),
  row('view', 'middle', 'SELECT cache.a FROM cache;'),
  row('view', 'deepest', 'SELECT deep.n FROM deep;'),
  row('view', 'locking', 'SELECT pg_advisory_lock(1);'),
  row('view', 'over_locking', 'SELECT * FROM locking;'),
  row('view', 'unknown_inside', 'SELECT never_heard_of(1);'),
  row('view', 'unreadable', null),
  row('view', 'itself', 'SELECT 1 FROM itself;'),
  row('view', 'named_like', 'SELECT o.a AS ticket FROM orders o;'),
  row('policy', 'secrets', '(touch(id) > 0)'),
  row('policy', 'fenced', '(tenant = (CURRENT_USER)::text)'),
  row('policy', 'nested', '(id IN ( SELECT deepest.n FROM deepest))'),
])

describe('definitions: what a catalogue says', () => {
  const policy = policyOf(NO_OPTIONS, SHOP, new Set())
  const rows: readonly (readonly [sql: string, intent: string])[] = [
    ['select slug(a) from orders', 'read'],
    ['select touch(a) from orders', 'write'],
    ['select o.touch from orders o', 'write'],
    ['select round(1.5)', 'write'], // one of its overloads is the shop's
    ["select gen_salt('bf'), gen_random_uuid()", 'read'],
    ["select * from connectby('t', 'a', 'b', 'c', 0)", 'write'],
    ['select missing(1)', 'write'],
    ['select a <<>> b from orders', 'write'],
    ['select a <> b from orders', 'read'],
    ['select last_value from orders', 'read'], // a column: the sequences are known by name
    ['select last_value from orders_id_seq', 'write'],
    ['select * from cache', 'write'],
    ['select * from app.elsewhere', 'write'],
    ['select * from orders_id_seq', 'write'],
    ['select * from plain', 'read'],
    ['select * from named_like', 'read'],
    ['select * from itself', 'read'],
    ['select * from ticket', 'write'],
    ['select * from middle', 'write'],
    ['select * from deep', 'write'],
    ['select * from deepest', 'write'],
    ['select * from locking', 'session'],
    ['select * from over_locking', 'session'],
    ['select * from unknown_inside', 'write'],
    ['select * from unreadable', 'write'],
    ['select * from secrets', 'write'],
    ['select * from nested', 'write'],
    ['select * from fenced', 'read'],
  ]
  for (const [sql, intent] of rows) it(sql, () => assert.equal(inspect(sql, policy).intent, intent))

  it('the reason names the whole way', () => {
    const { word, reason } = inspect('select * from nested', policy)
    assert.equal(word, 'nested')
    assert.match(
      reason,
      /policy that reaches deepest, which is a view that reaches deep, which .*cache, which is unlogged/
    )
  })

  it('a long chain of views, given in the worst order, is read in linear time', () => {
    const length = 20_000
    const rows = Array.from({ length }, (_, i) => row('view', `v${i}`, `SELECT a FROM v${i + 1}`))
    const definitions = define([...rows, row('view', `v${length}`, "SELECT nextval('s')")])
    assert.equal(policyOf(NO_OPTIONS, definitions, new Set()).relations.size, length + 1)
  })
})

describe('definitions: before, without and after a catalogue', () => {
  const sql = 'select slug(a) from orders'
  it('before it has been read an unknown function means primary', () => {
    const policy = policyOf(NO_OPTIONS, UNREAD, new Set())
    assert.equal(inspect(sql, policy).intent, 'write')
    assert.match(inspect(sql, policy).reason, /not been read yet/)
  })
  it('without one too, and the reason says why there is none', () => {
    const policy = policyOf(NO_OPTIONS, unreadable('permission denied for table pg_proc'), new Set())
    assert.match(inspect(sql, policy).reason, /permission denied for table pg_proc/)
  })
  it('while definitions change nobody is harmless on its word, and what needs the primary still does', () => {
    const policy = policyOf(NO_OPTIONS, doubted(SHOP), new Set())
    assert.deepEqual(
      [sql, 'select touch(1)', 'select * from cache', 'select lower(a) from orders'].map(
        (text) => inspect(text, policy).intent
      ),
      ['write', 'write', 'write', 'read']
    )
  })
})

describe("definitions: the user's word", () => {
  const options = {
    primaryFunctions: ['slug', 'lower'],
    replicaSafeFunctions: ['touch', 'current_setting'],
    primaryRelations: ['orders'],
  }
  const policy = policyOf(options, SHOP, new Set(['touch']))
  const rows: readonly (readonly [sql: string, intent: string])[] = [
    ['select slug(a) from t', 'write'],
    ['select lower(a) from t', 'write'],
    ['select touch(a) from t', 'read'], // above the catalogue and above what a replica once refused
    ["select current_setting('app.tenant')", 'read'],
    ['select * from app.orders', 'write'],
    ['select * from ticket', 'write'],
    // It reaches into views and policies too.
    ['select * from plain', 'write'],
    ['select * from secrets', 'read'],
  ]
  for (const [sql, intent] of rows) it(sql, () => assert.equal(inspect(sql, policy).intent, intent))
})

describe('definitions: who is to blame for a refusal', () => {
  const rows: readonly (readonly [sql: string, name: string | null])[] = [
    ['select slug(a) from orders where id = 17', 'slug'],
    ['select * from plain where id = 17', 'plain'],
    ['select slug(a) from plain', null], // either
    ['select a ||| b from orders', null], // an operator: neither
    ['select * from fenced', 'fenced'],
    ["select 'slug' from orders", null],
  ]
  for (const [sql, name] of rows) it(sql, () => assert.equal(culprit(sql, SHOP), name))

  const blind: readonly (readonly [sql: string, name: string | null])[] = [
    ['select * from app.plain p where id = 17', 'plain'],
    ['select * from "Plain"', 'Plain'],
    ['select * from a join b using (id)', null],
    ['select * from a where x in (select y from a)', 'a'],
    ['select 1', null],
  ]
  for (const [sql, name] of blind) it(`without a catalogue: ${sql}`, () => assert.equal(culprit(sql, UNREAD), name))

  it('a learned name is primary as a function and as a relation', () => {
    const policy = policyOf(NO_OPTIONS, SHOP, new Set(['slug', 'plain']))
    for (const sql of ['select slug(1)', 'select * from plain']) assert.equal(inspect(sql, policy).intent, 'write')
    assert.equal(classify('select 1'), 'read')
  })
})

describe('definitions: what acts outside of its transaction', () => {
  const rows = [
    row('volatile', 'apart'),
    row('acting', 'apart', 'outside'),
    row('volatile', 'in_c'),
    row('acting', 'in_c', 'hidden'),
    row('volatile', 'touch'),
    row('changing', 'audited', 'outside'),
    row('touching', 'even', 'outside'),
    row('operator', '#>#'),
    row('acting', '#>#', 'outside'),
    row('operator', '#<#'),
    row('foreign', 'elsewhere'),
    row('view', 'v', 'SELECT apart(1) AS apart;'),
    row('view', 'over_v', 'SELECT v.apart FROM v;'),
    row('view', 'slots', 'SELECT pg_switch_wal() AS pg_switch_wal;'),
    row('view', 'plain', 'SELECT touch(1) AS touch;'),
  ]
  const undone = (sql: string, definitions = define(rows)) =>
    inspect(sql, policyOf(NO_OPTIONS, definitions, new Set())).undone

  it('is looked up by the names of functions, tables and views', () => {
    const found = Object.fromEntries(
      [
        'select apart(1)',
        'select in_c(1)',
        'select touch(1)',
        'insert into audited values (1)',
        'update elsewhere set a = 1',
        'select * from v',
        'select * from over_v',
        'select * from slots',
        'select * from plain',
        'insert into t values (1)',
        'select a::even from t',
        'select a #># 1',
        'select a #<# 1',
      ].map((sql) => [sql, undone(sql)])
    )
    assert.deepEqual(found, {
      'select apart(1)': 'outside',
      'select in_c(1)': 'hidden',
      'select touch(1)': 'whole',
      'insert into audited values (1)': 'outside',
      'update elsewhere set a = 1': 'hidden',
      'select * from v': 'outside',
      'select * from over_v': 'outside',
      'select * from slots': 'outside',
      'select * from plain': 'whole',
      'insert into t values (1)': 'whole',
      'select a::even from t': 'outside',
      'select a #># 1': 'outside',
      'select a #<# 1': 'whole',
    })
  })

  it('is doubted with the rest, and what is known stays known', () => {
    const sqls = ['select touch(1)', 'select apart(1)', 'insert into audited values (1)']
    const found = sqls.map((sql) => undone(sql, doubted(define(rows))))
    assert.deepEqual(found, ['hidden', 'outside', 'outside'])
    assert.equal(undone('select touch(1)', UNREAD), 'hidden')
  })
})
