// Writes of a pool whose callers do not read: the primary is asked for its position soon behind the first, and now and then while they
// go on.

import assert from 'node:assert/strict'
import { scripted, server, WRITE } from '../support/scripted-herd.js'

describe('writes without readers', () => {
  const INTERVAL = { monitorIntervalMillis: 60_000 }

  async function written(millis: number, every: number): Promise<number> {
    const { herd, clock, servers } = scripted({ a: server('primary'), b: server('replica') }, INTERVAL)
    // Until then callers might have read.
    await Promise.all([herd.run(WRITE, async () => {}), clock.advance(2000)])
    const before = servers.a?.looks ?? 0
    for (let at = 0; at < millis; at += every) {
      herd.report({ kind: 'acknowledged' })
      await clock.advance(every)
    }
    herd.close()
    return (servers.a?.looks ?? 0) - before
  }

  it('one look within 5 ms behind one write', async () => assert.equal(await written(6, 6), 1))

  it('at most eleven in a second of a thousand writes', async () => {
    const looks = await written(1000, 1)
    assert.ok(looks >= 9 && looks <= 11, String(looks))
  })
})
