import assert from 'node:assert/strict'
import type { NodeAddress } from '../../src/core/cluster/address.js'
import { emptyTopology } from '../../src/core/cluster/topology.js'
import { type Discovery, fixed } from '../../src/discovery/discovery.js'
import { replicasOf } from '../../src/discovery/replication.js'
import { Sources } from '../../src/herd/sources.js'
import { Store } from '../../src/herd/store.js'
import { ManualClock } from '../support/manual-clock.js'

const at = (host: string): NodeAddress => ({ host, port: 5432, servername: null, origin: 'configured' })

function started(...sources: readonly Discovery[]) {
  const clock = new ManualClock()
  const store = new Store(emptyTopology({ hosts: sources.length, silentMillis: 3000, strictAsyncCommit: false }), clock)
  const all = new Sources(store, clock, sources, () => false)
  all.start()
  return { clock, store, all, keys: () => [...store.topology.nodes.keys()].sort() }
}

describe('discovery: pg_stat_replication', () => {
  const primary = at('10.0.0.1')
  const row = (address: string | null, state: string | null, name = 'n1') => ({ address, state, name })

  it('takes rows that stream, at the address they come from and the port of the primary', () => {
    const found = replicasOf(
      [row('10.0.0.2', 'streaming'), row('10.0.0.3', 'catchup'), row('10.0.0.4', 'backup')],
      primary,
      {},
      'discovered'
    )
    assert.deepEqual(found, [{ host: '10.0.0.2', port: 5432, servername: null, origin: 'discovered' }])
  })
  it('finds nothing for a role that may not see addresses', () => {
    assert.deepEqual(replicasOf([row(null, null)], primary, {}, 'discovered'), [])
    assert.deepEqual(replicasOf([row(null, 'streaming')], primary, {}, 'discovered'), [])
  })
  it("asks the user's mapper, which may decline", () => {
    const address = ({ name }: { readonly name: string }) =>
      name === 'n1' ? { host: 'one.test', port: 7000, zone: 'x' } : null
    const found = replicasOf(
      [row('127.0.0.1', 'streaming'), row('127.0.0.1', 'streaming', 'n2')],
      primary,
      { address },
      'shown'
    )
    assert.deepEqual(found, [{ host: 'one.test', port: 7000, servername: null, origin: 'shown', zone: 'x' }])
  })
})

describe('discovery: sources', () => {
  it('asks all at the start and again every few seconds', async () => {
    let asked = 0
    const counting: Discovery = {
      name: 'counting',
      discover: async () => {
        asked++
        return [at('10.0.0.9')]
      },
    }
    const { clock, keys, all } = started(fixed([at('10.0.0.1')]), counting)
    await clock.advance(0)
    assert.deepEqual(keys(), ['10.0.0.1:5432', '10.0.0.9:5432'])
    // Without a primary, while statements wait, it asks twice a second.
    await clock.advance(5000)
    assert.equal(asked, 11)
    all.stop()
    await clock.advance(60_000)
    assert.equal(asked, 11)
    assert.equal(clock.pending, 0)
  })

  it('keeps the last good list through an outage and an empty answer, and says that it is blind', async () => {
    const answers: (readonly NodeAddress[] | Error)[] = [
      [at('10.0.0.1'), at('10.0.0.2')],
      new Error('SERVFAIL'),
      [],
      [at('10.0.0.2')],
    ]
    const source: Discovery = {
      name: 'flaky',
      discover: async () => {
        const answer = answers.shift() ?? []
        if (answer instanceof Error) throw answer
        return answer
      },
    }
    const { clock, store, keys } = started(source)
    await clock.advance(0)
    assert.deepEqual(keys(), ['10.0.0.1:5432', '10.0.0.2:5432'])
    await clock.advance(500)
    assert.equal(store.topology.blind.get('flaky')?.message, 'SERVFAIL')
    assert.equal(keys().length, 2)
    await clock.advance(500)
    assert.equal(keys().length, 2)
    await clock.advance(500)
    assert.deepEqual(keys(), ['10.0.0.2:5432'])
    assert.equal(store.topology.blind.size, 0)
  })

  /** A source that takes its time, over a store whose primary is known. */
  function named() {
    let asked = 0
    const answers: (() => void)[] = []
    const source: Discovery = {
      name: 'dns db.test:5432',
      discover: () => {
        asked++
        return new Promise((resolve) => answers.push(() => resolve([at('10.0.0.1')])))
      },
    }
    const { clock, all } = started(source)
    const answer = async () => {
      for (const each of answers.splice(0)) each()
      await clock.advance(0)
    }
    return { asked: () => asked, answer, clock, all }
  }

  it('looks a name up again where the primary was lost while it was being looked up', async () => {
    const { asked, answer, all } = named()
    all.wake()
    all.wake()
    assert.equal(asked(), 1)
    await answer()
    assert.equal(asked(), 2, 'the first answer may be one of before')
    await answer()
    assert.equal(asked(), 2)
    all.stop()
  })

  it('goes on twice a second without a primary, whether statements come or not', async () => {
    const { asked, answer, clock, all } = named()
    for (let i = 0; i < 20; i++) {
      await answer()
      await clock.advance(100)
    }
    assert.ok(asked() >= 4, `${asked()}`)
    all.stop()
  })

  it('a statement that begins to wait has it looked up now, or half a second after the last time', async () => {
    const { asked, answer, clock, all } = named()
    await answer()
    await clock.advance(100)
    all.hurry()
    all.hurry()
    assert.equal(asked(), 1)
    await clock.advance(400)
    assert.equal(asked(), 2)
    await answer()
    all.stop()
    all.hurry()
    await clock.advance(5000)
    assert.deepEqual([asked(), clock.pending], [2, 0])
  })
})
