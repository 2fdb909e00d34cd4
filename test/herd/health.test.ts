// Who asks for health() instead of sending statements is told what is so now, not what was so when the last one came.

import assert from 'node:assert/strict'
import { scripted, server, set } from '../support/scripted-herd.js'

const three = () => ({ a: server('primary', { replicas: 2 }), b: server('replica'), c: server('replica') })
const IDLE_MILLIS = 60_000
const PERIOD_MILLIS = 10_000

describe('health', () => {
  it('notices a failover, and its end, without a single statement', async () => {
    const { herd, clock, servers } = scripted(three())
    assert.equal(herd.health.writable, false, 'nobody has looked yet')
    await clock.advance(100)
    assert.equal(herd.health.writable, true)
    const asked = async () => {
      for (let waited = 0; waited < IDLE_MILLIS; waited += PERIOD_MILLIS) {
        await clock.advance(PERIOD_MILLIS)
        void herd.health
      }
      return herd.health.writable
    }
    set(servers.a, { mode: 'refuses' })
    assert.equal(await asked(), false)
    set(servers.b, { mode: 'primary', timeline: 2, replicas: 1 })
    assert.equal(await asked(), true)
    herd.end()
    assert.equal(herd.health.writable, false)
  })

  it('wakes a herd that rests: the next answer is of now', async () => {
    const { herd, clock, servers } = scripted(three())
    herd.open()
    await clock.advance(IDLE_MILLIS)
    assert.equal(herd.health.writable, true, 'what was known last')
    await clock.advance(IDLE_MILLIS)
    set(servers.a, { mode: 'refuses' })
    void herd.health
    await clock.advance(1000)
    assert.equal(herd.health.writable, false)
    herd.end()
  })
})
