import assert from 'node:assert/strict'
import type { Question } from '../../src/herd/question.js'
import { type ManualClock, settled } from '../support/manual-clock.js'
import { coded, named, scripted, server } from '../support/scripted-herd.js'

type Answer = readonly Readonly<Record<string, string | null>>[]

const SLUG: Answer = [{ kind: 'function', name: 'slug', text: '1' }]
const three = () => ({ a: server('primary', { replicas: 2 }), b: server('replica'), c: server('replica') })

/** A herd whose catalogue is answered by the test. */
function herdWith(
  answer: () => Promise<Answer> | Answer,
  options: object = {},
  servers: Parameters<typeof scripted>[0] = three()
) {
  const asked: string[] = []
  let position = 'FFFFFFFF/FFFFFFFF'
  const ask: Question = async ({ host }) => {
    asked.push(named(host))
    return [[{ position }], await answer()]
  }
  const all = scripted(servers, options, ask)
  const start = () => {
    all.herd.open()
    return all.clock.advance(700)
  }
  /** What the pool does after each acknowledged write. */
  const goBack = (to: string) => {
    position = to
  }
  return { ...all, asked, start, goBack }
}

describe('the catalogue', () => {
  it('is asked for once: on the primary, as soon as that has answered', async () => {
    const { herd, asked, start, clock } = herdWith(() => SLUG)
    assert.equal(herd.informed, false)
    await start()
    assert.equal(herd.informed, true)
    assert.equal(herd.definitions.functions.get('slug'), 'harmless')
    await clock.advance(5000)
    assert.equal(asked.length, 1)
    assert.deepEqual(asked, ['a'])
    herd.end()
  })

  it('is not waited for until a replica may serve', async () => {
    const { herd, asked, start } = herdWith(
      () => SLUG,
      {},
      {
        a: server('primary'),
        b: server('refuses'),
        c: server('replica', { position: '0/1' }), // far behind
      }
    )
    await start()
    assert.deepEqual([asked, herd.informed], [['a'], true])
    herd.end()
  })

  it('which the primary did not give is asked for on replicas, and the primary is left alone', async () => {
    let works = false
    const { herd, asked, start, clock } = herdWith(() => (works ? SLUG : Promise.reject(coded('53300'))))
    await start()
    herd.open()
    works = true
    await clock.advance(2000)
    assert.match(asked.join(''), /^a[bc]+$/)
    assert.equal(herd.informed, true)
    herd.end()
  })

  it('with one server it is read when a statement asks for it, and not before', async () => {
    const { herd, asked, start, clock } = herdWith(() => SLUG, {}, { a: server('primary') })
    await start()
    assert.deepEqual([asked, herd.informed, herd.informs], [[], false, false])
    const informed = herd.inform()
    await clock.advance(20)
    await informed
    assert.deepEqual([asked, herd.informed, herd.informs], [['a'], true, true])
    herd.report({ kind: 'defined' })
    herd.open()
    await clock.advance(2000)
    assert.deepEqual([asked, herd.informed], [['a', 'a'], true])
    herd.end()
  })

  it('started without a primary, is read for the reads that ask for no proof', async () => {
    const { herd, start } = herdWith(
      () => SLUG,
      {},
      { a: server('refuses'), b: server('replica'), c: server('replica') }
    )
    await start()
    assert.equal(herd.informed, true)
    herd.end()
  })

  it('is not asked for where no read is routed', async () => {
    for (const targetSessionAttrs of ['primary', 'standby']) {
      const { herd, asked, start } = herdWith(() => SLUG, { targetSessionAttrs })
      await start()
      assert.deepEqual(asked, [])
      await herd.ready({ primary: true, replicas: 0, maxLagMillis: 1000 }, 1)
      herd.end()
    }
  })

  it('is asked for again after a minute of use', async () => {
    const { herd, asked, start, clock } = herdWith(() => SLUG)
    await start()
    const before = herd.definitions
    for (let i = 0; i < 13; i++) {
      herd.open()
      await clock.advance(5000)
    }
    assert.equal(asked.length, 2)
    assert.equal(herd.definitions, before, 'the same answer changes nothing')
    herd.end()
  })

  it('a change of definitions makes it outdated until a replica that has the change was asked', async () => {
    const { herd, asked, start, clock, servers } = herdWith(() => SLUG)
    await start()
    const { a, b, c } = servers as ReturnType<typeof three>
    a.position = '0/200'
    herd.report({ kind: 'defined' })
    assert.equal(herd.informed, false)
    assert.equal(herd.definitions.functions.get('slug'), undefined, 'nobody is harmless on its word')
    herd.open()
    await clock.advance(3000)
    assert.equal(asked.length, 1, 'no replica has it yet')
    b.position = c.position = '0/200'
    await clock.advance(1000)
    assert.equal(asked.length, 2)
    assert.equal(herd.informed, true)
    assert.equal(herd.definitions.functions.get('slug'), 'harmless')
    herd.end()
  })

  it('a change while it is being read counts: that answer is too old', async () => {
    let answer: (rows: Answer) => void = () => {}
    const { herd, asked, start, clock } = herdWith(() => new Promise<Answer>((resolve) => (answer = resolve)))
    await start()
    herd.report({ kind: 'defined' })
    answer(SLUG)
    await settled()
    assert.equal(herd.informed, false)
    assert.equal(herd.definitions.functions.get('slug'), undefined)
    herd.open()
    await clock.advance(8000) // the first answer took long
    assert.equal(asked.length, 2)
    answer(SLUG)
    await settled()
    assert.equal(herd.informed, true)
    herd.end()
  })

  it('many changes are read together: it pauses, the longer the slower it was', async () => {
    const clockOf: { clock?: ManualClock } = {}
    const slow = async () => {
      await new Promise<void>((resolve) => clockOf.clock?.alarm(200, resolve))
      return SLUG
    }
    const { herd, asked, start, clock } = herdWith(slow)
    clockOf.clock = clock
    await start()
    for (let i = 0; i < 100; i++) {
      herd.open()
      herd.report({ kind: 'defined' })
      await clock.advance(100)
    }
    assert.ok(asked.length >= 3 && asked.length <= 7, `asked ${asked.length} times in 10 s`)
    herd.end()
  })

  it('a replica that went back since it was chosen is not believed', async () => {
    const { herd, start, goBack, clock } = herdWith(() => SLUG)
    await start()
    herd.report({ kind: 'defined' })
    goBack('0/1')
    herd.open()
    await clock.advance(600)
    assert.equal(herd.informed, false)
    goBack('0/100')
    herd.open()
    await clock.advance(2000)
    assert.equal(herd.informed, true)
    herd.end()
  })

  it('that cannot be read keeps nobody waiting: functions stay unknown, and why is told', async () => {
    const { herd, start } = herdWith(() => Promise.reject(coded('42501', 'permission denied for table pg_proc')))
    await start()
    assert.equal(herd.informed, true)
    assert.match(herd.definitions.unknown.reason, /cannot be read: permission denied for table pg_proc/)
    assert.equal(herd.definitions.opaque, null)
    herd.end()
  })

  it('whose connections fail is tried three times before reads go on without it, and after that too', async () => {
    let works = false
    const { herd, asked, start, clock } = herdWith(() => (works ? SLUG : Promise.reject(coded('ECONNRESET'))))
    await start()
    assert.deepEqual([asked.length, herd.informed], [2, false])
    herd.open()
    await clock.advance(2000)
    assert.deepEqual([asked.length, herd.informed], [3, true])
    works = true
    for (let i = 0; i < 8; i++) {
      herd.open()
      await clock.advance(5000)
    }
    assert.equal(herd.definitions.functions.get('slug'), 'harmless')
    herd.end()
  })

  it('a doubt has it read again soon, many doubts not often', async () => {
    const { herd, asked, start, clock } = herdWith(() => SLUG)
    await start()
    const read = {
      target: {
        role: 'replica',
        need: { maxLagMillis: 1000, since: null, asynchronous: false },
        maxLagBytes: Infinity,
        maxStaleMillis: 0,
        otherwise: 'primary',
      },
      repeat: () => ({ read: true, undone: 'whole' as const }),
      repairs: true,
    } as const
    for (let i = 0; i < 20; i++) {
      let tries = 0
      await herd.run(read, async (place) => {
        place.phase = 'handed'
        if (tries++ === 0) throw coded('42P01')
      })
      await clock.advance(1000)
    }
    assert.ok(asked.length >= 4 && asked.length <= 7, `asked ${asked.length} times in 20 s`)
    herd.end()
  })

  it('ready() with replicas waits for it', async () => {
    let answer: (rows: Answer) => void = () => {}
    const { herd, start } = herdWith(() => new Promise<Answer>((resolve) => (answer = resolve)))
    await start()
    let ready = false
    const waiting = herd.ready({ primary: true, replicas: 2, maxLagMillis: 1000 }, 60_000).then(() => (ready = true))
    await settled()
    assert.equal(ready, false)
    answer(SLUG)
    await waiting
    herd.end()
  })

  it('ready() waits for it two seconds where no replicas are wanted, and says whether it has been read', async () => {
    const wanted = { primary: true, replicas: 0, maxLagMillis: 1000 }
    const { herd, start } = herdWith(() => SLUG)
    await start()
    assert.deepEqual(await herd.ready(wanted, 60_000), { primary: '10.0.0.97:5432', replicas: 2, catalogue: true })
    herd.end()

    const slow = herdWith(() => new Promise<Answer>(() => {}))
    await slow.start()
    let found: unknown
    const waiting = slow.herd.ready(wanted, 60_000).then((readiness) => (found = readiness))
    await slow.clock.advance(1900)
    assert.equal(found, undefined)
    await slow.clock.advance(200)
    await waiting
    assert.deepEqual(found, { primary: '10.0.0.97:5432', replicas: 2, catalogue: false })
    slow.herd.end()
  })
})
