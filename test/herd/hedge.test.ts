// A read that its replica leaves unanswered goes to the other replica as well: each order of answers and errors, on a manual clock.

import assert from 'node:assert/strict'
import { type Attempt, hasWon, type Request } from '../../src/herd/herd.js'
import type { GiveUp } from '../../src/herd/request.js'
import { settled } from '../support/manual-clock.js'
import { coded, hostOf, READ, type Scripted, scripted, server, set, WRITE } from '../support/scripted-herd.js'

const HEDGE_MILLIS = 30
/** So long an answer that is not wanted any more is awaited. */
const STOP_MILLIS = 250
const HEDGED: Request = { ...READ, hedge: true }

/** An attempt under the test's control. */
interface Tried {
  readonly place: Attempt
  readonly host: string
  /** What its connection was told. */
  readonly givenUp: (() => void)[]
  handed(): void
  answers(result: string): Promise<void>
  fails(error: Error): Promise<void>
}

class Attempts {
  readonly all: Tried[] = []
  /** Attempts are handed to a connection at once. */
  atOnce = true

  readonly perform = (place: Attempt): Promise<string> => {
    const givenUp: (() => void)[] = []
    return new Promise((resolve, reject) => {
      const giveUp: GiveUp = (over) => {
        givenUp.push(over)
        reject(new Error('given up'))
      }
      const tried: Tried = {
        place,
        host: hostOf(place),
        givenUp,
        handed() {
          place.phase = 'handed'
          place.race?.handed(place, giveUp)
        },
        async answers(result) {
          resolve(result)
          await settled()
        },
        async fails(error) {
          reject(error)
          await settled()
        },
      }
      this.all.push(tried)
      if (this.atOnce) tried.handed()
    })
  }

  get first(): Tried {
    return this.#at(0)
  }

  get second(): Tried {
    return this.#at(1)
  }

  #at(index: number): Tried {
    const tried = this.all[index]
    assert.ok(tried, `there is no attempt ${index}`)
    return tried
  }
}

/** A primary and two replicas, with credit for so many hedges. */
async function ready(options: object = {}, hedges = 1, replicas = 2): Promise<Scripted> {
  const { a, b, c } = { a: server('primary', { replicas }), b: server('replica'), c: server('replica') }
  const all = scripted(replicas === 2 ? { a, b, c } : { a, b }, {
    hedgeMillis: HEDGE_MILLIS,
    maxLagMillis: Infinity,
    ...options,
  })
  void all.herd.run(WRITE, async () => {})
  await all.clock.advance(700)
  for (let i = 0; i < hedges * 20; i++) await all.herd.run(HEDGED, async () => 'quick')
  return all
}

/** A read of which the first attempt says nothing until the second was due. */
async function late(herd: Scripted, request: Request = HEDGED) {
  const attempts = new Attempts()
  const read = herd.herd.run(request, attempts.perform)
  read.catch(() => {})
  await herd.clock.advance(HEDGE_MILLIS)
  return { attempts, read }
}

describe('herd: a read that is hedged', () => {
  it('goes to the other replica when its time is over, and not before', async () => {
    const all = await ready()
    const attempts = new Attempts()
    const read = all.herd.run(HEDGED, attempts.perform)
    await all.clock.advance(HEDGE_MILLIS - 1)
    assert.equal(attempts.all.length, 1)
    await all.clock.advance(1)
    assert.deepEqual(new Set(attempts.all.map(({ host }) => host)), new Set(['b', 'c']))
    assert.deepEqual([attempts.first.place.isHedge, attempts.second.place.isHedge], [false, true])
    await attempts.first.answers('rows')
    assert.equal(await read, 'rows')
  })

  it('counts from the moment when it was handed to a connection', async () => {
    const all = await ready()
    const attempts = new Attempts()
    attempts.atOnce = false
    const read = all.herd.run(HEDGED, attempts.perform)
    await all.clock.advance(10 * HEDGE_MILLIS)
    assert.equal(attempts.all.length, 1)
    attempts.first.handed()
    await all.clock.advance(HEDGE_MILLIS - 1)
    assert.equal(attempts.all.length, 1)
    await all.clock.advance(1)
    assert.equal(attempts.all.length, 2)
    await attempts.first.answers('rows')
    assert.equal(await read, 'rows')
  })

  it('sets no alarm that outlives it, and is sent once where the answer comes in time', async () => {
    const all = await ready()
    const before = all.clock.pending
    const attempts = new Attempts()
    const read = all.herd.run(HEDGED, attempts.perform)
    assert.equal(all.clock.pending, before + 1)
    await attempts.first.answers('rows')
    assert.equal(await read, 'rows')
    assert.equal(all.clock.pending, before)
  })

  it('the second answers first: its rows are the result, and the first is given up', async () => {
    const all = await ready()
    const { attempts, read } = await late(all)
    await attempts.second.answers('rows of the second')
    assert.equal(await read, 'rows of the second')
    await all.clock.advance(STOP_MILLIS - 1)
    assert.equal(attempts.first.givenUp.length, 0)
    await all.clock.advance(1)
    assert.deepEqual([attempts.first.givenUp.length, attempts.second.givenUp.length], [1, 0])
    assert.deepEqual([attempts.first.place.abandoned, attempts.second.place.abandoned], [true, false])
    assert.deepEqual([hasWon(attempts.first.place), hasWon(attempts.second.place)], [false, true])
  })

  it('the first answers first: its rows are the result, and the second is given up', async () => {
    const all = await ready()
    const { attempts, read } = await late(all)
    await attempts.first.answers('rows of the first')
    assert.equal(await read, 'rows of the first')
    await all.clock.advance(STOP_MILLIS)
    assert.deepEqual([attempts.first.givenUp.length, attempts.second.givenUp.length], [0, 1])
  })

  it('the second waits for a connection when the first answers: it is abandoned, and given up when it is handed over', async () => {
    const all = await ready()
    const attempts = new Attempts()
    const read = all.herd.run(HEDGED, attempts.perform)
    attempts.atOnce = false
    await all.clock.advance(HEDGE_MILLIS)
    await attempts.first.answers('rows')
    assert.equal(await read, 'rows')
    assert.deepEqual([attempts.second.place.abandoned, attempts.second.givenUp.length], [true, 0])
    attempts.second.handed()
    assert.equal(attempts.second.givenUp.length, 1)
  })

  it('the other answers soon after all: its server is not told to stop, and no alarm is left', async () => {
    for (const outcome of ['answers', 'fails'] as const) {
      const all = await ready()
      const before = all.clock.pending
      const { attempts, read } = await late(all)
      await attempts.second.answers('rows')
      assert.equal(await read, 'rows')
      if (outcome === 'answers') await attempts.first.answers('late')
      else await attempts.first.fails(coded('57014'))
      assert.equal(all.clock.pending, before)
      await all.clock.advance(STOP_MILLIS)
      assert.equal(attempts.first.givenUp.length, 0)
    }
  })

  it('both answer in one turn: the caller gets one, and one attempt has won', async () => {
    const { attempts, read } = await late(await ready())
    const both = [attempts.second.answers('second'), attempts.first.answers('first')]
    await Promise.all(both)
    assert.equal(await read, 'second')
    assert.deepEqual([hasWon(attempts.first.place), hasWon(attempts.second.place)], [false, true])
  })

  it('an attempt that has claimed to answer is the one that does', async () => {
    const { attempts, read } = await late(await ready())
    assert.equal(hasWon(attempts.first.place), true)
    await attempts.second.answers('second')
    await attempts.first.answers('first')
    assert.equal(await read, 'first')
  })

  it('the first fails: the second is waited for, and answers', async () => {
    const { attempts, read } = await late(await ready())
    await attempts.first.fails(coded('57014'))
    assert.equal(attempts.second.givenUp.length, 0)
    await attempts.second.answers('rows')
    assert.equal(await read, 'rows')
    assert.equal(attempts.all.length, 2)
  })

  it('the second fails: the first is waited for, and answers', async () => {
    const { attempts, read } = await late(await ready())
    await attempts.second.fails(coded('57014'))
    await attempts.first.answers('rows')
    assert.equal(await read, 'rows')
    assert.equal(attempts.first.givenUp.length, 0)
  })

  for (const order of [
    [0, 1],
    [1, 0],
  ] as const) {
    it(`both fail, the ${order[0] === 0 ? 'first' : 'second'} before the other: the error is that of the first`, async () => {
      const { attempts, read } = await late(await ready())
      for (const index of order) await attempts.all[index]?.fails(coded('22012', `error of ${index}`))
      await assert.rejects(read, { message: 'error of 0', outcome: 'rolled-back' })
      assert.equal(attempts.all.length, 2)
    })
  }

  it('both fail, and the first is one that runs again elsewhere: it does', async () => {
    const all = await ready()
    const { attempts, read } = await late(all)
    await attempts.second.fails(coded('42P01', 'of the second'))
    await attempts.first.fails(coded('42P01', 'of the first'))
    assert.equal(attempts.all.length, 3)
    const third = attempts.all[2] as Tried
    assert.deepEqual([third.host, third.place.isHedge, third.place.race], ['a', false, null])
    await third.answers('rows')
    assert.equal(await read, 'rows')
  })

  it('the second gets no connection: its credit is there for the next', async () => {
    const all = await ready()
    const seconds: number[] = []
    for (const isHanded of [false, true, true]) {
      const attempts = new Attempts()
      const read = all.herd.run(HEDGED, attempts.perform)
      attempts.atOnce = isHanded
      await all.clock.advance(HEDGE_MILLIS)
      seconds.push(attempts.all.length - 1)
      if (attempts.all.length > 1) await attempts.second.fails(coded('PGHERD_STALE'))
      await attempts.first.answers('rows')
      assert.equal(await read, 'rows')
    }
    assert.deepEqual(seconds, [1, 1, 0])
  })

  it('the first fails before its time is over: no second is sent, and it runs again as ever', async () => {
    const all = await ready()
    const attempts = new Attempts()
    const read = all.herd.run(HEDGED, attempts.perform)
    await attempts.first.fails(coded('42P01'))
    await all.clock.advance(HEDGE_MILLIS)
    assert.deepEqual([attempts.all.length, attempts.second.host], [2, 'a'])
    await attempts.second.answers('rows')
    assert.equal(await read, 'rows')
  })

  it('a connection of the second breaks: its node is accused, and the first answers', async () => {
    const all = await ready()
    const { attempts, read } = await late(all)
    await attempts.second.fails(coded('ECONNRESET'))
    const of = (tried: Tried) => all.herd.topology.nodes.get(tried.place.node.key)
    assert.ok(of(attempts.second)?.suspect ?? of(attempts.second)?.losses, 'it is accused')
    await attempts.first.answers('rows')
    assert.equal(await read, 'rows')
  })

  it('a connection of the first breaks, and the second answers: the node of the first is accused', async () => {
    const all = await ready()
    const { attempts, read } = await late(all)
    await attempts.first.fails(coded('ECONNRESET'))
    await attempts.second.answers('rows')
    assert.equal(await read, 'rows')
    assert.equal(all.herd.topology.nodes.get(attempts.first.place.node.key)?.losses, 1)
  })

  it('what was given up counts among what its replica has in flight until its server is done', async () => {
    const all = await ready()
    const { attempts, read } = await late(all)
    await attempts.second.answers('rows')
    await read
    const stalled = attempts.first
    await all.clock.advance(STOP_MILLIS)
    assert.equal(stalled.givenUp.length, 1)
    const next = async () => {
      const hosts: string[] = []
      for (let i = 0; i < 4; i++) await all.herd.run(READ, async (place) => hosts.push(hostOf(place)))
      return hosts
    }
    assert.ok(!(await next()).includes(stalled.host), 'it is avoided')
    for (const over of stalled.givenUp) over()
    // Nothing is in flight now, and chance (0.5) decides between equals as it does without any hedge.
    const free = await next()
    const fresh = await ready()
    const hosts: string[] = []
    for (let i = 0; i < 4; i++) await fresh.herd.run(READ, async (place) => hosts.push(hostOf(place)))
    assert.deepEqual(free, hosts)
  })
})

describe('herd: a read that is not hedged', () => {
  const once = async (all: Scripted, request: Request = HEDGED, hosts = 'bc') => {
    const { attempts, read } = await late(all, request)
    await all.clock.advance(10 * HEDGE_MILLIS)
    assert.equal(attempts.all.length, 1)
    assert.ok(hosts.includes(attempts.first.host), attempts.first.host)
    await attempts.first.answers('rows')
    assert.equal(await read, 'rows')
  }

  it('by default', async () => {
    const all = await ready({ hedgeMillis: Infinity })
    const before = all.clock.pending
    await once(all)
    assert.ok(all.clock.pending <= before)
  })
  it('its text may not be sent twice', async () => once(await ready(), READ))
  it('there is no credit', async () => once(await ready({}, 0)))
  it('there is one replica', async () => once(await ready({}, 1, 1)))
  it('it runs on the primary', async () => once(await ready(), { ...WRITE, hedge: true }, 'a'))
  it('a bound that the other replica does not keep', async () => {
    const all = await ready({ maxLagMillis: 1000 })
    set(all.servers.a, { position: '0/200' })
    set(all.servers.b, { position: '0/200' })
    await all.clock.advance(3000)
    await once(all, HEDGED, 'b')
  })
  it('a node becomes suspect before the time is over', async () => {
    const all = await ready()
    const attempts = new Attempts()
    const read = all.herd.run(HEDGED, attempts.perform)
    await all.clock.advance(1)
    set(all.servers.a, { mode: 'silent' })
    await all.herd
      .run({ ...WRITE }, async (place) => {
        place.phase = 'handed'
        throw coded('ECONNRESET')
      })
      .catch(() => {})
    assert.ok([...all.herd.topology.nodes.values()].some(({ suspect }) => suspect !== null))
    await all.clock.advance(HEDGE_MILLIS)
    assert.equal(attempts.all.length, 1)
    await attempts.first.answers('rows')
    assert.equal(await read, 'rows')
  })
  it('the other replica is down', async () => {
    const all = await ready()
    set(all.servers.c, { mode: 'refuses' })
    await all.clock.advance(2000)
    await once(all, HEDGED, 'b')
  })
  it('the pool ends', async () => {
    const all = await ready()
    const attempts = new Attempts()
    const read = all.herd.run(HEDGED, attempts.perform)
    const finished = all.herd.finish()
    await all.clock.advance(HEDGE_MILLIS)
    assert.equal(attempts.all.length, 1)
    await attempts.first.answers('rows')
    assert.equal(await read, 'rows')
    await finished
  })

  it('at most one in twenty, over 10,000 reads that are all late', async () => {
    const all = await ready({}, 0)
    let second = 0
    for (let i = 0; i < 500; i++) {
      const attempts = Array.from({ length: 20 }, () => new Attempts())
      const reads = attempts.map(({ perform }) => all.herd.run(HEDGED, perform))
      await all.clock.advance(HEDGE_MILLIS)
      for (const each of attempts) {
        second += each.all.length - 1
        void each.first.answers('rows')
      }
      await Promise.all(reads)
      for (const { all: tried } of attempts) for (const { givenUp } of tried) for (const over of givenUp) over()
    }
    assert.equal(second, 500)
  })
})
