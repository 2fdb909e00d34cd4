// What a crowd of waiters costs: writes that wait for the same primary are asked as one, and all begin when it is there, in groups.

import assert from 'node:assert/strict'
import type { Request } from '../../src/herd/herd.js'
import { settled } from '../support/manual-clock.js'
import { READ, REPLICA, type Scripted, scripted, server, set, WRITE } from '../support/scripted-herd.js'

const CROWD = 1000

async function orphaned(): Promise<Scripted> {
  const all = scripted({ a: server('primary', { replicas: 2 }), b: server('replica'), c: server('replica') })
  void all.herd.run(WRITE, async () => {})
  await all.clock.advance(700)
  set(all.servers.a, { mode: 'refuses' })
  await all.clock.advance(400)
  assert.equal(all.herd.topology.primary, null)
  return all
}

const key = ({ herd }: Scripted) => [...herd.topology.nodes.keys()][2] as string

/** Counts how often it is decided anew. */
function counting(request: Request, known: { stays: boolean } | null = null) {
  const counts = { decided: 0 }
  const again = (): Request => {
    counts.decided++
    return { ...request, again, ...(known && { stays: () => known.stays }) }
  }
  return { counts, request: { ...again(), again } }
}

describe('a crowd of waiters', () => {
  it('of writes is asked as one, at each change, and none is forgotten', async () => {
    const all = await orphaned()
    const { herd, clock, servers } = all
    const { counts, request } = counting(WRITE, { stays: true })
    let [begun, most] = [0, 0]
    const answers = Array.from({ length: CROWD }, () => herd.run(request, async () => void begun++))
    await settled()
    assert.equal(herd.waiting, CROWD)
    counts.decided = 0
    for (const kind of ['drained', 'resumed'] as const) herd.report({ kind, key: key(all) as never })
    assert.equal(counts.decided, 2)
    set(servers.b, { mode: 'primary', timeline: 2 })
    while (begun < CROWD) {
      const before = begun
      await clock.advance(5)
      most = Math.max(most, begun - before)
    }
    await Promise.all(answers)
    assert.ok(most <= 256, `${most} at once`)
    herd.end()
    herd.close()
  })

  it('is asked one by one where its texts are read in another way by now', async () => {
    const all = await orphaned()
    const known = { stays: true }
    const { counts, request } = counting(WRITE, known)
    const answers = Array.from({ length: 10 }, () => all.herd.run(request, async () => {}).catch(() => {}))
    await settled()
    counts.decided = 0
    known.stays = false
    all.herd.report({ kind: 'drained', key: key(all) as never })
    assert.equal(counts.decided, 10)
    all.herd.end()
    all.herd.close()
    await Promise.all(answers)
  })

  it('of reads, or of writes that have failed before, is asked one by one: what each needs differs', async () => {
    const all = await orphaned()
    const since = all.clock.mono()
    const read = counting({ ...READ, target: { ...REPLICA, need: { ...REPLICA.need, since } } })
    const failed = counting(WRITE, { stays: true })
    const lost = Object.assign(new Error('lost'), { code: 'PGHERD_DROPPED' })
    set(all.servers.a, { mode: 'primary' })
    await all.clock.advance(100)
    let tries = 0
    const answers = Array.from({ length: 5 }, () =>
      all.herd.run(failed.request, async () => {
        if (tries++ < 5) set(all.servers.a, { mode: 'refuses' })
        throw lost
      })
    )
    const reads = Array.from({ length: 5 }, () => all.herd.run(read.request, async () => {}))
    for (const answer of [...answers, ...reads]) answer.catch(() => {})
    await all.clock.advance(500)
    assert.equal(all.herd.topology.primary, null)
    const waiting = all.herd.waiting
    read.counts.decided = 0
    failed.counts.decided = 0
    all.herd.report({ kind: 'drained', key: key(all) as never })
    assert.equal(read.counts.decided + failed.counts.decided, waiting)
    all.herd.end()
    all.herd.close()
  })

  it('hears of the end one by one', async () => {
    const { herd } = await orphaned()
    const { request } = counting(WRITE, { stays: true })
    const answers = Array.from({ length: CROWD }, () =>
      assert.rejects(
        herd.run(request, async () => {}),
        /end/
      )
    )
    await settled()
    await herd.finish()
    await Promise.all(answers)
    assert.equal(herd.waiting, 0)
    herd.end()
    herd.close()
  })
})
