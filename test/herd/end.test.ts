// The end of a herd.

import assert from 'node:assert/strict'
import { failureOf } from '../../src/core/cluster/failure.js'
import { coded, scripted, server } from '../support/scripted-herd.js'

describe('behind the end of a herd', () => {
  it('news of a connection that is lost late has no server looked at', async () => {
    const { herd, clock, servers } = scripted({ a: server('primary', { replicas: 1 }), b: server('replica') })
    herd.open()
    await clock.advance(100)
    const [node] = herd.topology.nodes.values()
    assert.ok(node)
    herd.finish()
    herd.end()
    herd.close()
    const looks = () => Object.values(servers).reduce((sum, each) => sum + each.looks, 0)
    const before = looks()
    assert.ok(before > 0)
    const failure = failureOf(coded('ECONNRESET'), 'idle', 'socket')
    herd.report({ kind: 'accused', key: node.key, generation: node.generation, failure })
    await clock.advance(10_000)
    assert.equal(looks(), before)
  })
})
