// What a statement waits for is decided anew with each change of it: nodes, positions, names, the catalogue.

import assert from 'node:assert/strict'
import { keyOf, type NodeAddress } from '../../src/core/cluster/address.js'
import type { Lsn } from '../../src/core/cluster/lsn.js'
import { emptyTopology } from '../../src/core/cluster/topology.js'
import type { Attempt, Request } from '../../src/herd/herd.js'
import type { Question } from '../../src/herd/question.js'
import { Store } from '../../src/herd/store.js'
import { ManualClock, settled } from '../support/manual-clock.js'
import {
  coded,
  hostOf,
  literal,
  READ,
  REPLICA,
  rejects,
  type Scripted,
  scripted,
  server,
  set,
  WRITE,
} from '../support/scripted-herd.js'

const { need: NEED } = REPLICA
const read = (more: Partial<typeof REPLICA> = {}): Request => ({ ...READ, target: { ...REPLICA, ...more } })
const UNBOUNDED = { need: { ...NEED, maxLagMillis: Infinity } }

const atOnce = async (place: Attempt) => hostOf(place)

/** The first attempts fail with these. */
function failing(...errors: readonly Error[]) {
  const tried: string[] = []
  const left = [...errors]
  const attempt = async (place: Attempt) => {
    tried.push(hostOf(place))
    const error = left.shift()
    if (error !== undefined) throw error
    return hostOf(place)
  }
  return { tried, attempt }
}

const primaryAnd = () => ({ a: server('primary', { replicas: 1, position: '0/200' }), b: server('replica') })

async function opened(servers = primaryAnd()): Promise<Scripted> {
  const all = scripted(servers)
  void all.herd.run(WRITE, atOnce)
  await all.clock.advance(700)
  return all
}

/** The primary is gone for good, and its replica has come so far; it had come to 0/200 itself. */
async function orphaned(position = '0/100'): Promise<Scripted> {
  const all = await opened()
  set(all.servers.b, { position })
  await all.clock.advance(700)
  set(all.servers.a, { mode: 'refuses' })
  await all.clock.advance(400)
  return all
}

describe('waiters: what they wait for is decided anew', () => {
  it('a read that only the missing catalogue sent to the primary goes to a replica when that is read', async () => {
    const clock: { now?: ManualClock } = {}
    const slow: Question = async () => {
      await new Promise<void>((resolve) => clock.now?.alarm(200, resolve))
      return [[{ position: 'FFFFFFFF/FFFFFFFF' }], []]
    }
    const { herd, ...all } = scripted({ a: server('refuses'), b: server('replica') }, {}, slow)
    clock.now = all.clock
    const again = (): Request => (herd.informed ? read(UNBOUNDED) : WRITE)
    let served = ''
    const answer = herd.run({ ...again(), again }, atOnce).then((where) => {
      served = where
    })
    await all.clock.advance(190)
    assert.deepEqual([served, herd.waiting], ['', 1])
    await all.clock.advance(100)
    assert.equal(served, 'b')
    await answer
  })

  it('a replica that once failed a guard serves when it has what the read must see', async () => {
    const { herd, clock, servers } = await opened()
    const since = clock.mono()
    await clock.advance(700)
    set(servers.a, { mode: 'refuses' })
    await clock.advance(400)
    const { attempt, tried } = failing(coded('PGHERD_STALE'))
    const answer = herd.run(read({ need: { ...NEED, since } }), attempt)
    await clock.advance(2000)
    assert.deepEqual([tried, herd.waiting], [['b'], 1], 'one guess, and no more')
    set(servers.b, { position: '0/200' })
    await clock.advance(100)
    assert.equal(await answer, 'b')
  })

  it('a connection that was behind its node keeps the read away until that node shows a newer position', async () => {
    const { herd, clock } = await orphaned('0/200')
    const { attempt, tried } = failing(coded('PGHERD_STALE'))
    const answer = herd.run(read(), attempt)
    await settled()
    assert.deepEqual(tried, ['b'])
    await clock.advance(100)
    assert.equal(await answer, 'b')
  })

  it('a broken connection is no dead replica: the read that waits runs there when a probe was answered', async () => {
    const { herd, clock } = await orphaned('0/200')
    const { attempt, tried } = failing(coded('ECONNRESET'))
    const answer = herd.run(read(), attempt)
    await clock.advance(100)
    assert.equal(await answer, 'b')
    assert.deepEqual(tried, ['b', 'b'])
  })

  it('a replica that eats every connection does not hold the read in a loop, nor fails it', async () => {
    const { herd, clock } = await orphaned('0/200')
    const { attempt, tried } = failing(...Array.from({ length: 50 }, () => coded('ECONNRESET')))
    const answer = rejects(herd.run(read(), attempt), 'PGHERD_NO_PRIMARY')
    await clock.advance(31_000)
    await answer
    assert.equal(tried.length, 3)
  })

  it('a replica without a free connection is asked again after a second, not with each probe', async () => {
    const { herd, clock } = await orphaned('0/200')
    const { attempt, tried } = failing(coded('53300'))
    const answer = herd.run(read(), attempt)
    await clock.advance(900)
    assert.deepEqual(tried, ['b'])
    await clock.advance(300)
    assert.equal(await answer, 'b')
  })

  it('what a replica refused is the primary’s, whatever becomes known while it waits', async () => {
    const { herd, clock, servers } = await orphaned('0/200')
    const errand = read()
    const { attempt, tried } = failing(coded('25006'))
    const answer = herd.run({ ...errand, again: () => errand }, attempt)
    await clock.advance(1000)
    assert.deepEqual(tried, ['b'])
    set(servers.a, { mode: 'primary' })
    await clock.advance(1000)
    assert.equal(await answer, 'a')
  })

  it('a waiter’s own signal ends its wait, whatever it was decided to be', async () => {
    const { herd } = await orphaned()
    const stop = new AbortController()
    const answer = herd.run({ ...WRITE, again: () => WRITE, signal: stop.signal }, atOnce)
    await settled()
    stop.abort(new Error('given up'))
    await assert.rejects(answer, /given up/)
    assert.equal(herd.waiting, 0)
  })
})

const address: NodeAddress = { host: '10.0.0.1', port: 5432, servername: null, origin: 'configured' }
const RULES = { hosts: 1, silentMillis: 3000, strictAsyncCommit: false }

/** Each look at the picture takes its time. */
class BusyClock extends ManualClock {
  spent = 0
  override mono(): number {
    return super.mono() + this.spent
  }
}

describe('waiters: positions by the thousand', () => {
  it('only what reads from replicas is asked for their sake', async () => {
    const { herd, clock } = await orphaned()
    const asked = { write: 0, read: 0 }
    const counting = (kind: keyof typeof asked, errand: Request): Request => ({
      ...errand,
      again: () => {
        asked[kind]++
        return errand
      },
    })
    const need = { ...NEED, since: clock.mono() }
    const answers = [counting('write', WRITE), counting('read', read({ need }))].map((errand) =>
      herd.run(errand, atOnce)
    )
    await settled()
    const before = { ...asked }
    const [node] = [...herd.topology.nodes.values()].filter(({ state }) => state.kind === 'replica')
    assert.ok(node)
    for (let lsn = 0x300n; lsn < 0x310n; lsn++) {
      const position = { lsn: lsn as Lsn, askedAt: clock.now() }
      const { key, generation } = node
      herd.report({ kind: 'shown', key, generation, position, receiver: null, known: 0n as Lsn, guard: null })
    }
    assert.deepEqual([asked.write - before.write, asked.read - before.read], [0, 16])
    for (const answer of answers) answer.catch(() => {})
    herd.end()
    herd.close()
  })

  it('a thousand in a second cost at most a tenth of the time, however many wait', async () => {
    const clock = new BusyClock()
    const store = new Store(emptyTopology(RULES), clock)
    const key = keyOf(address)
    store.dispatch({ kind: 'discovered', source: 'configured', addresses: [address], at: clock.now() })
    let asked = 0
    const find = () => {
      asked++
      clock.spent += 0.002
      return undefined
    }
    for (let i = 0; i < 1000; i++) store.waitFor(find, 60_000).catch(() => {})
    const before = asked
    const [from, spent] = [clock.now().mono, clock.spent]
    const result = (at: number) =>
      ({
        kind: 'failure',
        failure: {
          kind: 'denied',
          sent: 'never',
          accuses: false,
          origin: 'server',
          severity: 'FATAL',
          code: null,
          message: `${at}`,
          error: null,
        },
      }) as const
    for (let i = 0; i < 1000; i++) {
      const at = clock.now()
      store.dispatch({ kind: 'probed', key, startedAt: at, at, result: result(i) })
      await clock.advance(1)
    }
    const share = (clock.spent - spent) / (clock.now().mono - from + clock.spent - spent)
    assert.ok(share < 0.12, `${share}`)
    assert.ok(asked - before >= 5000, 'they are asked all the same')
    store.rejectWaiters(new Error('over'))
    assert.equal(clock.pending, 0)
  })
})

describe('waiters: at the end of the pool', () => {
  it('what is under way is finished first, also where a guard fails and the primary must serve', async () => {
    const { herd, clock, servers } = await opened()
    const since = clock.mono()
    await clock.advance(700)
    let fail = () => {}
    const failed = new Promise<never>((_, reject) => {
      fail = () => reject(coded('PGHERD_STALE'))
    })
    const tried: string[] = []
    const answer = herd.run(read({ need: { ...NEED, since } }), async (place) => {
      tried.push(hostOf(place))
      return tried.length === 1 ? failed : hostOf(place)
    })
    await settled()
    let over = false
    const end = Promise.resolve(herd.finish()).then(() => {
      over = true
    })
    await settled()
    assert.equal(over, false)
    fail()
    assert.equal(await answer, 'a')
    await end
    assert.deepEqual(tried, ['b', 'a'])
    assert.ok(servers.a)
  })

  it('the first look is waited for, and then what it found serves', async () => {
    const { herd, clock } = scripted(primaryAnd())
    const answers = [herd.run(WRITE, atOnce), herd.run(read(), atOnce)]
    const end = herd.finish()
    await clock.advance(10)
    assert.deepEqual(await Promise.all(answers), ['a', 'a'])
    await end
  })

  it('the first look is waited for, and what finds no primary then is rejected', async () => {
    const { herd, clock } = scripted({ a: server('refuses'), b: server('replica'), c: server('silent') })
    const answer = assert.rejects(herd.run(WRITE, atOnce), { message: /after calling end/, outcome: 'not-sent' })
    const end = herd.finish()
    await clock.advance(900)
    assert.equal(herd.waiting, 1)
    await clock.advance(200)
    await Promise.all([answer, end])
  })

  it('what waits for a new primary is rejected at once, a crowd of it too', async () => {
    const { herd, clock } = await orphaned()
    const ended = { message: /after calling end/, outcome: 'not-sent' }
    const answers = Array.from({ length: 100 }, () => assert.rejects(herd.run(WRITE, atOnce), ended))
    const token = assert.rejects(herd.positionSince(clock.mono(), false), ended)
    const ready = assert.rejects(herd.ready({ primary: true, replicas: 0, maxLagMillis: 1000 }, 5000), ended)
    await settled()
    await herd.finish()
    await Promise.all([...answers, token, ready])
    herd.end()
    herd.close()
    assert.equal(herd.waiting, 0)
  })

  it('a primary that is suspect is waited for until its next answer; if that convicts it, the failure is told', async () => {
    for (const mode of ['primary', 'refuses'] as const) {
      const { herd, clock, servers } = await opened()
      const error = coded('57P01', 'terminated', { severity: 'FATAL' })
      const { attempt, tried } = failing(error)
      set(servers.a, { mode })
      const handed = (place: Attempt) => {
        place.phase = 'handed'
        return attempt(place)
      }
      const answer = herd.run(WRITE, handed)
      const end = herd.finish()
      const told = mode === 'primary' ? answer : assert.rejects(answer, { code: '57P01', outcome: 'rolled-back' })
      await clock.advance(400)
      await Promise.all([told, end])
      assert.deepEqual(tried, mode === 'primary' ? ['a', 'a'] : ['a'])
    }
  })

  it('a replica that dies meanwhile hands its reads to another, or to the primary', async () => {
    const { herd, clock } = await opened({ a: server('primary', { replicas: 1 }), b: server('replica') })
    const { attempt, tried } = failing(coded('ECONNRESET'))
    const answer = herd.run(read(), attempt)
    const end = herd.finish()
    await clock.advance(10)
    assert.equal(await answer, 'a')
    assert.deepEqual(tried, ['b', 'a'])
    await end
  })

  it('a replica that is suspect is waited for where there is no primary, and its reads are finished', async () => {
    const { herd, clock } = await orphaned('0/200')
    const { attempt, tried } = failing(coded('ECONNRESET'))
    const answer = herd.run(read(), attempt)
    const end = herd.finish()
    await clock.advance(100)
    assert.equal(await answer, 'b')
    assert.deepEqual(tried, ['b', 'b'])
    await end
  })

  it('a read that waits only for the catalogue is served when it is read', async () => {
    const { herd, clock } = scripted({ a: server('refuses'), b: server('replica') })
    const again = (): Request => (herd.informed ? read(UNBOUNDED) : WRITE)
    const answer = herd.run({ ...again(), again }, atOnce)
    const end = herd.finish()
    await clock.advance(50)
    assert.equal(await answer, 'b')
    await end
  })
})

describe('waiters: standbys alone', () => {
  const two = () => ({ a: server('replica'), b: server('replica') })
  const serve = { alone: 'serve' } as const

  it('a read is served at once where nothing more was asked for, and the missing proof is told', async () => {
    let told = 0
    const { herd, clock } = scripted(two(), {}, undefined, { unproven: () => told++ })
    const reasons: string[] = []
    const attempt = async ({ reason }: Attempt) => void reasons.push(reason)
    const reads = [herd.run(read(serve), attempt), herd.run(read({ ...serve, ...UNBOUNDED }), attempt)]
    await clock.advance(20)
    await Promise.all(reads)
    assert.deepEqual([reasons.sort(), told], [['unbounded', 'unproven'], 1])
    assert.deepEqual([herd.health.readable, herd.health.replicas, herd.health.writable], [true, 2, false])
    await herd.ready({ primary: false, replicas: 2, maxLagMillis: 1000 }, 1000)
  })

  it('a given bound is refused at once, and so is what a token stands for; a write waits', async () => {
    const { herd, clock } = scripted(two(), { maxLagMillis: 500 })
    const carried = { lsn: null, arrivedAt: 0 }
    const refused = [
      rejects(herd.run(read(), atOnce), 'PGHERD_NO_REPLICA', /no primary was ever seen/),
      rejects(herd.run(read({ otherwise: 'refuse' }), atOnce), 'PGHERD_NO_REPLICA'),
      rejects(herd.run(read({ ...serve, need: { ...NEED, carried } }), atOnce), 'PGHERD_NO_REPLICA'),
    ]
    const write = rejects(herd.run(WRITE, atOnce), 'PGHERD_NO_PRIMARY')
    await clock.advance(20)
    await Promise.all(refused)
    assert.deepEqual([herd.waiting, herd.health.readable], [1, false])
    await clock.advance(30_000)
    await write
  })

  it('while one named host has not answered, nothing is concluded', async () => {
    const { herd, clock, servers } = scripted({ ...two(), c: server('refuses') })
    const answer = herd.run(read(serve), atOnce)
    await clock.advance(2000)
    assert.equal(herd.waiting, 1)
    set(servers.c, { mode: 'replica' })
    await clock.advance(200)
    assert.match(await answer, /^[abc]$/)
    set(servers.c, { mode: 'refuses' })
    await clock.advance(400)
    assert.match(await herd.run(read(serve), atOnce), /^[ab]$/, 'a standby that fails later is no primary')
  })

  it('all addresses of a name are asked, and a name that does not resolve may be the primary', async () => {
    const address = (name: string): NodeAddress => ({
      host: literal(name),
      port: 5432,
      servername: null,
      origin: 'configured',
    })
    let fails = true
    const sources = [
      { name: 'dns ro.test:5432', discover: async () => [address('a'), address('b')] },
      {
        name: 'dns rw.test:5432',
        discover: async () => {
          if (fails) throw coded('ENOTFOUND')
          return [address('c')]
        },
      },
    ]
    const options = { host: 'ro.test,rw.test' }
    const { herd, clock } = scripted({ ...two(), c: server('replica') }, options, undefined, { sources })
    const answer = herd.run(read(serve), atOnce)
    await clock.advance(400)
    assert.equal(herd.waiting, 1)
    fails = false
    await clock.advance(700)
    assert.match(await answer, /^[abc]$/)
  })

  it('from the first primary on the ordinary rules hold for ever', async () => {
    const { herd, clock, servers } = scripted(two())
    const first = herd.run(read(serve), atOnce)
    await clock.advance(20)
    assert.match(await first, /^[ab]$/)
    set(servers.a, { mode: 'primary', replicas: 1 })
    const write = herd.run(WRITE, atOnce)
    await clock.advance(1000)
    assert.equal(await write, 'a')
    set(servers.a, { mode: 'replica', replicas: 0 })
    await clock.advance(40_000)
    const late = rejects(herd.run(read(serve), atOnce), 'PGHERD_NO_PRIMARY')
    await clock.advance(30_000)
    await late
  })

  it('a session stays with its standby while that serves', async () => {
    const { herd, clock } = scripted(two())
    const first = herd.run(read(serve), async ({ node }) => node)
    await clock.advance(20)
    const { key, generation, losses } = await first
    const stick = { key, generation, losses, since: clock.mono() }
    for (let i = 0; i < 5; i++) {
      const { node } = await herd.run(read({ ...serve, stick }), async (place) => place)
      assert.equal(node.key, key)
    }
  })
})
