// pgherd:failover has an end wherever it had a beginning.

import assert from 'node:assert/strict'
import type { NodeKey } from '../../src/core/cluster/address.js'
import type { Change } from '../../src/core/cluster/changes.js'
import type { Topology } from '../../src/core/cluster/topology.js'
import type { FailoverProgress } from '../../src/index.js'
import { channels } from '../../src/telemetry/channels.js'
import { ManualClock } from '../support/manual-clock.js'
import { alone } from './alone.js'

const A = 'a:1' as NodeKey

describe('pgherd:failover', () => {
  const told: string[] = []
  const listen = (name: string) => (progress: FailoverProgress) =>
    void told.push(`${name} ${progress.from} ${progress.to} ${progress.millis}`)
  const listeners = {
    start: listen('start'),
    end: listen('end'),
    asyncStart: listen('asyncStart'),
    asyncEnd: listen('asyncEnd'),
    error: listen('error'),
  }
  beforeEach(() => {
    told.length = 0
    channels.failover.subscribe(listeners)
  })
  afterEach(() => channels.failover.unsubscribe(listeners))

  it('ends with a pool that never saw another primary', async () => {
    const clock = new ManualClock()
    const { telemetry, topology } = alone(clock)
    const incumbent = { key: A, timeline: 1, lastLive: clock.now(), begun: null }
    const before: Topology = { ...topology, epoch: 1, primary: A, incumbent }
    const found: Change[] = [{ kind: 'primary', from: A, to: null }]
    telemetry.follow({ ...before, primary: null }, before, found)
    await clock.advance(300)
    telemetry.end()
    const beginning = ['start', 'end'].map((name) => `${name} a:1 null null`)
    assert.deepEqual(told, [...beginning, 'asyncStart a:1 null 300', 'asyncEnd a:1 null 300'])
  })
})
