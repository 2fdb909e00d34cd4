// Which of several replicas that may all serve gets the read: the least busy for its weight, and between equals chance, by weight.

import assert from 'node:assert/strict'
import { keyOf, type NodeAddress, type NodeKey } from '../../src/core/cluster/address.js'
import { leastInFlight, type Moment } from '../../src/core/cluster/balance.js'
import type { Node } from '../../src/core/cluster/node.js'
import { reduce } from '../../src/core/cluster/reduce.js'
import { emptyTopology, type Topology } from '../../src/core/cluster/topology.js'

const now = { mono: 0, wall: 0 }
const NAMES = ['a', 'b', 'c', 'd', 'e']

const empty = emptyTopology({ hosts: 3, silentMillis: 3000, strictAsyncCommit: false })

function found(topology: Topology, source: string, addresses: readonly Partial<NodeAddress>[]): Topology {
  const list = addresses.map(
    (address, i): NodeAddress => ({
      ...{ host: NAMES[i] ?? '', port: 5432, servername: null, origin: 'configured' },
      ...address,
    })
  )
  return reduce(topology, { kind: 'discovered', source, addresses: list, at: now })
}

const nodesOf = (weights: readonly (number | undefined)[]): readonly Node[] => [
  ...found(
    empty,
    'configured',
    weights.map((weight) => ({ weight }))
  ).nodes.values(),
]

function moment(random: number, inFlight: (key: NodeKey) => number = () => 0): Moment {
  return { now, random, inFlight, avoid: new Set() }
}

/** Numbers that are spread evenly, the same in every run. */
const evenly = (i: number) => (i * 0.618_034) % 1

describe('balance: leastInFlight', () => {
  const rows: readonly (readonly [
    what: string,
    weights: readonly number[],
    busy: readonly number[],
    chosen: string,
  ])[] = [
    ['the least busy', [1, 1, 1], [2, 1, 3], 'b'],
    ['the least busy for its weight', [4, 1, 1], [3, 1, 1], 'a'],
    ['not the heaviest, once it is busier for its weight', [4, 1, 1], [5, 1, 2], 'b'],
    ['a light one when it is idle', [4, 0.5], [1, 0], 'b'],
    ['those without a weight by their statements', [0, 0], [1, 0], 'b'],
  ]
  for (const [what, weights, busy, chosen] of rows) {
    it(`takes ${what}, whatever chance says`, () => {
      const nodes = nodesOf(weights)
      const inFlight = (key: NodeKey) => busy[nodes.findIndex((node) => node.key === key)] ?? 0
      for (const random of [0, 0.4, 0.999_999]) {
        assert.equal(leastInFlight(nodes, moment(random, inFlight)).address.host, chosen)
      }
    })
  }

  it('lets chance decide between equals', () => {
    const nodes = nodesOf([1, 1, 1])
    for (const busy of [0, 5]) {
      const chosen = [0, 0.4, 0.99].map(
        (random) =>
          leastInFlight(
            nodes,
            moment(random, () => busy)
          ).address.host
      )
      assert.deepEqual(chosen, ['a', 'b', 'c'])
    }
  })
  it('gives no more to an equal that stands behind a busy one', () => {
    const nodes = nodesOf([1, 1, 1])
    const inFlight = (key: NodeKey) => (key === nodes[0]?.key ? 1 : 0)
    const chosen = Array.from(
      { length: 1000 },
      (_, i) => leastInFlight(nodes, moment(evenly(i), inFlight)).address.host
    )
    assert.ok(Math.abs(chosen.filter((host) => host === 'b').length - 500) < 10)
  })

  const weights = [1, 2, 5]
  for (const callers of [1, 16, 64]) {
    it(`${callers} callers at once: shares by weight where statements take equally long`, () => {
      const nodes = nodesOf(weights)
      const running: Node[] = []
      const served = new Map<NodeKey, number>()
      const inFlight = (key: NodeKey) => running.filter((node) => node.key === key).length
      for (let i = 0; i < 4000; i++) {
        if (running.length === callers) running.shift()
        const node = leastInFlight(nodes, moment(evenly(i), inFlight))
        running.push(node)
        served.set(node.key, (served.get(node.key) ?? 0) + 1)
      }
      for (const [i, node] of nodes.entries()) {
        const share = (served.get(node.key) ?? 0) / 4000
        assert.ok(Math.abs(share - (weights[i] ?? 0) / 8) < 0.06, `${node.address.host} had ${share}`)
      }
    })
  }
})

describe('balance: weights and zones', () => {
  const key = keyOf({ host: 'a', port: 5432 })
  const traits = (topology: Topology) => {
    const address = topology.nodes.get(key)?.address
    return [address?.origin, address?.weight, address?.zone]
  }
  it('come with the address, and change with it', () => {
    const first = found(empty, 'replication', [{ origin: 'discovered', weight: 2, zone: 'x' }])
    assert.deepEqual(traits(first), ['discovered', 2, 'x'])
    const second = found(first, 'replication', [{ origin: 'discovered', weight: 3, zone: 'x' }])
    assert.deepEqual(traits(second), ['discovered', 3, 'x'])
    assert.equal(found(second, 'replication', [{ origin: 'discovered', weight: 3, zone: 'x' }]), second)
  })
  it('are those of the options where the server was found as well, which may say the rest', () => {
    const listed = found(empty, 'configured', [{ zone: 'y' }])
    const later = found(listed, 'replication', [{ origin: 'discovered', weight: 2, zone: 'x' }])
    assert.deepEqual(traits(later), ['configured', 2, 'y'])
    const first = found(empty, 'replication', [{ origin: 'discovered', weight: 2, zone: 'x' }])
    assert.deepEqual(traits(found(first, 'configured', [{ zone: 'y' }])), ['configured', 2, 'y'])
    assert.deepEqual(traits(found(first, 'configured', [{ weight: 1 }])), ['configured', 1, 'x'])
  })
})
