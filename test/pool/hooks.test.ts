import assert from 'node:assert/strict'
import { executionAsyncId } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import { callEach, guarded, lookedAfter, unharmed } from '../../src/pg/calls.js'
import { systemClock } from '../../src/runtime/clock.js'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
async function fails(): Promise<never> {
  await turn()
  throw new Error('refused')
}

/** What became of the process while `work` ran and a little later: rejections that nobody awaited. */
async function unhandled(work: () => unknown): Promise<readonly string[]> {
  const told: string[] = []
  const listeners = process.rawListeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', (reason) => told.push(String((reason as Error).message)))
  try {
    await work()
    for (let i = 0; i < 10; i++) await turn()
    return told
  } finally {
    process.removeAllListeners('unhandledRejection')
    for (const listener of listeners) process.on('unhandledRejection', listener as () => void)
  }
}

describe('hooks on a replica', () => {
  const forgotten: readonly (readonly [name: string, hook: () => unknown])[] = [
    ['a promise', () => void fails()],
    ['what is behind it', () => void fails().then(() => 1)],
    ['an async function', async () => void (await fails())],
    ['something started later', async () => void (await turn().then(() => void fails().finally(() => 1)))],
    [
      'something started after an await',
      async () => {
        await turn()
        void fails()
        await turn()
        await turn()
      },
    ],
    ['what a timer began', () => void setImmediate(() => void fails())],
    ['what a callback began', () => void turn().then(() => setImmediate(async () => void (await fails())))],
    ['a rejection at once', () => void Promise.reject(new Error('refused'))],
  ]
  for (const [name, hook] of forgotten) {
    it(`${name} that nobody awaits ends nothing`, async () => {
      assert.deepEqual(await unhandled(() => void unharmed(hook, systemClock)), [])
    })
  }

  it('elsewhere such a rejection is as loud as ever', async () => {
    const told = await unhandled(() => {
      unharmed(() => void fails(), systemClock)
      void fails()
    })
    assert.deepEqual(told, ['refused'])
  })

  it('whoever awaits gets the rejection', async () => {
    await assert.rejects(unharmed(fails, systemClock), /refused/)
    let caught = ''
    await unharmed(async () => {
      await fails().catch((error: Error) => {
        caught = error.message
      })
    }, systemClock)
    assert.equal(caught, 'refused')
  })

  it('gives back what the hook returns, and throws what it throws', () => {
    assert.equal(
      unharmed(() => 7, systemClock),
      7
    )
    const throws = () => {
      throw new Error('thrown')
    }
    assert.throws(() => unharmed(throws, systemClock), /thrown/)
    assert.ok(executionAsyncId() >= 0)
  })

  it('an async verify that fails before it calls back does so now', async () => {
    const { verify } = guarded(
      { verify: fails },
      () => true,
      systemClock,
      () => {}
    )
    const error = await new Promise((resolve) => verify?.({}, resolve))
    assert.match(String(error), /refused/)
  })

  it('on a primary hooks are called as they are', async () => {
    const { verify, onConnect } = guarded(
      { verify: () => 'v', onConnect: fails },
      () => false,
      systemClock,
      () => {}
    )
    assert.equal(
      verify?.({}, () => {}),
      'v'
    )
    await assert.rejects(Promise.resolve(onConnect?.({})), /refused/)
    assert.deepEqual(
      guarded(
        {},
        () => true,
        systemClock,
        () => {}
      ),
      {}
    )
  })

  it('listeners are called as emit() would, once-listeners once', async () => {
    const emitter = new EventEmitter()
    const heard: string[] = []
    emitter.on('connect', () => heard.push('on'))
    emitter.once('connect', () => heard.push('once'))
    emitter.prependListener('connect', function (this: unknown) {
      heard.push(this === emitter ? 'this' : 'lost')
    })
    for (let i = 0; i < 2; i++) callEach(emitter.rawListeners('connect'), emitter, [{}])
    assert.deepEqual(heard, ['this', 'on', 'once', 'this', 'on'])
    emitter.on('acquire', fails)
    assert.deepEqual(await unhandled(() => callEach(emitter.rawListeners('acquire'), emitter, [{}])), [])
  })

  describe('a statement of theirs is looked after in every form', () => {
    const refusal = Object.assign(new Error('read-only'), { code: '25006' })
    const told = (query: (...args: readonly unknown[]) => unknown, ...args: readonly unknown[]) => {
      let refused = 0
      const result = lookedAfter(query, [args[0], args[1], args[2]], (error) => {
        if (error === refusal) refused++
      })
      return { result, count: () => refused }
    }
    it('a promise', async () => {
      const { result, count } = told(() => Promise.reject(refusal), 'insert')
      await assert.rejects(Promise.resolve(result), /read-only/)
      assert.equal(count(), 1)
    })
    it('a callback, in either place', () => {
      const heard: unknown[] = []
      const done = (error: unknown) => heard.push(error)
      const second = told((_, callback) => (callback as typeof done)(refusal), 'insert', done)
      const third = told((_, __, callback) => (callback as typeof done)(refusal), 'insert', [], done)
      assert.deepEqual([second.count(), third.count(), heard], [1, 1, [refusal, refusal]])
    })
    it('an emitter', () => {
      const cursor = new EventEmitter()
      const { result, count } = told(() => cursor, cursor)
      cursor.emit('error', refusal)
      assert.deepEqual([result, count()], [cursor, 1])
    })
    it('another error is none of ours', async () => {
      const { result, count } = told(() => Promise.reject(new Error('typo')), 'insrt')
      await assert.rejects(Promise.resolve(result))
      assert.equal(count(), 0)
    })
  })
})
