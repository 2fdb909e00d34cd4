// A decision for a proven replica is kept for the next read, as long as it holds and no longer.

import assert from 'node:assert/strict'
import type { Attempt, Request } from '../../src/herd/herd.js'
import { hostOf, READ, REPLICA, scripted, server, set } from '../support/scripted-herd.js'

describe('a decision that is kept', () => {
  const read: Request = { ...READ, target: { ...REPLICA, need: { ...REPLICA.need, maxLagMillis: 200 } } }

  async function ready() {
    const servers = { a: server('primary', { position: '0/100' }), b: server('replica', { position: '0/100' }) }
    const stage = scripted(servers, { monitorIntervalMillis: 60_000, maxLagMillis: 60_000 })
    const where = (request: Request = read) =>
      stage.herd.run(request, async (place: Attempt) => `${hostOf(place)} ${place.reason}`)
    await Promise.all([where(), stage.clock.advance(100)])
    return { ...stage, servers, where }
  }

  it('the next read goes where the one before went', async () => {
    const { herd, where } = await ready()
    assert.deepEqual([await where(), await where()], ['b proven', 'b proven'])
    herd.close()
  })

  it('not when its sample is too old, though nothing else has changed', async () => {
    const { herd, clock, servers, where } = await ready()
    assert.equal(await where(), 'b proven')
    const before = herd.topology
    set(servers.a, { position: '0/300' })
    await clock.advance(50)
    assert.equal(await where(), 'b proven')
    await clock.advance(150)
    assert.equal(herd.topology, before, 'nothing was asked meanwhile')
    const [seen] = await Promise.all([where(), clock.advance(50)])
    assert.notEqual(seen, 'b proven')
    herd.close()
  })

  it('not for a read that needs something else', async () => {
    const { herd, where } = await ready()
    assert.equal(await where(), 'b proven')
    const strict = { ...read, target: { ...REPLICA, need: { ...REPLICA.need, maxLagMillis: 0 } } }
    assert.notEqual(await where(strict), 'b proven')
    herd.close()
  })

  it('not on another picture: the replica is left alone', async () => {
    const { herd, where } = await ready()
    assert.equal(await where(), 'b proven')
    for (const key of herd.topology.nodes.keys())
      if (key !== herd.topology.primary) herd.report({ kind: 'drained', key })
    assert.notEqual(await where(), 'b proven')
    herd.close()
  })
})
