// Who made an error decides what it may say.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { failureOf, mayRepair, mayRetry, outcomeOf, type Source, type Spoken } from '../../src/core/cluster/failure.js'
import { SESSION, STATEMENT } from '../../src/core/cluster/sqlstates.js'
import { DOCUMENT, withTable } from './errors-table.js'

const READ = { read: true, undone: 'whole' } as const
const WRITE = { read: false, undone: 'whole' } as const
const CALL = { read: false, undone: 'parts' } as const
const coded = (code: string, message = code) => Object.assign(new Error(message), { code, severity: 'FATAL' })
const said = (more: Partial<Spoken>): Spoken => {
  return { code: null, severity: 'ERROR', routine: null, nested: false, begun: false, starting: false, ...more }
}
const CODES = [...new Set([...Object.keys(SESSION), ...Object.keys(STATEMENT)])]
const FOREIGN = [
  'exec_stmt_raise',
  'pgfdw_report_error',
  'connect_pg_server',
  'dblink_get_conn',
  'dblink_res_error',
  null,
]

describe('errors: who made it', () => {
  it('docs/errors.md has what the code decides: npm run build && node dist/test/core/errors-table.js writes it', () => {
    const document = readFileSync(DOCUMENT, 'utf8')
    assert.equal(document, withTable(document))
  })

  it('an ERROR of a function, a foreign server, dblink: one run, nothing accused, undone', () => {
    for (const code of CODES) {
      for (const routine of FOREIGN) {
        const failure = failureOf(coded(code), 'handed', said({ code, routine, nested: true }))
        assert.deepEqual([failure.kind, failure.accuses, failure.origin], ['statement', false, 'statement'], code)
        assert.ok(![READ, WRITE, CALL].some((what) => mayRetry(failure, what) || mayRepair(failure, what)), code)
        assert.deepEqual([outcomeOf(failure, WRITE), outcomeOf(failure, CALL)], ['rolled-back', 'unknown'])
      }
    }
  })

  it('what the application throws: one run, nothing accused, not known', () => {
    const texts = ['Connection terminated unexpectedly', 'Client was closed and is not queryable', 'timeout expired']
    const shapes = ['57P01', '57P03', '22007', 'ECONNRESET', 'ECONNREFUSED', 'EPERM', 'PGHERD_DROPPED', 'PGHERD_STALE']
    const getter = Object.defineProperty({}, 'code', { get: () => assert.fail('asked') })
    const odd = [
      ...texts.map((text) => new Error(text)),
      ...shapes.map((code) => coded(code)),
      Object.create(null),
      getter,
    ]
    for (const error of [...odd, null, undefined, 'timeout expired', Symbol('s'), 7n]) {
      const failure = failureOf(error, 'handed')
      assert.deepEqual([failure.kind, failure.accuses, failure.origin], ['caller', false, 'caller'])
      assert.ok(![READ, WRITE, CALL].some((what) => mayRetry(failure, what) || mayRepair(failure, what)))
      assert.equal(outcomeOf(failure, WRITE), 'unknown')
      assert.equal(outcomeOf(failureOf(error, 'connect'), WRITE), 'not-sent')
    }
  })

  it('each may say only what is his: no socket speaks SQLSTATE, no server Node, and neither pgherd', () => {
    const rows: readonly (readonly [code: string, source: Source])[] = [
      ['57P01', 'socket'],
      ['57P01', 'driver'],
      ['57P01', 'pgherd'],
      ['PGHERD_DROPPED', 'socket'],
      ['PGHERD_DROPPED', 'driver'],
      ['ECONNRESET', 'pgherd'],
      ['constructor', 'socket'],
      ['toString', 'pgherd'],
    ]
    for (const [code, source] of rows) assert.equal(failureOf(coded(code), 'handed', source).kind, 'caller', code)
    for (const code of ['ECONNRESET', 'PGHERD_DROPPED', 'constructor', '__proto__']) {
      for (const severity of ['ERROR', 'FATAL', null] as const) {
        assert.equal(failureOf(coded(code), 'handed', said({ code, severity })).kind, 'statement', code)
      }
    }
  })

  it('without a severity nothing is accused and nothing runs again', () => {
    for (const code of CODES) {
      const failure = failureOf(coded(code), 'handed', said({ code, severity: null }))
      assert.deepEqual([failure.kind, failure.accuses, mayRetry(failure, READ)], ['statement', false, false], code)
    }
    const crash = failureOf(coded('57P02'), 'handed', said({ code: '57P02', severity: null }))
    assert.equal(outcomeOf(crash, WRITE), 'unknown')
  })

  it('instead of a welcome every word is about the session', () => {
    for (const severity of ['ERROR', 'FATAL', null] as const) {
      const failure = failureOf(coded('x'), 'connect', said({ code: '57P03', severity, starting: true }))
      assert.deepEqual(
        [failure.kind, failure.accuses, failure.origin, failure.sent],
        ['starting', true, 'server', 'never']
      )
    }
  })

  it("the session's own limits: one run, undone", () => {
    for (const code of ['25P03', '25P04']) {
      const failure = failureOf(coded(code), 'handed', said({ code, severity: 'FATAL', routine: 'ProcessInterrupts' }))
      assert.deepEqual(
        [mayRetry(failure, READ), failure.accuses, outcomeOf(failure, WRITE)],
        [false, false, 'rolled-back']
      )
    }
  })

  it('PANIC: the server goes down, and nothing tells what it had made durable', () => {
    const failure = failureOf(coded('53100'), 'handed', said({ code: '53100', severity: 'PANIC' }))
    assert.deepEqual([failure.accuses, mayRetry(failure, READ), mayRetry(failure, WRITE)], [true, true, false])
    assert.equal(outcomeOf(failure, WRITE), 'unknown')
  })

  it('a text that could not be read was not executed, however many statements it is', () => {
    const syntax = { code: '42601', routine: 'scanner_yyerror' }
    const rows: readonly (readonly [Partial<Spoken>, string])[] = [
      [syntax, 'rolled-back'],
      [{ ...syntax, routine: 'exec_parse_message' }, 'rolled-back'],
      [{ code: '08P01', routine: 'exec_bind_message' }, 'rolled-back'],
      [{ ...syntax, nested: true }, 'unknown'],
      [{ ...syntax, begun: true }, 'unknown'],
      [{ ...syntax, routine: 'plpgsql_yyerror' }, 'unknown'],
      [{ ...syntax, severity: null }, 'unknown'],
    ]
    for (const [more, outcome] of rows) {
      assert.equal(outcomeOf(failureOf(coded('x'), 'handed', said(more)), CALL), outcome, JSON.stringify(more))
    }
  })

  it('the code counts as the server wrote it, whatever became of the object', () => {
    const failure = failureOf(Object.freeze(coded('57P01')), 'handed', said({ code: '23505' }))
    assert.deepEqual([failure.kind, failure.code, failure.severity], ['statement', '23505', 'ERROR'])
  })
})
