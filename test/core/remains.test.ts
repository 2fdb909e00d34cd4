import assert from 'node:assert/strict'
import { Remains } from '../../src/core/session/remains.js'
import { inspect } from '../../src/core/sql/classify.js'
import { effectOf } from '../../src/core/sql/effects.js'
import { SHIPPED_ONLY } from '../../src/core/sql/names.js'

const READER = { reads: true, effect: (text: string) => effectOf(text, inspect(text), SHIPPED_ONLY) }

/** What is done with a connection: a text that is sent, a hook's text, or a message of its server. */
type Step = (remains: Remains) => void
const sends =
  (text: string | null): Step =>
  (remains) =>
    remains.sends(text)
const hooks =
  (text: string): Step =>
  (remains) =>
    remains.hooks(text)
const completes =
  (tag: string, text: string | null = null): Step =>
  (remains) =>
    remains.completes(tag, { text })
const fails =
  (code: string, routine = 'x'): Step =>
  (remains) =>
    remains.failed(code, routine)
const ready =
  (status: string): Step =>
  (remains) =>
    remains.ready(status)
const waits =
  (what: 'portal' | 'copy-in' | 'copy-out' | null): Step =>
  (remains) =>
    remains.waitsFor(what)
const binds: Step = (remains) => remains.binds()
const executes: Step = (remains) => remains.executes()

describe('remains: may the next user have the connection?', () => {
  const table: readonly (readonly [what: string, steps: readonly Step[], primary: boolean, replica: boolean])[] = [
    ['nothing was done', [], true, true],
    ['reads, and what ends with its transaction', [sends('select 1'), sends('set local a = 1')], true, true],
    ['SET', [sends('set a = 1')], true, false],
    ['an unknown text', [sends(null)], true, false],
    ['set_config(…, true)', [sends("select set_config('a', 'b', true)")], true, true],
    ['set_config(…, not true)', [sends("select set_config('a', 'b', not true)")], true, false],
    ['DISCARD ALL', [sends('discard all'), completes('DISCARD ALL')], true, true],
    ['DISCARD ALL over what a hook has set', [hooks('set a = 1'), completes('DISCARD ALL')], false, false],
    ['DISCARD ALL where a hook only reads', [hooks('select 1'), completes('DISCARD ALL')], true, true],
    [
      'RESET ALL over what a hook has set',
      [hooks('set a = 1'), sends('reset all'), completes('RESET', 'reset all')],
      false,
      false,
    ],
    ['RESET of what a hook has set', [hooks('set App.A = 1'), completes('RESET', 'RESET app.a')], false, false],
    [
      'RESET of a time zone that a hook has set',
      [hooks("set time zone 'x'"), completes('RESET', 'reset timezone')],
      false,
      false,
    ],
    ['SET to its default', [hooks('set a = 1'), completes('SET', 'set a to default')], false, false],
    ['SET TIME ZONE DEFAULT', [hooks("set timezone = 'x'"), completes('SET', 'set time zone default')], false, false],
    [
      'RESET SESSION AUTHORIZATION',
      [hooks('set role x'), completes('RESET', 'reset session authorization')],
      false,
      false,
    ],
    ['SET of what a hook has set', [hooks('set a = 1'), completes('SET', 'set a = 2')], true, true],
    ['RESET of something else', [hooks('set a = 1'), completes('RESET', 'reset role')], true, true],
    ['a portal with rows left', [waits('portal')], false, false],
    ['a portal that was read to its end', [waits('portal'), completes('SELECT 3')], true, true],
    ['a portal that is being closed', [binds, (remains) => remains.syncs()], true, true],
    ['a portal that was never asked for', [binds], false, false],
    ['a statement with values under way', [binds, executes], true, true],
    ['a COPY that waits for its writer', [waits('copy-in')], false, false],
    ['a COPY that waits for its reader', [waits('copy-out')], false, false],
    ['a COPY that is over', [waits('copy-out'), waits(null)], true, true],
    ['a stale plan', [fails('0A000', 'RevalidateCachedQuery'), ready('I')], false, false],
    ['another feature that is not supported', [fails('0A000'), ready('I')], true, true],
    ['25006', [fails('25006'), ready('I')], false, false],
    [
      '25006 in a block that may write',
      [completes('BEGIN', 'begin'), ready('T'), fails('25006'), ready('E')],
      false,
      false,
    ],
    [
      '25006 in a READ ONLY block',
      [completes('BEGIN', 'begin read only'), ready('T'), fails('25006'), ready('E')],
      true,
      true,
    ],
    [
      '25006 behind a READ ONLY block',
      [completes('BEGIN', 'begin read only'), ready('T'), completes('COMMIT'), ready('I'), fails('25006')],
      false,
      false,
    ],
  ]
  for (const [what, steps, primary, replica] of table) {
    it(what, () => {
      const remains = new Remains(READER)
      for (const step of steps) step(remains)
      assert.deepEqual([remains.mayStay(false), remains.mayStay(true)], [primary, replica])
    })
  }

  it('texts of before the second server are read when it matters, and too many count as state', () => {
    let reads = false
    const reader = {
      get reads() {
        return reads
      },
      effect: READER.effect,
    }
    const few = new Remains(reader)
    few.sends('select 1')
    few.sends('set a = 1')
    const many = new Remains(reader)
    for (let i = 0; i <= 50; i++) many.sends(`select ${i}`)
    reads = true
    assert.deepEqual([few.isTainted, many.isTainted], [true, true])
  })

  it('state is gone when it was discarded, and a hook’s own state is missing then', () => {
    const remains = new Remains(READER)
    remains.shares()
    assert.deepEqual([remains.isShared, remains.isTainted], [true, true])
    remains.discards()
    assert.deepEqual([remains.isShared, remains.isTainted], [false, false])
    remains.hooks('set a = 1')
    remains.discards()
    assert.equal(remains.isTainted, true)
  })
})
