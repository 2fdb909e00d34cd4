// Whatever throws while news is taken in, the rest of the news, the subscribers and those who wait go on.

import assert from 'node:assert/strict'
import type { NodeAddress, NodeKey } from '../../src/core/cluster/address.js'
import { leastInFlight } from '../../src/core/cluster/balance.js'
import type { Sighting } from '../../src/core/cluster/sighting.js'
import { emptyTopology, type Topology, type TopologyEvent } from '../../src/core/cluster/topology.js'
import { folded } from '../../src/herd/fold.js'
import type { Attempt } from '../../src/herd/herd.js'
import { Store } from '../../src/herd/store.js'
import { detailOf } from '../support/details.js'
import { ManualClock, settled } from '../support/manual-clock.js'
import { coded, hostOf, READ, REPLICA, scripted, server, set } from '../support/scripted-herd.js'

const RULES = { hosts: 2, silentMillis: 3000, strictAsyncCommit: false }
const [A, B] = ['a:5432', 'b:5432'] as [NodeKey, NodeKey]
const address = (host: string): NodeAddress => ({ host, port: 5432, servername: null, origin: 'configured' })
const instant = (millis: number) => ({ mono: millis, wall: millis })

const found = (at: number): TopologyEvent => ({
  kind: 'discovered',
  source: 'configured',
  addresses: [address('a'), address('b')],
  at: instant(at),
})

function sighting(inRecovery: boolean): Sighting {
  const detail = detailOf({ systemIdentifier: '7', startedAt: inRecovery ? 'b' : 'a', controlTimeline: 1 })
  const timeline = inRecovery ? null : 1
  return { inRecovery, timeline, insert: 1n as never, flush: 1n as never, replay: null, detail }
}

const unreadable = new Proxy({} as Sighting, {
  get() {
    throw new Error('cannot be read')
  },
})

const probed = (key: NodeKey, at: number, seen: Sighting): TopologyEvent => ({
  kind: 'probed',
  key,
  startedAt: instant(at),
  at: instant(at),
  result: { kind: 'answer', sighting: seen },
})

describe('what throws while news is taken in', () => {
  const pictured = (store: Store): Topology => {
    store.dispatch(found(0))
    store.dispatch(probed(A, 1, sighting(false)))
    store.dispatch(probed(B, 1, sighting(true)))
    assert.equal(store.topology.primary, A)
    return store.topology
  }

  it('reduce(), of a probe: the node is suspect as after a failed one, and down after silentMillis', () => {
    const defects: unknown[] = []
    const store = new Store(emptyTopology(RULES), new ManualClock(), undefined, (error) => defects.push(error))
    pictured(store)
    store.dispatch(probed(A, 100, unreadable))
    assert.match(store.topology.nodes.get(A)?.suspect?.failure.message ?? '', /cannot be read/)
    assert.equal(store.topology.nodes.get(B)?.suspect, null)
    store.dispatch(probed(A, 3200, unreadable))
    assert.equal(store.topology.nodes.get(A)?.state.kind, 'down')
    assert.equal(defects.length, 2)
    store.dispatch(probed(A, 3300, sighting(false)))
    assert.equal(store.topology.nodes.get(A)?.state.kind, 'primary')
  })

  it('reduce(), of any other news of a node: it is suspect; of a source: that is blind', () => {
    const store = new Store(emptyTopology(RULES), new ManualClock())
    const before = pictured(store)
    for (const kind of ['shown', 'identified', 'accused'] as const) {
      const broken = new Proxy({ kind, key: B } as TopologyEvent, {
        get: (news, name) => (name in news ? Reflect.get(news, name) : assert.fail('broken')),
      })
      let thrown = 0
      const after = folded(before, broken, new ManualClock(), () => thrown++)
      assert.deepEqual([thrown, after.nodes.get(B)?.suspect?.failure.kind], [1, 'lost'], kind)
    }
    const list: TopologyEvent = { kind: 'discovered', source: 'x', addresses: [null as never], at: instant(5) }
    assert.ok(folded(before, list, new ManualClock(), () => {}).blind.has('x'))
  })

  it('a subscriber: the others are told, those who wait are asked, and later news is taken in', async () => {
    const defects: unknown[] = []
    const store = new Store(emptyTopology(RULES), new ManualClock(), undefined, (error) => defects.push(error))
    const told: string[] = []
    store.subscribe(() => assert.fail('a subscriber'))
    store.subscribe(() => void told.push('second'))
    const waits = store.waitFor((topology) => topology.primary ?? undefined, 30_000)
    const fails = store.waitFor((topology) => (topology.primary === null ? undefined : assert.fail('asked')), 30_000)
    pictured(store)
    assert.equal(await waits, A)
    await assert.rejects(fails, /asked/)
    assert.ok(told.length >= 3)
    assert.equal(defects.length, told.length)
    assert.equal(store.waiting, 0)
  })

  it('whoever is told of all news', () => {
    const store = new Store(emptyTopology(RULES), new ManualClock(), () => assert.fail('heard'))
    pictured(store)
  })

  const three = () => ({ a: server('primary', { replicas: 2 }), b: server('replica'), c: server('replica') })
  const chosen = async (place: Attempt) => hostOf(place)
  const wrong: readonly (readonly [what: string, balance: () => unknown])[] = [
    ['throws', () => assert.fail('no choice')],
    ['returns nothing', () => undefined],
    ['returns another node', () => ({ key: 'x' })],
    ['returns a promise that rejects', () => Promise.reject(new Error('later'))],
  ]
  for (const [what, balance] of wrong) {
    it(`a balance function that ${what}: the read has a replica all the same, also one that waited`, async () => {
      const { herd, clock, servers } = scripted(three(), { balance })
      void herd.run(READ, async () => {})
      await clock.advance(700)
      assert.match(await herd.run(READ, chosen), /^[bc]$/)
      set(servers.a, { position: '0/200' })
      const need = { ...REPLICA.need, since: clock.mono() }
      await clock.advance(700)
      set(servers.a, { mode: 'refuses' })
      await clock.advance(400)
      // This one waits for what was written, so it is chosen for inside the store's dispatch.
      let behind = true
      const late = herd.run({ ...READ, target: { ...REPLICA, need } }, (place) =>
        behind ? Promise.reject(coded('PGHERD_STALE')) : chosen(place)
      )
      await clock.advance(200)
      assert.equal(herd.waiting, 1)
      behind = false
      for (const each of [servers.b, servers.c]) set(each, { position: '0/200' })
      await clock.advance(200)
      assert.match(await late, /^[bc]$/)
      herd.end()
      herd.close()
      await settled()
    })
  }

  it('the function is given a copy: what it does to the list is its own affair', async () => {
    const balance = (candidates: never[], moment: never) => {
      const node = leastInFlight(candidates, moment)
      candidates.length = 0
      return node
    }
    const { herd, clock } = scripted(three(), { balance })
    void herd.run(READ, async () => {})
    await clock.advance(700)
    assert.equal(await herd.run(READ, async ({ node }) => node.state.kind), 'replica')
    herd.end()
    herd.close()
  })
})
