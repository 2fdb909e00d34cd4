import assert from 'node:assert/strict'
import { keyOf } from '../../src/core/cluster/address.js'
import type { Lsn } from '../../src/core/cluster/lsn.js'
import type { Node } from '../../src/core/cluster/node.js'
import { Scope } from '../../src/core/session/causal-scope.js'

const landed = (lsn: bigint, mono: number, epoch = 1) => ({ lsn: lsn as Lsn, ackedAt: { mono, wall: mono }, epoch })
const replica = (losses = 0) => {
  const node = { key: keyOf({ host: 'b', port: 5432 }), generation: 3, losses, state: { kind: 'replica' } }
  return node as unknown as Node
}

describe('scope: what a session has written and read', () => {
  it('a write counts for the session, those around it and the pool, not for its neighbours', () => {
    const pool = new Scope(null)
    const outer = new Scope(pool)
    const inner = new Scope(outer)
    const neighbour = new Scope(outer)
    inner.acknowledged(5)
    assert.deepEqual([pool.since, outer.since, inner.since, neighbour.since], [5, 5, 5, null])
  })
  it('a lost write counts for the session and those around it; for the pool it is a doubt, and for neighbours nothing', () => {
    const pool = new Scope(null)
    const outer = new Scope(pool)
    const inner = new Scope(outer)
    const neighbour = new Scope(outer)
    inner.doubted(5)
    inner.doubted(4)
    assert.deepEqual([outer.since, inner.since, neighbour.since], [5, 5, null])
    assert.deepEqual([pool.since, pool.doubt], [null, 5])
  })
  it('a session in a session begins with what that has seen; one in the pool begins with nothing', () => {
    const pool = new Scope(null)
    pool.acknowledged(5)
    const outer = new Scope(pool)
    assert.equal(outer.since, null)
    outer.acknowledged(7)
    outer.captured(landed(9n, 8))
    const inner = new Scope(outer)
    assert.deepEqual([inner.since, inner.highest?.lsn], [7, 9n])
  })
  it('times only rise, whatever the order of the news', () => {
    const scope = new Scope(null)
    scope.acknowledged(7)
    scope.acknowledged(5)
    assert.equal(scope.since, 7)
  })
  it('the highest captured position counts, and the newest acknowledgement of any write is remembered with it', () => {
    const scope = new Scope(null)
    scope.captured(landed(9n, 5))
    scope.captured(landed(7n, 6))
    assert.deepEqual([scope.since, scope.highest?.lsn, scope.highest?.newest], [null, 9n, 6])
    scope.acknowledged(8)
    assert.deepEqual([scope.since, scope.highest?.newest], [8, 8])
  })
  it('in a new epoch, what was captured in the old one is looked for by its time', () => {
    const scope = new Scope(null)
    scope.captured(landed(9n, 5))
    scope.captured(landed(4n, 7, 2))
    assert.deepEqual([scope.since, scope.highest?.lsn, scope.highest?.epoch], [5, 4n, 2])
  })
  it('a read on the primary raises the session, not the pool', () => {
    const pool = new Scope(null)
    const session = new Scope(pool)
    session.readOnPrimary(5)
    assert.deepEqual([pool.since, session.since], [null, 5])
  })
  it('a read on a replica keeps the session there, as it was then', () => {
    const pool = new Scope(null)
    const session = new Scope(pool)
    session.readOnReplica(replica(), 5)
    session.readOnReplica(replica(2), 4)
    assert.equal(pool.stick, null)
    assert.deepEqual(session.stick, { key: 'b:5432', generation: 3, losses: 2, since: 5 })
  })
  it('what one replica has shown must be there on the next', () => {
    const session = new Scope(new Scope(null))
    session.readOnReplica(replica(), 5)
    session.readOnReplica(replica(), 6)
    assert.equal(session.since, null)
    session.readOnReplica(replica(2), 7)
    assert.deepEqual([session.since, session.stick?.since], [6, 7])
  })
})
