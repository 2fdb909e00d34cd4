// Messages of a server -> how a statement left its transaction; and what may have been committed when an answer ends early.

import assert from 'node:assert/strict'
import { type Ending, Exchange, type Fate, fateOf, phaseOf } from '../../src/core/session/commit.js'
import { stepsOf } from '../../src/core/sql/steps.js'

describe('commit: what the server has said', () => {
  /** Tags of commands; `!` is an error, I T E what ReadyForQuery says. */
  const rows: readonly (readonly [what: string, messages: string, endings: readonly Ending[]])[] = [
    ['a single write', 'INSERT I', ['committed']],
    ['one that is refused', '! I', ['undone']],
    ['a block', 'BEGIN T INSERT T COMMIT I', ['open', 'open', 'committed']],
    ['a block that is rolled back', 'BEGIN T INSERT T ROLLBACK I', ['open', 'open', 'undone']],
    ['COMMIT answered with ROLLBACK', 'BEGIN T ! E ROLLBACK I', ['open', 'open', 'undone']],
    ['COMMIT that is refused', 'BEGIN T INSERT T ! I', ['open', 'open', 'undone']],
    ['COMMIT AND CHAIN', 'BEGIN T INSERT T COMMIT T', ['open', 'open', 'chained']],
    ['ROLLBACK AND CHAIN', 'BEGIN T INSERT T ROLLBACK T', ['open', 'open', 'open']],
    [
      'an error, back to a savepoint, COMMIT',
      'BEGIN T SAVEPOINT T ! E ROLLBACK T COMMIT I',
      [...(['open', 'open', 'open', 'open', 'committed'] as const)],
    ],
    ['several in one text', 'INSERT INSERT I', ['committed']],
    ['of several one is refused', 'INSERT ! I', ['undone']],
    ['of several one is refused behind a COMMIT', 'INSERT COMMIT ! I', ['committed']],
    ['COMMIT; BEGIN; and an error', 'BEGIN T COMMIT BEGIN ! E', ['open', 'chained']],
    ['ROLLBACK; INSERT', 'BEGIN T ROLLBACK INSERT I', ['open', 'committed']],
    ['PREPARE TRANSACTION', 'BEGIN T INSERT T PREPARE_TRANSACTION I', ['open', 'open', 'committed']],
    ['nothing is left over', '! I INSERT I COMMIT I SELECT T', ['undone', 'committed', 'committed', 'open']],
  ]
  for (const [what, messages, endings] of rows) {
    it(what, () => {
      const exchange = new Exchange()
      const seen: Ending[] = []
      for (const message of messages.split(' ')) {
        if (message === '!') exchange.fail()
        else if (message.length === 1) seen.push(exchange.ready(message))
        else exchange.complete(message)
      }
      assert.deepEqual(seen, endings)
    })
  }
})

describe('commit: the steps of a text', () => {
  const rows: readonly (readonly [sql: string, steps: readonly string[] | null])[] = [
    ['/* c */ end and chain', ['commit-chain']],
    ['END WORK; -- x', ['commit']],
    ['abort and no chain', ['rollback']],
    ['START TRANSACTION READ ONLY', ['begin']],
    ['rollback; insert into t values (1)', ['rollback', 'work']],
    ['rollback work to savepoint a; release a', ['shape', 'shape']],
    ["prepare transaction 'a'", ['commit']],
    ["commit prepared 'a'; rollback prepared 'b'", ['work', 'work']],
    ['prepare p as select 1; execute p', ['shape', 'work']],
    [
      'create function f() returns int begin atomic; select case when true then 1 end; commit; end; select 1',
      ['work', 'work'],
    ],
    ['create rule r as on insert to t do (delete from t; delete from u)', ['work']],
    ["do $$ begin commit; end $$; select ';commit'", ['work', 'work']],
    [' ; ', []],
    ["select 'a", null],
  ]
  for (const [sql, steps] of rows) it(sql, () => assert.deepEqual(stepsOf(sql), steps))
})

describe('commit: what may have been committed when the answer ends early', () => {
  const rows: readonly (readonly [
    before: string,
    text: string,
    completed: number,
    refused: Fate,
    ended: Fate,
    cut: Fate,
    extended: Fate | null,
  ])[] = [
    // before, text, completed; refused, ended, cut; cut in the extended protocol
    ['I', 'insert into t values (1)', 0, 'nothing', 'nothing', 'perhaps', 'perhaps'],
    ['I', 'insert into t values (1)', 1, 'nothing', 'all', 'all', 'perhaps'],
    ['T', 'insert into t values (1)', 0, 'nothing', 'nothing', 'nothing', 'nothing'],
    ['T', 'insert into t values (1)', 1, 'nothing', 'nothing', 'nothing', 'nothing'],
    ['T', 'commit', 0, 'nothing', 'perhaps', 'perhaps', 'perhaps'],
    ['T', 'commit', 1, 'perhaps', 'all', 'all', 'all'],
    ['T', '/* c */ end and chain', 0, 'nothing', 'perhaps', 'perhaps', 'perhaps'],
    ['T', '/* c */ end and chain', 1, 'perhaps', 'all', 'all', 'all'],
    ['E', 'commit', 0, 'nothing', 'nothing', 'nothing', 'nothing'],
    ['T', 'rollback', 0, 'nothing', 'nothing', 'nothing', 'nothing'],
    ['T', "prepare transaction 'a'", 0, 'nothing', 'perhaps', 'perhaps', 'perhaps'],
    ['I', 'begin', 0, 'nothing', 'nothing', 'nothing', 'nothing'],
    ['I', 'set a = 1', 0, 'nothing', 'nothing', 'nothing', 'nothing'],
    ['T', 'savepoint a', 0, 'nothing', 'nothing', 'nothing', 'nothing'],
    ['T', 'rollback; insert into t values (1)', 0, 'nothing', 'nothing', 'perhaps', null],
    ['T', 'rollback; insert into t values (1)', 2, 'nothing', 'all', 'all', null],
    ['E', 'rollback; insert into t values (1)', 1, 'nothing', 'nothing', 'perhaps', null],
    ['I', 'insert into t values (1); insert into t values (2)', 1, 'nothing', 'nothing', 'perhaps', null],
    ['I', 'insert into t values (1); insert into t values (2)', 2, 'nothing', 'all', 'all', null],
    ['I', 'insert into t values (1); commit; select 1', 1, 'nothing', 'perhaps', 'perhaps', null],
    ['I', 'insert into t values (1); commit; select 1', 2, 'perhaps', 'perhaps', 'perhaps', null],
    ['I', 'begin; insert into t values (1)', 2, 'nothing', 'nothing', 'nothing', null],
    ['I', 'begin; insert into t values (1); commit', 1, 'nothing', 'nothing', 'perhaps', null],
    ['T', 'commit; begin; insert into t values (1)', 3, 'perhaps', 'perhaps', 'perhaps', null],
    ['E', 'insert into t values (1)', 0, 'nothing', 'nothing', 'nothing', 'nothing'],
    ['I', "select 'unreadable", 0, 'perhaps', 'perhaps', 'perhaps', 'perhaps'],
  ]
  for (const [status, text, completed, refused, ended, cut, extended] of rows) {
    it(`${status}: ${text}, ${completed} completed`, () => {
      const said = { status, extended: false, completed }
      const steps = stepsOf(text)
      const found = (['refused', 'ended', 'cut'] as const).map((end) => fateOf(steps, said, end))
      assert.deepEqual(found, [refused, ended, cut])
      if (extended !== null) assert.equal(fateOf(steps, { ...said, extended: true }, 'cut'), extended)
    })
  }

  it('of pipelined texts each commits by itself', () => {
    const said = { status: 'T', extended: true, completed: 0 }
    assert.equal(fateOf(['work', 'sync', 'work'], said, 'cut'), 'nothing')
    assert.equal(fateOf(['work', 'sync', 'commit'], said, 'cut'), 'perhaps')
    assert.equal(fateOf(['rollback', 'sync', 'work'], said, 'cut'), 'perhaps')
    assert.equal(fateOf(['begin', 'sync', 'work'], { ...said, status: 'I' }, 'cut'), 'nothing')
  })

  it('how far a statement of the pool was', () => {
    const at = (completed: number, extended = false) => ({ status: 'I', extended, completed })
    assert.equal(phaseOf(['work'], at(0)), 'handed')
    assert.equal(phaseOf(['work'], at(1)), 'committed')
    assert.equal(phaseOf(['work'], at(1, true)), 'completed')
    assert.equal(phaseOf(['work', 'work'], at(1)), 'handed')
    assert.equal(phaseOf(['work', 'work'], at(2)), 'committed')
    assert.equal(phaseOf(['work', 'commit', 'work'], at(2)), 'handed')
    assert.equal(phaseOf(['begin', 'work'], at(2)), 'completed')
    assert.equal(phaseOf(null, at(1)), 'completed')
  })
})
