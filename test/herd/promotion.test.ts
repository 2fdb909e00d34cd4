// How soon a promotion is noticed: from the loss of the primary on everybody is looked at quickly, at once and not after the
// pause that was right while all was well.

import assert from 'node:assert/strict'
import { scripted, server, set } from '../support/scripted-herd.js'

describe('promotion', () => {
  it('is noticed within one quick look, even right after the loss of the primary', async () => {
    const { herd, clock, servers } = scripted(
      { a: server('primary', { replicas: 2 }), b: server('replica'), c: server('replica') },
      { monitorIntervalMillis: 5000 }
    )
    herd.open()
    await clock.advance(100)
    const { primary, nodes } = herd.topology
    assert.ok(primary)
    set(servers.a, { mode: 'refuses' })
    const failure = {
      kind: 'lost',
      sent: 'never',
      accuses: true,
      origin: 'socket',
      severity: null,
      code: null,
      message: 'lost',
      error: null,
    } as const
    herd.report({ kind: 'accused', key: primary, generation: nodes.get(primary)?.generation ?? 0, failure })
    await clock.advance(1)
    assert.equal(herd.topology.primary, null)
    set(servers.b, { mode: 'primary', timeline: 2 })
    await clock.advance(60)
    assert.ok(herd.health.writable)
    herd.end()
  })

  it('is looked for every 25 ms in the first two seconds, then every 50, and never before there was a primary', async () => {
    const { herd, clock, servers } = scripted({ a: server('primary'), b: server('replica'), c: server('refuses') })
    const looks = async (millis: number, expected: number) => {
      const before = servers.b?.looks ?? 0
      await clock.advance(millis)
      const found = (servers.b?.looks ?? 0) - before
      assert.ok(Math.abs(found - expected) <= 3, `${found} looks in ${millis} ms`)
    }
    set(servers.a, { mode: 'refuses' })
    const waiting = herd.run({ target: { role: 'primary' }, repeat: () => WRITE, repairs: false }, async () => {})
    waiting.catch(() => {})
    await looks(1000, 20)
    set(servers.a, { mode: 'primary' })
    await clock.advance(1000)
    set(servers.a, { mode: 'refuses' })
    while (herd.topology.primary !== null) await clock.advance(10)
    await looks(2000, 80)
    await looks(2000, 40)
    herd.end()
  })
})

const WRITE = { read: false, undone: 'whole' } as const
