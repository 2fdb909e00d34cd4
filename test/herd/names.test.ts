// A name may lead to the new primary: when it is looked up, and that a write which comes later finds what it leads to.

import assert from 'node:assert/strict'
import type { NodeAddress } from '../../src/core/cluster/address.js'
import type { Discovery } from '../../src/discovery/discovery.js'
import type { Attempt } from '../../src/herd/herd.js'
import { hostOf, literal, scripted, server, set, WRITE } from '../support/scripted-herd.js'

const host = async (place: Attempt) => hostOf(place)

describe('names', () => {
  it('are looked up when the primary is lost, and when a write comes later', async () => {
    let leads = ['a', 'b']
    const asked: number[] = []
    const name: Discovery = {
      name: 'dns db.test:5432',
      discover: async () => {
        asked.push(clock.mono())
        return leads.map(
          (each): NodeAddress => ({ host: literal(each), port: 5432, servername: null, origin: 'configured' })
        )
      },
    }
    const servers = {
      a: server('primary', { replicas: 1 }),
      b: server('replica'),
      c: server('primary', { timeline: 2 }),
    }
    const { herd, clock } = scripted(servers, {}, undefined, { sources: [name] })
    const first = herd.run(WRITE, host)
    await clock.advance(5900)
    assert.equal(await first, 'a')
    const before = asked.length
    const lostAt = clock.mono()
    set(servers.a, { mode: 'refuses' })
    await clock.advance(400)
    assert.ok((asked[before] ?? Infinity) - lostAt <= 360, 'within a probe of the fault')
    await clock.advance(1600)
    leads = ['c', 'b']
    const calledAt = clock.mono()
    let doneAt = Infinity
    const write = herd.run(WRITE, host).then((where) => {
      doneAt = clock.mono()
      return where
    })
    await clock.advance(700)
    assert.ok(doneAt - calledAt < 600, `${doneAt - calledAt} ms`)
    assert.equal(await write, 'c')
    await herd.finish()
    herd.end()
    herd.close()
  })
})
