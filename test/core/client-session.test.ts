import assert from 'node:assert/strict'
import {
  type Asked,
  after,
  begun,
  chained,
  isNested,
  isPinned,
  type Loan,
  type Own,
  type Plan,
  plan,
  planOnLoan,
  withStream,
} from '../../src/core/session/client-session.js'
import { inspect } from '../../src/core/sql/classify.js'
import { effectOf } from '../../src/core/sql/effects.js'
import { SHIPPED_ONLY } from '../../src/core/sql/names.js'

function asked(sql: string | null, more: Partial<Asked> = {}): Asked {
  const sqlClass = sql === null ? null : inspect(sql)
  const effect = sql === null || sqlClass === null ? 'taints' : effectOf(sql, sqlClass, SHIPPED_ONLY)
  return { text: sql, sql, sqlClass, effect, route: undefined, isNamed: false, isSubmittable: false, ...more }
}

const IDLE: Own = { lends: true, isIdle: true, isTainted: false }

describe('client session: where a statement goes that is in no borrowed transaction', () => {
  const table: readonly (readonly [sql: string | null, own: Partial<Own>, more: Partial<Asked>, expected: Plan])[] = [
    ['select 1', {}, {}, 'borrow'],
    ['select 1', { lends: false }, {}, 'here'],
    ['select 1', { isIdle: false }, {}, 'here'],
    ['select 1', { isTainted: true }, {}, 'here'],
    ['select 1', {}, { route: 'primary' }, 'here'],
    ['select 1', {}, { route: 'replica' }, 'borrow'],
    ['select 1', {}, { isNamed: true }, 'here'],
    ['select 1', {}, { isSubmittable: true, text: null }, 'here'],
    ['select 1; select 2', {}, {}, 'here'],
    ['insert into t values (1)', {}, {}, 'here'],
    ['select f()', {}, {}, 'here'],
    [null, {}, {}, 'here'],
    ['begin', {}, {}, 'here'],
    ['begin read only', {}, {}, 'begin'],
    ['/* c */ start transaction isolation level repeatable read, read only', {}, {}, 'begin'],
    ['begin read only', {}, { route: 'primary' }, 'here'],
    ['begin isolation level serializable read only', {}, {}, 'here'],
    ['begin read only; select 1', {}, {}, 'here'],
    ['begin read only', { isTainted: true }, {}, 'here'],
  ]
  for (const [sql, own, more, expected] of table) {
    it(`${sql} ${JSON.stringify({ ...own, ...more })}: ${expected}`, () => {
      assert.equal(plan(asked(sql, more), { ...IDLE, ...own }), expected)
    })
  }
})

const plain = begun('b', 'begin read only', 'read committed', 1000)
const read: Loan<string> = { ...plain, hasRead: true }
const snapshot: Loan<string> = { ...read, isolation: 'repeatable read' }
const fixed = withStream(plain)

describe('client session: where a statement goes that is in one', () => {
  const table: readonly (readonly [sql: string | null, Loan<string>, string, Partial<Asked>, Plan])[] = [
    ['select 1', read, 'T', {}, 'lent'],
    ['select 1', read, 'E', {}, 'lent'],
    ['savepoint a', read, 'T', {}, 'lent'],
    ["select set_config('app.tenant', $1, true)", read, 'T', {}, 'lent'],
    ["select set_config('app.tenant', $1, false)", read, 'T', {}, 'move'],
    ["select set_config('app.tenant', $1, not true)", read, 'T', {}, 'move'],
    ["select set_config('app.tenant', $1, false)", snapshot, 'T', {}, 'refuse'],
    ['select f()', plain, 'T', {}, 'move'],
    ['select f()', { ...snapshot, hasRead: false }, 'T', {}, 'move'],
    ['insert into t values (1)', read, 'T', {}, 'move'],
    ['insert into t values (1)', snapshot, 'T', {}, 'lent'], // refused there in the same words
    ['insert into t values (1)', fixed, 'T', {}, 'lent'],
    ['select pg_advisory_xact_lock(1)', fixed, 'T', {}, 'refuse'],
    ['select 1; select 2', read, 'T', {}, 'move'],
    ['select 1', read, 'T', { route: 'primary' }, 'move'],
    ['select 1', snapshot, 'T', { route: 'primary' }, 'refuse'],
    ['select 1', read, 'E', { route: 'primary' }, 'lent'],
    ['commit', snapshot, 'T', { route: 'primary' }, 'lent'],
    ['select 1', read, 'T', { ownLagMillis: 0 }, 'move'],
    ['select 1', read, 'T', { ownLagMillis: 999 }, 'move'],
    ['select 1', read, 'T', { ownLagMillis: 1000 }, 'lent'],
    ['select 1', snapshot, 'T', { ownLagMillis: 0 }, 'refuse'],
    ['commit and chain', snapshot, 'T', {}, 'chain'],
    ['rollback and chain', read, 'E', {}, 'chain'],
    [null, read, 'T', {}, 'move'],
    [null, fixed, 'T', {}, 'refuse'],
    ['select 1', read, 'T', { isSubmittable: true, text: null }, 'lent'],
    ["select set_config('a', 'b', true)", read, 'T', { isSubmittable: true, text: null }, 'move'],
  ]
  for (const [sql, loan, status, more, expected] of table) {
    const { isolation, hasRead, isFixed } = loan
    it(`${sql} ${JSON.stringify({ isolation, hasRead, isFixed, status, ...more })}: ${expected}`, () => {
      assert.equal(planOnLoan(asked(sql, more), loan, status), expected)
    })
  }
})

describe('client session: what a borrowed transaction must not forget', () => {
  const all = (...texts: readonly string[]) => texts.reduce((loan, sql) => after(loan, asked(sql), sql), plain)
  it('what shapes it, in order; a read is no shape', () => {
    const loan = all("select set_config('a', 'b', true)", 'select 1', 'savepoint s', 'set local work_mem = 64')
    assert.deepEqual(loan.shape, ['b', "select set_config('a', 'b', true)", 'savepoint s', 'set local work_mem = 64'])
    assert.deepEqual([loan.hasRead, loan.isFixed, isPinned(loan)], [true, false, false])
  })
  it('its isolation level and DEFERRABLE, however they were said, for AND CHAIN', () => {
    assert.equal(chained(plain), 'begin isolation level read committed read only')
    assert.equal(chained(all('set transaction isolation level repeatable read')), chained(snapshot))
    assert.equal(
      chained(all('set transaction deferrable')),
      'begin isolation level read committed read only deferrable'
    )
    assert.equal(chained(all('set transaction deferrable', 'set transaction not deferrable')), chained(plain))
    const serial = begun('b', 'begin read only, deferrable', 'read committed', 1000)
    assert.match(chained(serial), /deferrable$/)
  })
  it('a cursor pins it, and a read of a snapshot', () => {
    assert.equal(isPinned(all('declare c cursor for select 1')), true)
    assert.equal(isPinned(all('set transaction isolation level repeatable read')), false)
    assert.equal(isPinned(all('set transaction isolation level repeatable read', 'select 1')), true)
  })
})

describe('client session: savepoints', () => {
  const CASES: readonly (readonly [texts: readonly string[], isOpen: boolean])[] = [
    [[], false],
    [['select 1', 'set local work_mem = 64'], false],
    [['savepoint a'], true],
    [['savepoint a', 'release a'], false],
    [['savepoint a', 'RELEASE SAVEPOINT A'], false],
    [['savepoint "A"', 'release a'], true],
    [['savepoint a', 'rollback to a'], true],
    [['savepoint a', 'savepoint b', 'rollback work to savepoint a', 'release a'], false],
    [['savepoint a', 'savepoint b', 'release a'], false],
    [['savepoint a', 'savepoint a', 'release a'], true],
  ]
  for (const [texts, isOpen] of CASES) {
    it(`${texts.join('; ') || 'none'}: ${isOpen ? 'one is open' : 'none is open'}`, () =>
      assert.equal(isNested(texts), isOpen))
  }
})
