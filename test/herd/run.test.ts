import assert from 'node:assert/strict'
import type { PgherdError } from '../../src/errors.js'
import type { Attempt, Request } from '../../src/herd/herd.js'
import { settled } from '../support/manual-clock.js'
import {
  coded,
  hostOf,
  literal,
  named,
  READ,
  REPLICA,
  rejects,
  type Scripted,
  scripted,
  server,
  set,
  WRITE,
} from '../support/scripted-herd.js'

const CALL: Request = { target: { role: 'primary' }, repeat: () => ({ read: false, undone: 'parts' }), repairs: false }

/** A statement that fails with each error in turn, then succeeds; remembers where it was tried. */
function statement(...errors: readonly (Error | null)[]) {
  const tried: string[] = []
  const queue = [...errors]
  const attempt = async (place: Attempt) => {
    tried.push(hostOf(place))
    place.phase = 'handed'
    const error = queue.shift()
    if (error) throw error
    return hostOf(place)
  }
  return { tried, attempt }
}

const three = () => ({ a: server('primary', { replicas: 2 }), b: server('replica'), c: server('replica') })

async function ready(options: object = {}, servers = three()): Promise<Scripted> {
  const all = scripted(servers, options)
  void all.herd.run(WRITE, async () => {})
  await all.clock.advance(700)
  return all
}

describe('herd: run', () => {
  it('sends a write to the primary and a read to a proven replica', async () => {
    const { herd } = await ready()
    assert.equal(await herd.run(WRITE, statement().attempt), 'a')
    assert.match(String(await herd.run(READ, statement().attempt)), /^[bc]$/)
  })

  it('passes an ordinary error through as it came, with its outcome', async () => {
    const { herd } = await ready()
    const error = coded('23505')
    const { attempt, tried } = statement(error)
    await assert.rejects(herd.run(WRITE, attempt), (thrown: unknown) => {
      assert.equal(thrown, error)
      assert.equal((thrown as { readonly outcome?: string }).outcome, 'rolled-back')
      return true
    })
    assert.deepEqual(tried, ['a'])
  })

  it('never repeats a write whose reply was lost', async () => {
    const { herd } = await ready()
    const { attempt, tried } = statement(coded('ECONNRESET'))
    await assert.rejects(herd.run(WRITE, attempt), { code: 'ECONNRESET', outcome: 'unknown' })
    assert.deepEqual(tried, ['a'])
  })

  it('repeats a read whose reply was lost, on another node', async () => {
    const { herd } = await ready()
    const { attempt, tried } = statement(coded('ECONNRESET'))
    await herd.run(READ, attempt)
    assert.equal(tried.length, 2)
    assert.notEqual(tried[0], tried[1])
  })

  it('carries a write over to the new primary when the old one surely did not run it', async () => {
    const { herd, clock, servers } = await ready()
    const { attempt, tried } = statement(coded('57P01', 'terminating connection', { severity: 'FATAL' }))
    const written = herd.run(WRITE, attempt)
    set(servers.a, { mode: 'refuses' })
    await clock.advance(200)
    assert.deepEqual(tried, ['a'])
    set(servers.b, { mode: 'primary', timeline: 2 })
    await clock.advance(200)
    assert.equal(await written, 'b')
  })

  it('a server that turns new connections away is asked over a new one, though the old one still answers', async () => {
    const { herd, clock, servers } = await ready()
    set(servers.a, { mode: 'stopping' })
    set(servers.b, { mode: 'primary', timeline: 2 })
    const tried: string[] = []
    const written = herd.run(WRITE, async (place) => {
      tried.push(hostOf(place))
      if (hostOf(place) === 'a') throw coded('57P03')
      return hostOf(place)
    })
    await clock.advance(500)
    assert.equal(await written, 'b')
    assert.deepEqual(tried, ['a', 'b'])
  })

  it('does not carry over what the server undoes only in part', async () => {
    const { herd } = await ready()
    const { attempt, tried } = statement(coded('57P01', 'terminating connection', { severity: 'FATAL' }))
    await assert.rejects(herd.run(CALL, attempt), { code: '57P01', outcome: 'unknown' })
    assert.deepEqual(tried, ['a'])
  })

  it("shows a 25006 that the same, re-proven primary repeats: it is the user's own", async () => {
    const { herd, clock } = await ready()
    const { attempt, tried } = statement(coded('25006'), coded('25006'), null)
    const written = rejects(herd.run(WRITE, attempt), '25006')
    await clock.advance(200)
    await written
    assert.deepEqual(tried, ['a', 'a'])
    assert.equal(named(herd.topology.primary?.split(':')[0] ?? ''), 'a')
  })

  it('sends a read that a replica refuses as a write to the primary, not to another replica', async () => {
    const { herd } = await ready()
    const { attempt, tried } = statement(coded('25006'))
    assert.equal(await herd.run(READ, attempt), 'a')
    assert.match(tried[0] ?? '', /^[bc]$/)
    assert.ok([...herd.topology.nodes.values()].every(({ suspect }) => suspect === null))
  })

  it('does not let one node hold a statement for ever', async () => {
    const { herd, clock } = await ready()
    const never = new Error('Client has encountered a connection error and is not queryable')
    const { attempt, tried } = statement(never, never, never, never)
    const written = assert.rejects(herd.run(WRITE, attempt), never)
    await clock.advance(1000)
    await written
    assert.deepEqual(tried, ['a', 'a', 'a'])
  })

  it('shows 53300 of the primary at once', async () => {
    const { herd } = await ready()
    const full = async () => {
      throw coded('53300')
    }
    await rejects(herd.run(WRITE, full), '53300')
  })
})

describe('herd: waiting', () => {
  it('releases waiting writes in the order in which they came', async () => {
    const { herd, clock, servers } = await ready()
    set(servers.a, { mode: 'refuses' })
    await clock.advance(400)
    const order: number[] = []
    const writes = [1, 2, 3].map((i) => herd.run(WRITE, async () => void order.push(i)))
    await settled()
    assert.equal(herd.waiting, 3)
    set(servers.c, { mode: 'primary', timeline: 2 })
    await clock.advance(100)
    await Promise.all(writes)
    assert.deepEqual(order, [1, 2, 3])
  })

  it('releases a crowd in growing groups, in order', async () => {
    const { herd, clock, servers } = await ready()
    set(servers.a, { mode: 'refuses' })
    await clock.advance(400)
    const order: number[] = []
    const numbers = Array.from({ length: 100 }, (_, i) => i)
    const writes = numbers.map((i) => herd.run(WRITE, async () => void order.push(i)))
    await settled()
    assert.equal(herd.health.waiting, 100)
    set(servers.c, { mode: 'primary', timeline: 2 })
    while (order.length === 0) await clock.advance(1)
    const groups = [order.length]
    for (; order.length < 100; await clock.advance(1)) if (order.length !== groups.at(-1)) groups.push(order.length)
    await Promise.all(writes)
    assert.deepEqual([...groups, order.length], [16, 48, 100])
    assert.deepEqual(order, numbers)
    assert.ok(herd.health.waited >= 100)
  })

  it('one deadline covers the wait and the connection, and the error says what took how long', async () => {
    const { herd, clock, servers } = await ready({ connectionTimeoutMillis: 3000 })
    set(servers.a, { mode: 'refuses' })
    await clock.advance(400)
    let place: Attempt | undefined
    const failed = herd.run(WRITE, (chosen) => {
      place = chosen
      return new Promise(() => {})
    })
    failed.catch(() => {})
    await clock.advance(2000)
    set(servers.c, { mode: 'primary', timeline: 2 })
    await clock.advance(999)
    assert.equal(place?.abandoned, false)
    await clock.advance(1)
    assert.equal(place?.abandoned, true, 'a connection that comes now is nobody else’s to wait for')
    await assert.rejects(failed, (error: PgherdError) => {
      assert.equal(error.code, 'PGHERD_TIMEOUT')
      assert.match(error.message, /20\d\d ms went into waiting for a node, 9\d\d ms into 1 attempt to connect/)
      assert.equal(error.nodes.size, 3)
      return error.outcome === 'not-sent'
    })
  })

  it('a connection that does not come in time from a server that says nothing is told as what it is', async () => {
    const message = 'timeout exceeded when trying to connect'
    const overdue = (herd: Scripted['herd'], clock: Scripted['clock']) =>
      herd.run(WRITE, () => new Promise((_, reject) => clock.alarm(500, () => reject(new Error(message)))))
    const { herd, clock, servers } = await ready({ connectionTimeoutMillis: 500 })
    const busy = assert.rejects(overdue(herd, clock), { message, outcome: 'not-sent' })
    await clock.advance(500)
    await busy // all connections of a server that is well
    set(servers.a, { mode: 'silent' })
    const failed = assert.rejects(overdue(herd, clock), (error: PgherdError) => {
      assert.deepEqual([error.code, error.outcome, error.nodes.size], ['PGHERD_TIMEOUT', 'not-sent', 3])
      assert.match(
        error.message,
        /timeout exceeded.* 500 ms into 1 attempt to connect\. Nothing was heard of .* for \d{3} ms/
      )
      assert.match(error.message, /\n.*: primary \(avoided, .*\n.*: replica \(in-recovery/)
      assert.equal((error.cause as Error).message, message)
      return true
    })
    await clock.advance(500)
    await failed
  })

  it('ends with PGHERD_NO_PRIMARY after failoverTimeoutMillis, with a line for every node', async () => {
    const { herd, clock, servers } = await ready({ failoverTimeoutMillis: 5000 })
    set(servers.a, { mode: 'refuses' })
    await clock.advance(400)
    const write = rejects(
      herd.run(WRITE, statement().attempt),
      'PGHERD_NO_PRIMARY',
      /5000 ms.*\n.*: down \(connect ECONNREFUSED\)\n.*replica/s
    )
    await clock.advance(4999)
    assert.equal(herd.waiting, 1)
    await clock.advance(2)
    await write
    assert.equal(herd.waiting, 0)
  })

  it('is capped by connectionTimeoutMillis where the user set it', async () => {
    const { herd, clock, servers } = await ready({ connectionTimeoutMillis: 200 })
    set(servers.a, { mode: 'refuses' })
    await clock.advance(400)
    const write = rejects(
      herd.run(WRITE, statement().attempt),
      'PGHERD_NO_PRIMARY',
      /connectionTimeoutMillis \(200 ms\)/
    )
    await clock.advance(201)
    await write
  })

  it('refuses the statement beyond failoverQueue at once', async () => {
    const { herd, clock, servers } = await ready({ failoverQueue: 2 })
    set(servers.a, { mode: 'refuses' })
    await clock.advance(400)
    const waiting = [1, 2].map(() => herd.run(WRITE, statement().attempt).catch(() => {}))
    await settled()
    await rejects(herd.run(WRITE, statement().attempt), 'PGHERD_QUEUE_FULL', /2 statements already wait/)
    herd.end()
    await Promise.all(waiting)
  })

  it('ends for everybody when the herd ends, and leaves no alarm behind', async () => {
    const { herd, clock, servers } = await ready()
    set(servers.a, { mode: 'refuses' })
    await clock.advance(400)
    const write = assert.rejects(herd.run(WRITE, statement().attempt), /Cannot use a pool after calling end/)
    herd.end()
    await write
    await clock.advance(60_000)
    assert.equal(clock.pending, 0)
  })

  it('lets reads go on from replicas meanwhile, within maxStaleMillis', async () => {
    const { herd, clock, servers } = await ready({ maxStaleMillis: 5000 })
    set(servers.a, { mode: 'refuses' })
    const target = { ...REPLICA, maxStaleMillis: 5000 }
    await clock.advance(3000)
    assert.match(String(await herd.run({ ...READ, target } as Request, statement().attempt)), /^[bc]$/)
    await clock.advance(5000)
    void herd.run({ ...READ, target } as Request, statement().attempt).catch(() => {})
    await settled()
    assert.equal(herd.waiting, 1)
    herd.end()
  })
})

describe('herd: errors that no waiting cures come at once', () => {
  it('a wrong password', async () => {
    const { herd, clock } = scripted({ a: server('denies'), b: server('refuses'), c: server('denies') })
    const write = rejects(herd.run(WRITE, statement().attempt), '28P01', /password authentication failed/)
    await clock.advance(10)
    await write
  })
  it('two clusters in one list of hosts', async () => {
    const { herd, clock } = scripted({ a: server('primary'), b: server('primary', { system: '8' }) })
    const write = rejects(
      herd.run(WRITE, statement().attempt),
      'PGHERD_MIXED_CLUSTERS',
      /system identifier 7.*system identifier 8/s
    )
    await clock.advance(10)
    await write
  })
  it('the one server that refuses', async () => {
    const { herd } = scripted({ a: server('refuses') })
    const { attempt, tried } = statement(coded('ECONNREFUSED'))
    await rejects(
      herd.run(WRITE, (place) => {
        const result = attempt(place)
        place.phase = 'connect'
        return result
      }),
      'ECONNREFUSED'
    )
    assert.deepEqual(tried, ['a'])
  })
  it('a lasting contest between two primaries', async () => {
    const { herd, clock } = scripted({ a: server('primary'), b: server('primary') })
    const write = rejects(herd.run(WRITE, statement().attempt), 'PGHERD_CONTESTED_PRIMARY', /timeline 1/)
    await clock.advance(2900)
    assert.equal(herd.waiting, 1)
    await clock.advance(400)
    await write
  })
  it('no replica where the primary may not serve', async () => {
    const { herd } = await ready({}, { a: server('primary'), b: server('refuses'), c: server('refuses') })
    const target = { ...REPLICA, otherwise: 'refuse' } as Request['target']
    await rejects(
      herd.run({ ...READ, target }, statement().attempt),
      'PGHERD_NO_REPLICA',
      /no replica is known .* Name the/
    )
  })
  const ADVICE: readonly (readonly [Parameters<typeof ready>[0], RegExp, RegExp])[] = [
    [{ whenStale: 'error' }, /whenStale: 'primary'/, /leave out/],
    [{ whenStale: 'primary' }, /leave out route: 'replica'/, /whenStale/],
    [{ targetSessionAttrs: 'standby', whenStale: 'error' }, /targetSessionAttrs: 'any'/, /whenStale|leave out/],
  ]
  for (const [options, advised, not] of ADVICE) {
    it(`no replica with ${JSON.stringify(options)}: what the reader can do is not what was done already`, async () => {
      const { herd } = await ready(options, { a: server('primary'), b: server('refuses'), c: server('refuses') })
      const target = { ...REPLICA, otherwise: 'refuse' } as Request['target']
      const error = await herd.run({ ...READ, target }, statement().attempt).catch((reason) => reason)
      assert.match(error.message, advised)
      assert.doesNotMatch(error.message, not)
    })
  }
  it('no server that was ever heard: there is none to be promoted', async () => {
    const servers = { a: server('refuses'), b: server('silent') }
    const { herd, clock } = scripted(servers, { failoverTimeoutMillis: 2000 })
    const texts: string[] = []
    const note = ({ message }: Error) => void texts.push(message)
    const write = herd.run(WRITE, statement().attempt).catch(note)
    const waits = herd.ready({ primary: true, replicas: 0, maxLagMillis: 1000 }, 1500).catch(note)
    await clock.advance(2001)
    await Promise.all([write, waits])
    assert.equal(texts.length, 2)
    for (const text of texts) {
      assert.match(text, /No server has answered yet: check the hosts, the ports/)
      assert.doesNotMatch(text, /[Pp]romote/)
    }
  })
  it('no server that answers any more', async () => {
    const { herd, clock, servers } = await ready({ failoverTimeoutMillis: 2000 })
    for (const each of Object.values(servers)) each.mode = 'refuses'
    await clock.advance(700)
    const write = rejects(herd.run(WRITE, statement().attempt), 'PGHERD_NO_PRIMARY', /No server answers: start one/)
    await clock.advance(2001)
    await write
  })
  it('a replica that answers: it may be promoted', async () => {
    const servers = { a: server('refuses'), b: server('replica') }
    const { herd, clock } = scripted(servers, { failoverTimeoutMillis: 2000 })
    const write = rejects(herd.run(WRITE, statement().attempt), 'PGHERD_NO_PRIMARY', /Promote a replica/)
    await clock.advance(2001)
    await write
  })
})

describe('herd: looking', () => {
  it('does nothing before the first statement', async () => {
    const { clock, servers } = scripted(three())
    await clock.advance(60_000)
    assert.deepEqual(
      Object.values(servers).map(({ looks }) => looks),
      [0, 0, 0]
    )
    assert.equal(clock.pending, 0)
  })

  it('a hung node delays nobody', async () => {
    const all = scripted({ a: server('primary', { replicas: 1 }), b: server('replica'), c: server('silent') })
    const write = all.herd.run(WRITE, statement().attempt)
    await all.clock.advance(1010) // the first look at every configured node, this one's deadline included
    assert.equal(await write, 'a')
    const before = all.servers.b?.looks ?? 0
    await all.clock.advance(3000)
    assert.ok((all.servers.b?.looks ?? 0) >= before + 8)
  })

  it('rests after 10 s without a statement, and proves the primary again before it is written to', async () => {
    const { herd, clock, servers } = await ready()
    await clock.advance(12_000)
    const looks = servers.a?.looks ?? 0
    assert.equal(servers.a?.open, false)
    await clock.advance(60_000)
    assert.equal(servers.a?.looks, looks)
    set(servers.a, { mode: 'replica', timeline: 2 })
    set(servers.b, { mode: 'primary', timeline: 2 })
    const { attempt, tried } = statement()
    const write = herd.run(WRITE, attempt)
    await clock.advance(100)
    assert.equal(await write, 'b')
    assert.deepEqual(tried, ['b'])
  })

  it('after a rest the old position of the primary bounds no bytes: it is looked at first', async () => {
    const { herd, clock, servers } = await ready()
    await clock.advance(60_000)
    set(servers.a, { position: '9/0' })
    const errand = {
      ...READ,
      target: { ...REPLICA, need: { ...REPLICA.need, maxLagMillis: Infinity }, maxLagBytes: 1000 },
    }
    const read = herd.run(errand as Request, async ({ required }) => required?.lsn)
    await clock.advance(100)
    assert.equal(await read, 0x9_0000_0000n - 1000n)
  })

  it('an accusation makes one probe, not a conviction', async () => {
    const { herd, clock, servers } = await ready()
    const node = herd.topology.nodes.get(herd.topology.primary ?? ('' as never))
    assert.ok(node)
    const { attempt } = statement(coded('ECONNRESET'))
    await assert.rejects(herd.run(WRITE, attempt))
    const waiting = herd.run(WRITE, statement().attempt)
    await clock.advance(1)
    assert.equal(await waiting, 'a')
    assert.equal(herd.topology.nodes.get(node.key)?.generation, node.generation)
    assert.ok((servers.a?.looks ?? 0) > 0)
  })

  it('a read that lacks proof asks for it on behalf of the next', async () => {
    const { herd, clock, servers } = await ready()
    const errand = { ...READ, target: { ...REPLICA, need: { ...REPLICA.need, maxLagMillis: 1 } } } as Request
    await clock.advance(20)
    assert.equal(await herd.run(errand, statement().attempt), 'a')
    await clock.advance(1)
    assert.match(String(await herd.run(errand, statement().attempt)), /^[bc]$/)
    assert.ok((servers.a?.looks ?? 0) >= 2)
  })

  it('what must be seen was acknowledged just now, and nobody has asked where: the read asks, and waits for it', async () => {
    const { herd, clock } = await ready()
    const errand = { ...READ, target: { ...REPLICA, need: { ...REPLICA.need, since: clock.mono() } } } as Request
    await clock.advance(1)
    assert.match(String(await herd.run(errand, statement().attempt)), /^[bc]$/)
    assert.equal(herd.freshness.awaited, 1)
  })

  it('convicts a silent primary after silentMillis and takes the promoted replica', async () => {
    const { herd, clock, servers } = await ready({ silentMillis: 2000 })
    set(servers.a, { mode: 'silent' })
    set(servers.b, { mode: 'primary', timeline: 2 })
    const waited = clock.advance(4500)
    await waited
    assert.equal(named(herd.topology.primary?.split(':')[0] ?? ''), 'b')
    assert.equal(await herd.run(WRITE, statement().attempt), 'b')
  })
})

describe('herd: histories', () => {
  it('subscribers are told of a new one, however it was noticed', async () => {
    const { herd, clock, servers } = await ready()
    const told: string[] = []
    herd.subscribe((_after, _before, found) => told.push(...found.map(({ kind }) => kind)))
    await clock.advance(1)
    if (servers.a !== undefined) servers.a.position = '0/50'
    const { epoch } = herd.topology
    herd.askPosition()
    await clock.advance(0)
    assert.equal(herd.topology.epoch, epoch + 1)
    assert.ok(told.includes('epoch'), told.join(' '))
  })
})

describe('herd: discovery', () => {
  it('knows its nodes by address', () => assert.equal(named(literal('a')), 'a'))
})

describe('herd: own writes', () => {
  it('an acknowledged write is covered by a sample before long, so that reads survive the primary', async () => {
    const { herd, clock, servers } = await ready()
    const need = { maxLagMillis: 1000, since: clock.mono(), asynchronous: false }
    await clock.advance(0.1)
    herd.report({ kind: 'acknowledged' })
    await clock.advance(20)
    set(servers.a, { mode: 'refuses' })
    await clock.advance(400)
    const errand = { ...READ, target: { ...REPLICA, need } } as Request
    assert.match(String(await herd.run(errand, statement().attempt)), /^[bc]$/)
  })
})
