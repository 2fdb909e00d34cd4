// 200 processes lose their primary in the same moment. What they ask the servers that are left is spread over time, and is little.

import assert from 'node:assert/strict'
import type { Failure } from '../../src/core/cluster/failure.js'
import { crest, type Look, type ManyHerds, manyHerds } from '../support/many-herds.js'
import { server, set } from '../support/scripted-herd.js'

const PROCESSES = 200
const SECOND = 1000

const LOST: Failure = {
  kind: 'lost',
  sent: 'never',
  accuses: true,
  origin: 'socket',
  severity: null,
  code: null,
  message: 'lost',
  error: null,
}

const three = () => ({
  a: server('primary', { replicas: 2, position: '0/200' }),
  b: server('replica', { position: '0/200' }),
  c: server('replica', { position: '0/200' }),
})

interface Failover extends ManyHerds {
  readonly servers: ReturnType<typeof three>
  readonly of: (name: 'a' | 'b' | 'c') => readonly Look[]
}

/** The primary crashes, of which every connection tells at once, and starts again for so long. */
async function failover(millis: number, chance?: number): Promise<Failover> {
  const servers = three()
  const all = await manyHerds(PROCESSES, servers, chance)
  set(servers.a, { mode: 'starting' })
  all.looks.length = 0
  accuse(all)
  await all.clock.advance(millis)
  const looks = [...all.looks]
  return { ...all, servers, of: (name: keyof typeof servers) => looks.filter((look) => look.server === servers[name]) }
}

function accuse({ herds }: ManyHerds): void {
  for (const herd of herds) {
    const key = herd.topology.primary
    assert.ok(key)
    herd.report({ kind: 'accused', key, generation: herd.topology.nodes.get(key)?.generation ?? 0, failure: LOST })
  }
}

const isFull = ({ depth, isNew }: Look) => depth === 'full' || isNew

describe('after a failover 200 processes', () => {
  let usual: Failover
  before(async () => {
    usual = await failover(1.5 * SECOND)
  })
  after(() => usual.end())

  it('ask a replica at most 120 times in 10 ms, where evenly spread it would be 80', () => {
    for (const name of ['b', 'c'] as const) {
      const most = crest(usual.of(name), 10)
      assert.ok(most <= 120, `${most}`)
    }
  })

  it('do so because each draws when it begins: with one chance for all, they come at once', async () => {
    const { of, end } = await failover(50, 0.5)
    assert.ok(crest(of('b'), 10) > 0.9 * PROCESSES)
    end()
  })

  it('ask a replica for everything only where that brings something new', () => {
    const full = usual.of('b').filter(isFull)
    // Each dials it anew once a second, as its address may have moved.
    assert.ok(full.length <= 2 * PROCESSES, `${full.length} of ${usual.of('b').length}`)
  })

  it('make at most 20 new connections to a replica in 10 ms', () => {
    const dialed = usual.of('b').filter(({ isNew }) => isNew)
    assert.ok(dialed.length >= PROCESSES, 'the address may have moved')
    assert.ok(crest(dialed, 10) <= 20, `${crest(dialed, 10)}`)
  })

  it('ask a primary that starts again four times a second, since it makes a process for each login that it turns away', () => {
    const later = usual.of('a').filter(({ at }, _, [first]) => at > (first?.at ?? 0) + SECOND / 2)
    assert.ok(later.length <= 5 * PROCESSES, `${later.length}`)
    assert.ok(later.length >= 3 * PROCESSES, `${later.length}`)
  })

  it('all know the new primary within 35 ms, and not in the same moment', async () => {
    const { clock, herds, servers } = usual
    set(servers.b, { mode: 'primary', timeline: 2 })
    const known = () => herds.filter(({ topology }) => topology.primary !== null).length
    const counts: number[] = []
    for (let millis = 0; millis < 60 && known() < PROCESSES; millis += 5) {
      const before = known()
      await clock.advance(5)
      counts.push(known() - before)
    }
    assert.equal(known(), PROCESSES)
    assert.ok(Math.max(...counts) <= PROCESSES / 4, counts.join(' '))
  })
})
