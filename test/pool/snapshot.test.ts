// Topology -> what users see of it: each fact comes from belief, and nothing secret comes along.

import assert from 'node:assert/strict'
import { keyOf, type NodeAddress } from '../../src/core/cluster/address.js'
import { failureOf } from '../../src/core/cluster/failure.js'
import { parseLsn } from '../../src/core/cluster/lsn.js'
import type { ProbeResult } from '../../src/core/cluster/node.js'
import { reduce } from '../../src/core/cluster/reduce.js'
import type { Detail } from '../../src/core/cluster/sighting.js'
import { emptyTopology, type Topology, type TopologyEvent } from '../../src/core/cluster/topology.js'
import { snapshotOf } from '../../src/report/snapshot.js'
import type { NodeSnapshot } from '../../src/report/types.js'
import { detailOf } from '../support/details.js'
import { usualSource } from '../support/sources.js'

const BOUNDS = { maxLagMillis: 1000, maxLagBytes: Infinity, maxStaleMillis: 30_000 }
const instant = (millis: number) => ({ mono: millis, wall: millis })
const addressOf = (host: string, more: Partial<NodeAddress> = {}): NodeAddress => ({
  ...{ host, port: 5432, servername: null, origin: 'configured' },
  ...more,
})

interface Seen {
  readonly primary?: string
  readonly replay?: string
  readonly receiver?: null
  readonly detail?: Partial<Detail>
  readonly error?: Error
}

const found = (at: number, ...addresses: readonly NodeAddress[]): TopologyEvent => ({
  ...{ kind: 'discovered', source: `source of ${addresses[0]?.host}`, addresses, at: instant(at) },
})

function looked(at: number, host: string, { primary, replay, receiver, detail, error }: Seen): TopologyEvent {
  const lsn = parseLsn(primary)
  const sighting = {
    inRecovery: primary === undefined,
    timeline: primary === undefined ? null : 1,
    insert: lsn,
    flush: lsn,
    replay: parseLsn(replay),
    ...(receiver === null && { receiver }),
    detail: detailOf({ startedAt: `start of ${host}`, ...detail }),
  }
  const result: ProbeResult =
    error === undefined
      ? { kind: 'answer', sighting }
      : { kind: 'failure', failure: failureOf(error, 'connect', usualSource(error)) }
  const key = keyOf({ host, port: 5432 })
  return { kind: 'probed', key, startedAt: instant(at), at: instant(at), result }
}

const told = (...events: readonly TopologyEvent[]): Topology =>
  events.reduce(reduce, emptyTopology({ hosts: 2, silentMillis: 3000, strictAsyncCommit: false }))

const snapshot = (at: number, ...events: readonly TopologyEvent[]) => snapshotOf(told(...events), instant(at), BOUNDS)

function nodeIn(nodes: readonly NodeSnapshot[], host: string): NodeSnapshot {
  return nodes.find((node) => node.host === host) ?? assert.fail(`no ${host}`)
}

const BOTH = found(0, addressOf('a'), addressOf('b'))
const PRIMARY = looked(1, 'a', { primary: '0/3000100' })

describe('a snapshot of the topology', () => {
  it('tells how far the primary is, and by how many bytes a replica is behind', () => {
    const { nodes } = snapshot(500, BOTH, looked(0, 'b', { replay: '0/3000000' }), PRIMARY)
    const [a, b] = [nodeIn(nodes, 'a'), nodeIn(nodes, 'b')]
    assert.deepEqual([a.position, a.lagBytes, a.lagMillis], ['0/3000100', null, null])
    assert.deepEqual([b.position, b.lagBytes, b.lagMillis], ['0/3000000', 256, null])
    assert.equal(a.refused, null)
    assert.equal(b.refused, 'it has not replayed what this read must see')
  })

  it('a replica that has all of it: 0 bytes, and an age', () => {
    const b = nodeIn(snapshot(500, BOTH, looked(0, 'b', { replay: '0/3000100' }), PRIMARY).nodes, 'b')
    assert.deepEqual([b.lagBytes, b.lagMillis, b.refused], [0, 499, null])
  })

  it('old evidence refuses by the bound of the pool', () => {
    const events = [BOTH, looked(0, 'b', { replay: '0/3000100' }), PRIMARY]
    const at = (maxLagMillis: number) => {
      const { nodes } = snapshotOf(told(...events), instant(3000), { ...BOUNDS, maxLagMillis })
      return nodeIn(nodes, 'b').refused
    }
    assert.match(at(1000) ?? '', /no position of the primary is known that is young enough/)
    assert.equal(at(5000), null)
    assert.equal(at(Infinity), null)
  })

  it('a position of another timeline is shown, and proves nothing', () => {
    const detail = { controlTimeline: 7 }
    const b = nodeIn(snapshot(3, BOTH, PRIMARY, looked(2, 'b', { replay: '0/3000100', detail })).nodes, 'b')
    assert.deepEqual([b.position, b.lagBytes, b.lagMillis], ['0/3000100', null, null])
    assert.match(b.refused ?? '', /not proved to follow/)
    assert.doesNotMatch(b.refused ?? '', /GRANT/)
    assert.match(b.refused ?? '', /: it receives nothing now, and from a WAL archive alone only its next restartpoint/)
  })

  it('without a primary there is nobody to follow, and no grant would help', () => {
    const blind = { readsStats: false, role: 'app' }
    const { nodes } = snapshot(
      9,
      BOTH,
      looked(1, 'a', { replay: '0/1', detail: blind }),
      looked(2, 'b', { replay: '0/1' })
    )
    assert.equal(nodeIn(nodes, 'a').refused, 'no primary is known that it could follow')
  })

  it('who found a node', () => {
    const { nodes } = snapshot(
      9,
      found(0, addressOf('a')),
      found(1, addressOf('10.0.0.1', { servername: 'db' })),
      found(2, addressOf('c', { origin: 'shown' })),
      found(3, addressOf('d', { origin: 'discovered' }))
    )
    assert.deepEqual(
      nodes.map(({ host, foundBy, name, origin }) => [host, foundBy, name, origin]),
      [
        ['a', 'configured', null, 'configured'],
        ['10.0.0.1', 'dns', 'db', 'configured'],
        ['c', 'replication', null, 'shown'],
        ['d', 'replication', null, 'discovered'],
      ]
    )
  })

  it('what several sources list is as the strongest of them says, in either order', () => {
    const shown = found(1, addressOf('b', { origin: 'shown' }))
    const member: TopologyEvent = {
      ...{ kind: 'discovered', source: 'patroni', at: instant(2) },
      addresses: [addressOf('b', { origin: 'discovered' }), addressOf('a', { origin: 'discovered', weight: 0 })],
    }
    for (const events of [
      [found(0, addressOf('a')), shown, member],
      [found(0, addressOf('a')), member, shown],
    ]) {
      const { nodes } = snapshot(9, ...events)
      assert.deepEqual(nodes.map(({ host, origin, foundBy, weight }) => [host, origin, foundBy, weight]).sort(), [
        ['a', 'configured', 'configured', 0],
        ['b', 'discovered', 'patroni', 1],
      ])
    }
  })

  it('weights and zones, as they were given; a replica of another zone could serve, one of weight 0 does not', () => {
    const given = found(
      0,
      addressOf('a'),
      addressOf('b', { zone: 'x' }),
      addressOf('c', { zone: 'y', weight: 2 }),
      addressOf('d', { weight: 0 })
    )
    const replay = { replay: '0/3000100' }
    const looks = (at: number) => ['b', 'c', 'd'].map((host) => looked(at, host, replay))
    const topology = told(
      given,
      ...looks(0),
      PRIMARY,
      ...looks(2),
      looked(3, 'a', { primary: '0/3000100' }),
      ...looks(4)
    )
    const { nodes } = snapshotOf({ ...topology, rules: { ...topology.rules, zone: 'x' } }, instant(500), BOUNDS)
    assert.deepEqual(
      nodes.map(({ host, weight, zone, refused }) => [host, weight, zone, refused]),
      [
        ['a', 1, null, null],
        ['b', 1, 'x', null],
        ['c', 2, 'y', null],
        ['d', 0, null, 'its weight is 0: it serves reads only where neither another replica nor the primary can'],
      ]
    )
  })

  it('what a plain role does not see, and the statement that mends it', () => {
    const blind = { readsStats: false, role: 'my "app"' }
    const senders = [{ address: null, name: 'b', state: null }]
    const { nodes } = snapshot(
      9,
      BOTH,
      looked(1, 'a', { primary: '0/3000100', detail: { ...blind, senders } }),
      looked(2, 'b', { replay: '0/3000100', detail: { ...blind, controlTimeline: 7 } })
    )
    const [a, b] = [nodeIn(nodes, 'a'), nodeIn(nodes, 'b')]
    const grant = 'GRANT pg_read_all_stats TO "my ""app"""'
    assert.deepEqual(
      [...a.hidden, ...b.hidden].map((each) => each.grant),
      [grant, grant]
    )
    assert.match(a.hidden[0]?.what ?? '', /addresses of the replicas/)
    assert.match(b.hidden[0]?.what ?? '', /timeline/)
    assert.match(b.refused ?? '', /not proved to follow .*: GRANT pg_read_all_stats TO "my ""app""" shows it/)
  })

  it('a replica that receives nothing, as from a WAL archive alone, shows no more to a greater role', () => {
    const detail = { readsStats: false, role: 'app', controlTimeline: 7 }
    const { nodes } = snapshot(9, BOTH, PRIMARY, looked(2, 'b', { replay: '0/3000100', receiver: null, detail }))
    const { hidden, refused } = nodeIn(nodes, 'b')
    assert.deepEqual(hidden, [])
    assert.match(refused ?? '', /not proved to follow .*: it receives nothing now/)
    assert.doesNotMatch(refused ?? '', /GRANT/)
  })

  it('hides nothing from who may see, and nothing that is not there', () => {
    const { nodes } = snapshot(9, BOTH, PRIMARY, looked(2, 'b', { replay: '0/3000100' }))
    assert.deepEqual(
      nodes.map(({ hidden }) => hidden),
      [[], []]
    )
    const lonely = snapshot(9, BOTH, looked(1, 'a', { primary: '0/1', detail: { readsStats: false } })).nodes
    assert.deepEqual(nodeIn(lonely, 'a').hidden, [])
  })

  it('pg_control_system() may be forbidden', () => {
    const { nodes } = snapshot(9, BOTH, looked(1, 'a', { primary: '0/1', detail: { systemIdentifier: null } }))
    const [hidden] = nodeIn(nodes, 'a').hidden
    assert.match(hidden?.grant ?? '', /^GRANT EXECUTE ON FUNCTION pg_control_system\(\), .* TO "app"$/)
  })

  it('the code of a failure, its words, and which source is blind', () => {
    const error = Object.assign(new Error('password authentication failed'), { code: '28P01' })
    const lost: TopologyEvent = {
      ...{ kind: 'discovery-failed', source: 'dns db:5432', at: instant(3) },
      failure: failureOf(Object.assign(new Error('getaddrinfo ENOTFOUND db'), { code: 'ENOTFOUND' }), 'connect'),
    }
    const { nodes, blind } = snapshot(9, BOTH, looked(1, 'a', { error }), lost)
    const { state, failure, failureCode } = nodeIn(nodes, 'a')
    assert.deepEqual([state, failure, failureCode], ['unknown', 'password authentication failed', '28P01'])
    assert.deepEqual({ ...blind }, { 'dns db:5432': 'getaddrinfo ENOTFOUND db' })
  })

  it('an alias names the node that it is, the version is the server’s own word', () => {
    const detail = { startedAt: 'one start', version: '16.2' }
    const { nodes } = snapshot(
      9,
      BOTH,
      looked(1, 'a', { primary: '0/1', detail }),
      looked(2, 'b', { primary: '0/1', detail })
    )
    const { state, sameAs, refused } = nodeIn(nodes, 'b')
    assert.deepEqual([state, sameAs], ['alias', 'a:5432'])
    assert.equal(refused, 'it is another address of a:5432, which is listed already')
    assert.equal(nodeIn(nodes, 'a').version, '16.2')
  })

  it('is frozen, all of it', () => {
    const picture = snapshot(9, BOTH, PRIMARY)
    const parts = [
      picture,
      picture.nodes,
      picture.blind,
      picture.contested,
      ...picture.nodes.flatMap((node) => [node, node.hidden]),
    ]
    for (const part of parts) assert.ok(Object.isFrozen(part))
  })
})
