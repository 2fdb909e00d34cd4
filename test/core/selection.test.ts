import assert from 'node:assert/strict'
import { keyOf, type NodeKey } from '../../src/core/cluster/address.js'
import { leastInFlight, type Moment } from '../../src/core/cluster/balance.js'
import { failureOf } from '../../src/core/cluster/failure.js'
import { emptyWal } from '../../src/core/cluster/horizon.js'
import { NO_LINEAGE } from '../../src/core/cluster/lineage.js'
import { type Lsn, parseLsn } from '../../src/core/cluster/lsn.js'
import type { Node, NodeState, Suspicion } from '../../src/core/cluster/node.js'
import { type Refusal, select, standingOf, type Target } from '../../src/core/cluster/selection.js'
import { emptyTopology, type Topology } from '../../src/core/cluster/topology.js'
import { detailOf } from '../support/details.js'

const now = { mono: 10_000, wall: 10_000 }
const lsn = (text: string): Lsn => parseLsn(text) as Lsn
const key = (name: string): NodeKey => keyOf({ host: name, port: 5432 })

const detail = detailOf()
const failure = failureOf(new Error('gone'), 'idle')
const suspicion: Suspicion = { since: now, failure }
const PRIMARY: NodeState = { kind: 'primary', timeline: 1, detail }
const DOWN: NodeState = { kind: 'down', since: now, failure }

function replica(at: string | null, follows = true): NodeState {
  return { kind: 'replica', position: at === null ? null : { lsn: lsn(at), askedAt: now }, follows, detail }
}

function node(name: string, state: NodeState, more: Partial<Node> = {}): Node {
  const address = { host: name, port: 5432, servername: null, origin: 'configured' } as const
  const empty = {
    suspect: null,
    seen: null,
    probedAt: null,
    shown: null,
    lineage: NO_LINEAGE,
    identity: null,
    draining: false,
    breaker: null,
    losses: 0,
    answeredAt: null,
    missedAt: null,
    countedAt: null,
    claimsSince: null,
  }
  return { key: key(name), address, generation: 0, state, ...empty, ...more }
}

function picture(nodes: readonly Node[], more: Partial<Topology> = {}): Topology {
  const primary = nodes.find(({ state }) => state.kind === 'primary')?.key ?? null
  const sample = {
    at: { mono: 9_900, wall: 9_900 },
    insert: lsn('0/100'),
    flush: lsn('0/100'),
    flushCounts: true,
    top: lsn('0/100'),
  }
  return {
    ...emptyTopology({ hosts: 3, silentMillis: 3000, strictAsyncCommit: false }),
    primary,
    nodes: new Map(nodes.map((each) => [each.key, each])),
    wal: { ...emptyWal, samples: [sample] },
    ...more,
  }
}

function moment(more: Partial<Moment> = {}): Moment {
  return { now, random: 0, inFlight: () => 0, avoid: new Set(), ...more }
}

function read(more: Partial<Extract<Target, { role: 'replica' }>> = {}): Target {
  const need = { maxLagMillis: 1000, since: null, asynchronous: false }
  return { role: 'replica', need, maxLagBytes: Infinity, maxStaleMillis: 30_000, otherwise: 'primary', ...more }
}
const unbounded = read({ need: { maxLagMillis: Infinity, since: null, asynchronous: false } })

function choose(topology: Topology, target: Target, at = moment()): string | null {
  const choice = select(topology, target, leastInFlight, at)
  return choice.node?.address.host ?? null
}

describe('selection: writes', () => {
  const primary = node('a', PRIMARY)
  it('go to the primary', () =>
    assert.equal(choose(picture([node('b', replica('0/100')), primary]), { role: 'primary' }), 'a'))
  it('wait while the primary is to be left alone, also the only server', () => {
    const left = node('a', PRIMARY, { draining: true })
    for (const plural of [true, false]) assert.equal(choose(picture([left], { plural }), { role: 'primary' }), null)
  })
  it('wait while the primary is suspect', () => {
    assert.equal(choose(picture([node('a', PRIMARY, { suspect: suspicion })]), { role: 'primary' }), null)
  })
  it('never go to a claimant', () => {
    assert.equal(choose(picture([node('a', { kind: 'claimant', timeline: 1, detail })]), { role: 'primary' }), null)
  })
  it('go to the only server there ever was, whatever is known of it', () => {
    const only = { plural: false }
    const unknown: NodeState = { kind: 'unknown', failure: null }
    for (const state of [unknown, DOWN, replica('0/100')]) {
      assert.equal(choose(picture([node('a', state)], only), { role: 'primary' }), 'a')
    }
  })
  it('try the next address of a single host after the first one failed', () => {
    const both = picture([node('a', DOWN), node('b', DOWN)], { plural: false })
    assert.equal(choose(both, { role: 'primary' }, moment({ avoid: new Set([key('a')]) })), 'b')
    assert.equal(choose(both, { role: 'primary' }, moment({ avoid: new Set([key('a'), key('b')]) })), null)
  })
})

describe('selection: the only server there ever was', () => {
  it('is not replaced by a node that was merely found and never proved what it is', () => {
    const address = { host: 'b', port: 5432, servername: null, origin: 'discovered' } as const
    const found = node('b', { kind: 'unknown', failure: null }, { address })
    const alone = picture([node('a', DOWN), found], { plural: false })
    assert.equal(choose(alone, { role: 'primary' }), 'a')
    assert.equal(choose(alone, { role: 'primary' }, moment({ avoid: new Set([key('a')]) })), null)
  })
})

describe('selection: reads', () => {
  const primary = node('a', PRIMARY)
  const cases: readonly (readonly [string, Node, Refusal | null])[] = [
    ['a proven replica', node('b', replica('0/100')), null],
    ['a replica ahead of what is required', node('b', replica('0/200')), null],
    ['one byte behind', node('b', replica('0/FF')), 'too-far-behind'],
    ['no position', node('b', replica(null)), 'no-position'],
    ['a dead fork that looks ahead', node('b', replica('0/900', false)), 'not-following'],
    ['suspect', node('b', replica('0/100'), { suspect: suspicion }), 'suspect'],
    ['down', node('b', DOWN), 'down'],
    ['draining', node('b', replica('0/100'), { draining: true }), 'draining'],
    ['foreign', node('b', { kind: 'foreign', systemIdentifier: '8' }), 'foreign'],
    ['alias', node('b', { kind: 'alias', of: key('a') }), 'alias'],
    ['a claimant', node('b', { kind: 'claimant', timeline: 2, detail }), 'claims-primary'],
    ['never probed', node('b', { kind: 'unknown', failure: null }), 'not-probed'],
    [
      'only shown',
      node(
        'b',
        { kind: 'unknown', failure: null },
        {
          address: { host: 'b', port: 5432, servername: null, origin: 'shown' },
        }
      ),
      'not-used',
    ],
  ]
  for (const [what, other, refusal] of cases) {
    it(`${what}: ${refusal ?? 'serves'}`, () => {
      const choice = select(picture([primary, other]), read(), leastInFlight, moment())
      assert.equal(choice.node?.key, refusal === null ? other.key : primary.key)
      if (refusal !== null) assert.equal(choice.refused.get(other.key), refusal)
    })
  }

  it('do not go to a replica that has just failed them', () => {
    const both = picture([primary, node('b', replica('0/100')), node('c', replica('0/100'))])
    assert.equal(choose(both, read(), moment({ avoid: new Set([key('b')]) })), 'c')
    assert.equal(choose(both, read(), moment({ avoid: new Set([key('b'), key('c')]) })), 'a')
  })
  it('are refused with reasons where the primary may not serve them', () => {
    const choice = select(picture([primary, node('b', DOWN)]), read({ otherwise: 'refuse' }), leastInFlight, moment())
    assert.equal(choice.node, null)
    assert.deepEqual([...choice.refused.values()], ['is-primary', 'down'])
  })
  it('keep away from a replica that failed a moment ago, unless there is nothing else', () => {
    const breaker = { strikes: 1, failedAt: { mono: 9_500, wall: 9_500 }, returnedAt: { mono: 9_800, wall: 9_800 } }
    const back = node('b', replica('0/100'), { breaker })
    const choice = select(picture([primary, back]), read(), leastInFlight, moment())
    assert.deepEqual([choice.node?.key, choice.refused.get(back.key)], [primary.key, 'recovering'])
    assert.equal(choose(picture([primary, back]), read({ otherwise: 'refuse' })), 'b')
    assert.equal(choose(picture([node('a', DOWN), back]), read()), 'b')
    assert.equal(choose(picture([primary, back, node('c', replica('0/100'))]), read()), 'c')
  })
  it('come back to it little by little, where others can have the rest', () => {
    const breaker = { strikes: 1, failedAt: { mono: 0, wall: 0 }, returnedAt: { mono: 5_000, wall: 5_000 } }
    const back = node('b', replica('0/100'), { breaker })
    const both = picture([primary, back, node('c', replica('0/100'))])
    const chosen = Array.from({ length: 1000 }, (_, i) => choose(both, read(), moment({ random: (i * 0.618_034) % 1 })))
    const share = chosen.filter((name) => name === 'b').length / 1000
    // Half of what it would have: a half of a half.
    assert.ok(share > 0.2 && share < 0.3, `${share}`)
    assert.equal(choose(picture([primary, back]), read(), moment({ random: 0.999_9 })), 'b')
  })
  it('without a bound take any replica, on whatever fork', () => {
    assert.equal(choose(picture([primary, node('b', replica(null, false))]), unbounded), 'b')
  })
  it('obey a bound in bytes beside the bound in time, and alone', () => {
    const behind = picture([primary, node('b', replica('0/100'))], {
      wal: {
        ...emptyWal,
        samples: [
          {
            at: { mono: 9_500, wall: 9_500 },
            insert: lsn('0/100'),
            flush: lsn('0/100'),
            flushCounts: true,
            top: lsn('0/100'),
          },
          {
            at: { mono: 9_900, wall: 9_900 },
            insert: lsn('0/900'),
            flush: lsn('0/900'),
            flushCounts: true,
            top: lsn('0/900'),
          },
        ],
      },
    })
    assert.equal(choose(behind, read()), 'b')
    assert.equal(choose(behind, read({ maxLagBytes: 0x7ff })), 'a')
    assert.equal(choose(behind, { ...unbounded, maxLagBytes: 0x7ff } as Target), 'a')
    assert.equal(choose(behind, { ...unbounded, maxLagBytes: 0x800 } as Target), 'b')
  })
  it('keep the bound while the primary is only suspect, and wait', () => {
    const old = moment({ now: { mono: 20_000, wall: 20_000 } })
    const suspect = picture([node('a', PRIMARY, { suspect: suspicion }), node('b', replica('0/100'))])
    assert.equal(choose(suspect, read(), old), null)
    assert.equal(choose(picture([node('a', DOWN), node('b', replica('0/100'))]), read(), old), 'b')
    assert.equal(
      choose(picture([node('a', DOWN), node('b', replica('0/100'))]), read({ maxStaleMillis: 0 }), old),
      null
    )
  })
})

describe('selection: zones and weights', () => {
  const placed = (name: string, zone: string | null, state: NodeState, more: Partial<Node> = {}, weight = 1) => {
    const address = { host: name, port: 5432, servername: null, origin: 'configured', zone, weight } as const
    return node(name, state, { address, ...more })
  }
  const primary = placed('a', 'y', PRIMARY)
  const fresh = replica('0/100')
  const here = placed('b', 'x', fresh)
  const there = placed('c', 'y', fresh)
  const elsewhere = placed('d', 'z', fresh)
  const breaker = { strikes: 1, failedAt: { mono: 9_500, wall: 9_500 }, returnedAt: null }
  const rules = { hosts: 3, silentMillis: 3000, strictAsyncCommit: false, zone: 'x' }
  const RANDOMS = [0, 0.3, 0.6, 0.999]
  const spread = (nodes: readonly Node[], target = read(), more: Partial<Topology> = {}, at: Partial<Moment> = {}) => {
    const topology = picture([primary, ...nodes], { rules, ...more })
    const chosen = RANDOMS.map((random) => choose(topology, target, moment({ random, ...at })))
    return [...new Set(chosen)].join()
  }
  const since = { maxLagMillis: 1000, since: 9_800, asynchronous: false }
  const evidence = { isComing: () => false, tripMillis: 0, mayAwait: false, mayGuard: true, behindMillis: () => 0 }
  // The position that the read needs: what the primary had at 9,900.
  const behind = replica('0/50')

  const rows: readonly (readonly [what: string, chosen: string, expected: string])[] = [
    ['a replica of the own zone serves', spread([there, here, elsewhere]), 'b'],
    ['several of it share', spread([there, here, placed('e', 'x', fresh)]), 'b,e'],
    [
      'without a zone of its own a process asks all',
      spread([there, here], read(), { rules: { ...rules, zone: null } }),
      'c,b',
    ],
    ['a zone without any replica is as none', spread([there, elsewhere]), 'c,d'],
    ['replicas whose zone is not known are others', spread([placed('e', null, fresh), here]), 'b'],
    ['it is down: the others', spread([placed('b', 'x', DOWN), there]), 'c'],
    ['it is suspect: the others', spread([placed('b', 'x', fresh, { suspect: suspicion }), there]), 'c'],
    ['it is too far behind: the others', spread([placed('b', 'x', behind), there]), 'c'],
    ['it failed lately: the others', spread([placed('b', 'x', fresh, { breaker }), there]), 'c'],
    [
      'it has just failed this read: the others',
      spread([here, there], read(), {}, { avoid: new Set([key('b')]) }),
      'c',
    ],
    ['no replica can: the primary, wherever it is', spread([placed('b', 'x', behind), placed('c', 'y', DOWN)]), 'a'],
    [
      'of those that may prove themselves, too',
      spread([placed('c', 'y', behind), placed('b', 'x', behind)], read({ need: since }), {}, { evidence }),
      'b',
    ],
    [
      'a session stays on its replica',
      spread([here, there], read({ stick: { key: key('c'), generation: 0, losses: 0, since: 1 } })),
      'c',
    ],
    [
      'standbys alone',
      spread([there, here], read({ alone: 'serve' }), { alone: true, primary: null, wal: emptyWal }),
      'b',
    ],
    ['weight 0: no read while another can', spread([placed('b', 'y', fresh, {}, 0), there]), 'c'],
    ['weight 0: none while the primary can', spread([placed('b', 'x', fresh, {}, 0)]), 'a'],
    ['weight 0: rather than no answer', spread([placed('b', 'x', fresh, {}, 0)], read({ otherwise: 'refuse' })), 'b'],
    [
      'weight 0: rather than none while there is no primary',
      spread([placed('b', 'x', fresh, {}, 0)], read(), { primary: null }),
      'b',
    ],
    ['weight 0 in the own zone: another zone is better', spread([placed('b', 'x', fresh, {}, 0), there]), 'c'],
  ]
  for (const [what, chosen, expected] of rows) it(what, () => assert.equal(chosen, expected))

  it('come back to the own zone little by little', () => {
    const late = { strikes: 1, failedAt: { mono: 0, wall: 0 }, returnedAt: { mono: 5_000, wall: 5_000 } }
    const topology = picture([primary, placed('b', 'x', fresh, { breaker: late }), there], { rules })
    const chosen = Array.from({ length: 1000 }, (_, i) =>
      choose(topology, read(), moment({ random: (i * 0.618_034) % 1 }))
    )
    const share = chosen.filter((name) => name === 'b').length / 1000
    assert.ok(share > 0.45 && share < 0.55, `${share}`)
  })
  it('a decision that is kept is one among the own zone, and among all once that zone has none', () => {
    const kept = (nodes: readonly Node[]) => {
      const topology = picture([primary, ...nodes, placed('f', 'x', fresh, {}, 0)], { rules })
      const choice = select(topology, read(), leastInFlight, moment())
      assert.ok(choice.node !== null)
      return standingOf(topology, read(), choice, now)?.nodes.map(({ address }) => address.host)
    }
    assert.deepEqual(kept([here, there, placed('e', 'x', fresh)]), ['b', 'e'])
    assert.deepEqual(kept([placed('b', 'x', DOWN), there, elsewhere]), ['c', 'd'])
  })
  it('say why the others were passed over', () => {
    const nodes = [primary, here, there, placed('e', 'y', fresh, {}, 0)]
    const { refused } = select(picture(nodes, { rules }), read(), leastInFlight, moment())
    assert.deepEqual(
      [...refused],
      [
        [key('a'), 'is-primary'],
        [key('e'), 'spare'],
        [key('c'), 'other-zone'],
      ]
    )
  })
})

describe('selection: standbys alone', () => {
  const nodes = [node('b', replica('0/100', false)), node('c', replica(null, false))]
  const alone = picture(nodes, { alone: true, wal: emptyWal })
  const served = (target: Partial<Extract<Target, { role: 'replica' }>>, at = moment(), topology = alone) => {
    const choice = select(topology, read({ otherwise: 'refuse', ...target }), leastInFlight, at)
    return choice.node === null ? null : [choice.node.address.host, choice.reason]
  }
  const need = { maxLagMillis: 1000, since: null, asynchronous: false }
  const carried = { lsn: null, arrivedAt: 5 }
  const stick = { key: key('c'), generation: 0, losses: 0, since: 1 }

  const rows: readonly (readonly [string, ReturnType<typeof served>, readonly string[] | null])[] = [
    ['a bound is refused', served({}), null],
    ['unless it may be unproven, and that is said', served({ alone: 'serve' }), ['b', 'unproven']],
    [
      'without a bound nothing is missing',
      served({ alone: 'serve', need: { ...need, maxLagMillis: Infinity } }),
      ['b', 'unbounded'],
    ],
    ['a token is refused', served({ alone: 'serve', need: { ...need, carried } }), null],
    [
      'what was written before binds nothing',
      served({ alone: 'serve', need: { ...need, since: 9000 } }),
      ['b', 'unproven'],
    ],
    ['a session stays where it is', served({ alone: 'serve', stick }), ['c', 'unproven']],
    [
      'and goes elsewhere where that failed it',
      served({ alone: 'serve', stick }, moment({ avoid: new Set([key('c')]) })),
      ['b', 'unproven'],
    ],
    ['with a primary that was ever seen it is as ever', served({ alone: 'serve' }, moment(), picture(nodes)), null],
  ]
  for (const [title, actual, expected] of rows) it(title, () => assert.deepEqual(actual, expected))
})
