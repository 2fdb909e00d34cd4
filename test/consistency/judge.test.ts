import assert from 'node:assert/strict'
import type { History, Read, Write } from './account.js'
import { judge } from './judge.js'

function write(value: number, ackedAt: number, more: Partial<Write> = {}): Write {
  const usual = { writer: 0, calledAt: ackedAt - 1, through: 'foreign', session: null, lostAt: null } as const
  return { ...usual, value, ackedAt, ...more }
}

function read(seen: number | readonly number[], calledAt: number, more: Partial<Read> = {}): Read {
  const values = typeof seen === 'number' ? [seen] : seen
  const where = { server: 1, onReplica: true, boundMillis: 100, phase: 'healthy', paired: false, session: null }
  return { values, calledAt, answeredAt: calledAt + 1, ...where, ...more }
}

function rulesOf(
  writes: readonly Write[],
  reads: readonly Read[],
  scope: History['scope'] = 'pool'
): readonly string[] {
  return judge({ writes, reads, scope }).violations.map(({ rule }) => rule)
}

describe('judge', () => {
  it('counts a commit that a replica showed before the primary did, and calls it no step back', () => {
    const went = (ackedAt: number, onReplica: boolean) => {
      const reads = [read(2, 10, { session: 'a' }), read(1, 20, { session: 'a', onReplica })]
      const { violations, ahead } = judge({ writes: [write(1, 1), write(2, ackedAt)], reads, scope: 'off' })
      return [violations.map(({ rule }) => rule), ahead]
    }
    assert.deepEqual(went(21, false), [[], 1])
    assert.deepEqual(went(19, false), [['monotonic'], 0])
    assert.deepEqual(went(21, true), [['monotonic'], 0])
  })

  it('takes the first write that was missed, not the newest', () => {
    const writes = [write(1, 10), write(2, 50), write(3, 190)]
    const verdict = judge({ writes, reads: [read(1, 200)], scope: 'pool' })
    assert.equal(verdict.worstMillis, 150)
    assert.deepEqual(
      verdict.violations.map(({ rule, value, staleMillis }) => [rule, value, staleMillis]),
      [['bound', 2, 150]]
    )
  })

  it('a read that is exactly as old as the bound is as promised', () => {
    assert.deepEqual(rulesOf([write(1, 100)], [read(0, 200)]), [])
    assert.deepEqual(rulesOf([write(1, 100)], [read(0, 200.001)]), ['bound'])
  })

  it('a write that was acknowledged while the read ran is not missed', () => {
    assert.deepEqual(rulesOf([write(1, 100.5, { through: 'pool' })], [read(0, 100)]), [])
  })

  it('what the primary served is judged as well', () => {
    assert.deepEqual(rulesOf([write(1, 10)], [read(0, 200, { onReplica: false })]), ['bound'])
  })

  it("must see every write of the pool that was acknowledged before, with readYourWrites: 'pool'", () => {
    const own = [write(1, 99, { through: 'pool' })]
    assert.deepEqual(rulesOf(own, [read(0, 100)]), ['own write'])
    assert.deepEqual(rulesOf(own, [read(1, 100)]), [])
    assert.deepEqual(rulesOf(own, [read(0, 100)], 'off'), [])
    assert.deepEqual(rulesOf([write(1, 99)], [read(0, 100)]), [])
  })

  it("must see the writes of its session, with readYourWrites: 'session'", () => {
    const own = [write(1, 99, { through: 'pool', session: 'a' })]
    assert.deepEqual(rulesOf(own, [read(0, 100, { session: 'a' })], 'session'), ['own write'])
    assert.deepEqual(rulesOf(own, [read(0, 100, { session: 'b' })], 'session'), [])
    assert.deepEqual(rulesOf(own, [read(0, 100)], 'session'), [])
  })

  it('a lost write that happened binds its session from the loss on, the pool once a primary can tell, and nobody else', () => {
    const lost = (more: Partial<Write> = {}, settledAt: number | null = 200) =>
      write(2, 50, { through: 'pool', session: 'a', doubt: { settledAt }, ...more })
    const rows: readonly (readonly [Write, Read, History['scope'], readonly string[]])[] = [
      [lost(), read(1, 100, { session: 'a' }), 'pool', ['own write']],
      [lost(), read(1, 100, { session: 'a' }), 'session', ['own write']],
      [lost(), read(1, 100, { session: 'a' }), 'off', []],
      [lost(), read(1, 40, { session: 'a' }), 'pool', []],
      [lost(), read(2, 100, { session: 'a' }), 'pool', []],
      [lost(), read(1, 100, { session: 'b' }), 'pool', []],
      [lost(), read(1, 100), 'pool', []],
      [lost(), read(1, 201), 'pool', ['own write']],
      [lost(), read(1, 201), 'session', []],
      [lost({}, null), read(1, 9000), 'pool', []],
      [lost({ lostAt: 150 }), read(1, 201), 'pool', []],
      [lost({ lostAt: 150 }), read(1, 201, { session: 'a' }), 'pool', []],
      [lost(), read(1, 199, { boundMillis: 1 }), 'pool', []],
    ]
    for (const [own, seen, scope, expected] of rows) {
      assert.deepEqual(rulesOf([write(1, 10), own], [seen], scope), expected, JSON.stringify([own, seen, scope]))
    }
  })

  it('each writer has an account of its own', () => {
    const writes = [write(1, 10), write(1, 20, { writer: 1 }), write(2, 60, { writer: 1 })]
    assert.deepEqual(rulesOf(writes, [read([1, 2], 200)]), [])
    assert.deepEqual(rulesOf(writes, [read([1, 1], 155)]), [])
    assert.deepEqual(rulesOf(writes, [read([1, 1], 200)]), ['bound'])
    assert.deepEqual(rulesOf(writes, [read([1], 200)]), ['bound'])
  })

  it('what died with its primary may be missing afterwards, but not before', () => {
    const writes = [write(1, 10), write(2, 20, { lostAt: 150 }), write(3, 300)]
    assert.deepEqual(rulesOf(writes, [read(1, 200)]), [])
    assert.deepEqual(rulesOf(writes, [read(1, 140)]), ['bound'])
    assert.deepEqual(rulesOf(writes, [read(2, 500)]), ['bound'])
    assert.deepEqual(rulesOf(writes, [read(3, 500)]), [])
  })

  it('within a session nothing goes back; outside of one it may', () => {
    const writes = [write(1, 10), write(2, 20)]
    const both = (session: string | null) => [read(2, 30, { session }), read(1, 40, { session })]
    assert.deepEqual(rulesOf(writes, both('a')), ['monotonic'])
    assert.deepEqual(rulesOf(writes, both(null)), [])
    const overlapping = [read(2, 30, { session: 'a', answeredAt: 50 }), read(1, 40, { session: 'a' })]
    assert.deepEqual(rulesOf(writes, overlapping), [])
    const other = [read(2, 30, { session: 'a' }), read(1, 40, { session: 'b' })]
    assert.deepEqual(rulesOf(writes, other), [])
  })

  it('a session that outlives the primary of its writes may go back by what was lost', () => {
    const writes = [write(1, 10), write(2, 20, { lostAt: 35 })]
    assert.deepEqual(rulesOf(writes, [read(2, 30, { session: 'a' }), read(1, 40, { session: 'a' })]), [])
    assert.deepEqual(rulesOf(writes, [read(2, 36, { session: 'a' }), read(1, 40, { session: 'a' })]), ['monotonic'])
  })

  it('counts reads by phase and server, and pairs', () => {
    const reads = [read(0, 1, { paired: true }), read(0, 2, { onReplica: false }), read(0, 3, { phase: 'cut' })]
    const { phases, pairs, onReplicas } = judge({ writes: [], reads, scope: 'pool' })
    assert.deepEqual(Object.fromEntries(phases), {
      healthy: { reads: 2, onReplicas: 1 },
      cut: { reads: 1, onReplicas: 1 },
    })
    assert.equal(pairs, 1)
    assert.equal(onReplicas, 2)
  })
})
