import assert from 'node:assert/strict'
import type { NodeKey } from '../../src/core/cluster/address.js'
import { changes } from '../../src/core/cluster/changes.js'
import { failureOf } from '../../src/core/cluster/failure.js'
import type { Instant } from '../../src/core/cluster/instant.js'
import type { Node } from '../../src/core/cluster/node.js'
import { isOver, type Outage, outageAfter } from '../../src/core/cluster/outage.js'
import { emptyTopology, type Topology } from '../../src/core/cluster/topology.js'

const at = (millis: number): Instant => ({ mono: millis, wall: millis })
const [A, B] = ['a:1', 'b:1'] as [NodeKey, NodeKey]
const refused = failureOf(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }), 'connect', 'socket')

/** As far as an outage looks at it. */
function picture(epoch: number, states: Readonly<Record<string, string>>, contested = false): Topology {
  const nodes = new Map<NodeKey, Node>()
  let primary: NodeKey | null = null
  for (const [key, state] of Object.entries(states)) {
    const suspect = state === 'suspect' ? { since: at(0), failure: refused } : null
    const kind = state === 'suspect' ? 'primary' : state
    if (kind === 'primary') primary = key as NodeKey
    nodes.set(
      key as NodeKey,
      { key, state: { kind, failure: refused }, suspect, generation: 0, draining: false } as never
    )
  }
  const empty = emptyTopology({ hosts: 2, silentMillis: 1, strictAsyncCommit: false })
  const incumbent = { key: A, timeline: 1, lastLive: at(0), begun: null }
  const claimants = contested ? { since: at(0), claimants: [A, B] } : null
  return { ...empty, epoch, nodes, primary, incumbent, contested: claimants }
}

function course(...pictures: readonly Topology[]): { outage: Outage | null; told: string[] } {
  let outage: Outage | null = null
  let told: string[] = []
  pictures.slice(1).forEach((after, i) => {
    const before = pictures[i] as Topology
    outage = outageAfter(outage, after, before, changes(before, after), at(i))
    told = (outage?.phases ?? []).map(({ kind, node, cause, at }) => `${at.mono} ${kind} ${node} ${cause}`)
  })
  return { outage, told }
}

describe('outage', () => {
  it('is told phase by phase, until another primary is there', () => {
    const { outage, told } = course(
      picture(1, { [A]: 'primary', [B]: 'replica' }),
      picture(1, { [A]: 'suspect', [B]: 'replica' }),
      picture(1, { [A]: 'down', [B]: 'replica' }),
      picture(1, { [A]: 'down', [B]: 'claimant' }),
      picture(2, { [A]: 'down', [B]: 'primary' })
    )
    assert.deepEqual(told, [
      '0 suspected a:1 unreachable',
      '1 convicted a:1 unreachable',
      '2 claimed b:1 null',
      '3 promoted b:1 null',
    ])
    assert.equal(outage?.from, A)
    assert.ok(outage !== null && isOver(outage, picture(2, { [B]: 'primary' })))
  })

  it('that nobody won is one of the same epoch', () => {
    const { outage, told } = course(
      picture(1, { [A]: 'primary', [B]: 'replica' }),
      picture(1, { [A]: 'claimant', [B]: 'claimant' }, true),
      picture(1, { [A]: 'primary', [B]: 'replica' })
    )
    assert.deepEqual(told.map((each) => each.slice(2)).sort(), [
      'claimed a:1 null',
      'claimed b:1 null',
      'contested null null',
    ])
    assert.ok(outage !== null && !isOver(outage, picture(1, { [A]: 'primary' })))
  })

  it('of a contest names all who claim, whoever claimed first', () => {
    const { told } = course(
      picture(1, { [A]: 'primary', [B]: 'replica' }),
      picture(1, { [A]: 'primary', [B]: 'claimant' }),
      picture(1, { [A]: 'claimant', [B]: 'claimant' }, true),
      picture(1, { [A]: 'down', [B]: 'claimant' }),
      picture(2, { [A]: 'down', [B]: 'primary' })
    )
    assert.deepEqual(told, ['1 claimed a:1 null', '1 claimed b:1 null', '1 contested null null', '3 promoted b:1 null'])
  })

  it('of hours, in which servers came and went, tells how it began and how it ended', () => {
    const flaps = Array.from({ length: 1000 }, (_, i) =>
      picture(1, { [A]: 'down', [B]: i % 2 ? 'replica' : 'claimant' })
    )
    const { outage, told } = course(
      picture(1, { [A]: 'primary', [B]: 'replica' }),
      picture(1, { [A]: 'down', [B]: 'replica' }),
      ...flaps,
      picture(2, { [A]: 'down', [B]: 'primary' })
    )
    // What an SDK keeps of a span.
    assert.ok((outage?.phases.length ?? 0) <= 128)
    assert.deepEqual(told.slice(0, 2), ['0 convicted a:1 unreachable', '1 claimed b:1 null'])
    assert.deepEqual(told.slice(-2), ['999 claimed b:1 null', '1001 promoted b:1 null'])
  })

  it('of a primary replaced in one step, as a switchover may look', () => {
    const { outage, told } = course(
      picture(1, { [A]: 'primary', [B]: 'replica' }),
      picture(2, { [A]: 'replica', [B]: 'primary' })
    )
    assert.deepEqual(told, ['0 convicted a:1 role', '0 promoted b:1 null'])
    assert.equal(outage?.from, A)
  })

  it('there is none before the first primary, nor when replicas come and go', () => {
    assert.equal(course(picture(0, {}), picture(1, { [A]: 'primary' })).outage, null)
    assert.equal(
      course(picture(1, { [A]: 'primary', [B]: 'replica' }), picture(1, { [A]: 'primary', [B]: 'down' })).outage,
      null
    )
  })
})
