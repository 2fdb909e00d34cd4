import assert from 'node:assert/strict'
import type { NodeKey } from '../../src/core/cluster/address.js'
import { emptyTopology } from '../../src/core/cluster/topology.js'
import { type NodeReport, PgherdError } from '../../src/errors.js'
import { Journey, type Tried } from '../../src/telemetry/journey.js'

const topology = emptyTopology({ hosts: 2, silentMillis: 1, strictAsyncCommit: false })
const task = { kind: 'statement', operation: '', summary: '', shape: null, intent: 'write', reason: '' } as const
const at = (mono: number) => ({ mono, wall: mono })
const place = {
  node: { key: 'a:1', address: { host: 'a', port: 1 }, state: { kind: 'primary' } },
  reason: 'primary',
  refused: new Map(),
  phase: 'connect',
} as unknown as Tried
const report: NodeReport = { state: 'down', refused: 'down', detail: null }
const nobody = () => new PgherdError('PGHERD_NO_PRIMARY', 'nobody', { nodes: new Map([['a:1' as NodeKey, report]]) })

describe('the wait of a statement', () => {
  it('before its first attempt, and between two', () => {
    const journey = new Journey(task, 100)
    journey.begins(place, topology, at(130))
    journey.fails(place, new Error('x'), 1000)
    journey.begins(place, topology, at(1005))
    journey.ends(null, 9000)
    assert.deepEqual([journey.waitMillis, journey.attempts, journey.retries.length], [35, 2, 1])
  })

  it('in vain, with why each node was passed over', () => {
    const journey = new Journey(task, 100)
    journey.ends(nobody(), 150)
    assert.deepEqual([journey.waitMillis, journey.refused], [50, [{ node: 'a:1', refusal: 'down', at: 150 }]])
  })

  it('given up by its caller', () => {
    const journey = new Journey(task, 100)
    journey.ends(AbortSignal.abort().reason, 150)
    assert.equal(journey.waitMillis, 50)
  })

  it('is over with the attempt: what follows from that may fail with the error of another statement', () => {
    const journey = new Journey(task, 100)
    journey.begins(place, topology, at(110))
    journey.ends(nobody(), 5000)
    assert.deepEqual([journey.waitMillis, journey.refused], [10, []])
  })
})
