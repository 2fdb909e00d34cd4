import assert from 'node:assert/strict'
import { resolveConfig } from '../../src/config/config.js'
import { define, UNREAD } from '../../src/core/sql/definitions.js'
import { type Knowledge, Routing } from '../../src/router/routing.js'
import { queryArgs, type RouteOptions, Statement } from '../../src/router/statement.js'

const NOTHING = {
  since: null,
  doubt: null,
  captured: null,
  asynchronous: false,
  carried: null,
  stick: null,
  lost: false,
}
const KNOWN: Knowledge = { definitions: define([]), informed: true }

function routed(query: unknown, knowledge: Knowledge = KNOWN, wishes: RouteOptions = {}, options: object = {}) {
  const routing = new Routing(resolveConfig({ host: 'a,b', ...options }, {}, {}), knowledge)
  const args = queryArgs(query, undefined, undefined)
  return routing.route(new Statement(routing.texts, wishes, args, undefined), NOTHING)
}

describe('routing: where a read goes', () => {
  it('to a replica, with the right to be repeated and repaired', () => {
    const { target, repairs, reading, repeat } = routed('select 1')
    assert.deepEqual(
      [target.role, repairs, reading, repeat()],
      ['replica', true, true, { read: true, undone: 'whole' }]
    )
  })

  it('to the primary while it is not known what names hide, also where reads must not go there otherwise', () => {
    for (const options of [{}, { whenStale: 'error' }]) {
      for (const definitions of [UNREAD, define([])]) {
        const { target, reading, reason } = routed('select 1', { definitions, informed: false }, {}, options)
        assert.deepEqual([target.role, reading], ['primary', true])
        assert.match(reason, /catalogue has not been read/)
      }
    }
  })

  it('to the primary where somebody says so, and then it counts as what may write', () => {
    const asked: readonly (readonly [unknown, RouteOptions])[] = [
      [{ text: 'select 1', route: 'primary' }, {}],
      ['/* pgherd:primary */ select 1', {}],
      ['select 1', { route: 'primary' }],
    ]
    for (const [query, wishes] of asked) {
      const { target, reading, repeat } = routed(query, KNOWN, wishes)
      assert.deepEqual([target.role, reading, repeat()], ['primary', false, { read: false, undone: 'whole' }])
    }
  })

  it('to a replica where somebody insists, whatever is known, and what that refuses is theirs to see', () => {
    const { target, repairs } = routed(
      { text: 'insert into t values (1)', route: 'replica' },
      { ...KNOWN, informed: false }
    )
    assert.deepEqual([target.role, repairs], ['replica', false])
  })
})
