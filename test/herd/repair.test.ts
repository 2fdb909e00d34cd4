import assert from 'node:assert/strict'
import type { Failure } from '../../src/core/cluster/failure.js'
import type { Attempt, Request } from '../../src/herd/herd.js'
import { coded, hostOf, READ, type Scripted, scripted, server, WRITE } from '../support/scripted-herd.js'

async function ready(options: object = {}): Promise<Scripted> {
  const servers = { a: server('primary', { replicas: 2 }), b: server('replica'), c: server('replica') }
  const all = scripted(servers, options)
  void all.herd.run(WRITE, async () => {})
  await all.clock.advance(700)
  return all
}

/** A read as the pool makes it, and what it was told. */
function reading(more: Partial<Request> = {}) {
  const learned: string[] = []
  const errand: Request = {
    ...READ,
    learn: ({ code }: Failure, what) => learned.push(`${code} ${what}`),
    ...more,
  }
  return { errand, learned }
}

function attempts(...errors: readonly (Error | null)[]) {
  const tried: string[] = []
  const queue = [...errors]
  const attempt = async (place: Attempt) => {
    tried.push(hostOf(place) === 'a' ? 'primary' : 'replica')
    place.phase = 'handed'
    const error = queue.shift()
    if (error) throw error
    return 'rows'
  }
  return { tried, attempt }
}

describe('herd: what a replica refuses runs on the primary, once', () => {
  const codes = ['25006', '0A000', '55000', 'XX000', '42P01', '42703', '42883', '42704', '3F000']
  for (const code of codes) {
    it(code, async () => {
      const { herd } = await ready()
      const { errand, learned } = reading()
      const { attempt, tried } = attempts(coded(code))
      assert.equal(await herd.run(errand, attempt), 'rows')
      assert.deepEqual(tried, ['replica', 'primary'])
      assert.deepEqual(learned, [`${code} refused`, `${code} served`])
      assert.ok(
        herd.topology.nodes.size === 3 && [...herd.topology.nodes.values()].every(({ suspect }) => suspect === null)
      )
    })

    it(`${code}: if the primary fails too, its error is the one shown, and nothing was served`, async () => {
      const { herd } = await ready()
      const { errand, learned } = reading()
      const { attempt, tried } = attempts(coded(code, 'from the replica'), coded('42501', 'from the primary'))
      await assert.rejects(herd.run(errand, attempt), { code: '42501', message: 'from the primary' })
      assert.deepEqual(tried, ['replica', 'primary'])
      assert.deepEqual(learned, [`${code} refused`])
    })

    it(`${code}: the same from the primary ends it`, async () => {
      const { herd } = await ready()
      const { attempt, tried } = attempts(coded('0A000'), coded(code === '25006' ? '0A000' : code, 'again'))
      await assert.rejects(herd.run(reading().errand, attempt), { message: 'again' })
      assert.deepEqual(tried, ['replica', 'primary'])
    })

    it(`${code}: shown as it is where somebody insists on a replica`, async () => {
      const { herd } = await ready()
      const { errand, learned } = reading({ repairs: false })
      const { attempt, tried } = attempts(coded(code))
      await assert.rejects(herd.run(errand, attempt), { code, outcome: 'rolled-back' })
      assert.deepEqual([tried, learned], [['replica'], []])
    })
  }

  it('even where reads may not go to the primary: this is none', async () => {
    const { herd } = await ready()
    const { errand } = reading()
    const { target } = errand
    assert.ok(target.role === 'replica')
    const { attempt, tried } = attempts(coded('25006'))
    await herd.run({ ...errand, target: { ...target, otherwise: 'refuse' } }, attempt)
    assert.deepEqual(tried, ['replica', 'primary'])
  })

  it('not several statements in one text: a part may have happened', async () => {
    const { herd } = await ready()
    const { attempt, tried } = attempts(coded('25006'))
    const { errand } = reading({ repeat: () => ({ read: true, undone: 'parts' }) })
    await assert.rejects(herd.run(errand, attempt), { code: '25006' })
    assert.deepEqual(tried, ['replica'])
  })

  it('not an error that says nothing about replicas', async () => {
    for (const code of ['22012', '42601', '57014', '23505', '40001']) {
      const { herd } = await ready()
      const { attempt, tried } = attempts(coded(code))
      await assert.rejects(herd.run(reading().errand, attempt), { code })
      assert.deepEqual(tried, ['replica'])
    }
  })

  it('a read that a replica cancelled for its replay runs on another node once', async () => {
    const cancelled = () =>
      coded('40001', 'canceling statement due to conflict with recovery', { routine: 'ProcessInterrupts' })
    const { herd } = await ready()
    const once = attempts(cancelled())
    assert.equal(await herd.run(reading().errand, once.attempt), 'rows')
    assert.equal(once.tried.length, 2)
    const twice = attempts(cancelled(), cancelled())
    await assert.rejects(herd.run(reading().errand, twice.attempt), { code: '40001' })
    assert.equal(twice.tried.length, 2)
  })

  it('what was refused as if it wrote is no read any more: a lost reply is not sent again', async () => {
    for (const code of ['25006', '0A000', '55000', 'XX000']) {
      const { herd } = await ready()
      const { attempt, tried } = attempts(coded(code), coded('ECONNRESET'))
      await assert.rejects(herd.run(reading().errand, attempt), { code: 'ECONNRESET', outcome: 'unknown' })
      assert.deepEqual(tried, ['replica', 'primary'])
    }
  })

  it('25006 from the primary too is its own: once there, and no sign of a failover', async () => {
    const { herd } = await ready()
    const { attempt, tried } = attempts(coded('25006'), coded('25006', 'again'))
    await assert.rejects(herd.run(reading().errand, attempt), { message: 'again', outcome: 'rolled-back' })
    assert.deepEqual(tried, ['replica', 'primary'])
    assert.ok([...herd.topology.nodes.values()].every(({ suspect }) => suspect === null))
  })

  it('however long the replica took, and however short the patience for a primary is', async () => {
    for (const options of [{ connectionTimeoutMillis: 300 }, { failoverTimeoutMillis: 0 }]) {
      for (const error of [coded('25006'), coded('40001', 'cancelled', { routine: 'ProcessInterrupts' })]) {
        const { herd, clock } = await ready(options)
        let tries = 0
        const running = herd.run(reading().errand, async (place) => {
          place.phase = 'handed'
          if (tries++ > 0) return 'rows'
          await new Promise<void>((resolve) => clock.alarm(500, resolve))
          throw error
        })
        await clock.advance(1000)
        assert.equal(await running, 'rows')
      }
    }
  })

  it('what is missing is told at once where there is no primary to ask', async () => {
    const { herd, clock, servers } = await ready()
    const [a] = Object.values(servers)
    assert.ok(a)
    a.mode = 'refuses'
    await clock.advance(2000)
    assert.equal(herd.topology.primary, null)
    const missing = attempts(coded('42703', 'column "nmae" does not exist'))
    await assert.rejects(herd.run(reading().errand, missing.attempt), { code: '42703' })
    const write = attempts(coded('25006'))
    const waiting = herd.run(reading().errand, write.attempt)
    await clock.advance(1000)
    a.mode = 'primary'
    await clock.advance(1000)
    assert.equal(await waiting, 'rows')
  })

  it('a connection hook that a replica refuses costs the statement a trip, and teaches nothing about it', async () => {
    const { herd } = await ready()
    const { errand, learned } = reading()
    const tried: string[] = []
    await herd.run(errand, async (place) => {
      tried.push(hostOf(place) === 'a' ? 'primary' : 'replica')
      if (tried.length === 1) throw coded('25006')
    })
    assert.deepEqual([tried, learned], [['replica', 'primary'], []])
  })
})
