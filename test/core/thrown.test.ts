import assert from 'node:assert/strict'
import { failureOf, type Outcome } from '../../src/core/cluster/failure.js'
import { errorOf, isA, propertyOf, wordsOf } from '../../src/core/thrown.js'
import { noteOutcome, noteWhole, PgherdError, withOutcome } from '../../src/errors.js'

const refuse = (): never => {
  throw new Error('trap')
}
const proxy = new Proxy({}, { get: refuse, has: refuse, getPrototypeOf: refuse, isExtensible: refuse })
const getters = {
  get code(): string {
    throw new Error('code')
  },
  get message(): string {
    throw new Error('message')
  },
  toString: refuse,
}
const ODD: readonly unknown[] = [undefined, null, 0, '', false, Number.NaN, 'text', 7, Symbol('s'), () => 1, 5n]
const OBJECTS: readonly unknown[] = [{}, Object.create(null), getters, proxy, Object.freeze(new Error('frozen'))]

describe('what was thrown', () => {
  it('is read without throwing, whatever it is', () => {
    for (const thrown of [...ODD, ...OBJECTS]) {
      const failure = failureOf(thrown, 'handed')
      assert.deepEqual([failure.kind, failure.sent, failure.error], ['caller', 'maybe', thrown])
      assert.equal(typeof failure.message, 'string')
      assert.equal(typeof wordsOf(thrown), 'string')
      assert.doesNotThrow(() => propertyOf(thrown, 'code'))
      assert.ok(errorOf(thrown, 'it'))
      assert.equal(isA(thrown, PgherdError), false)
    }
  })

  it('takes an outcome where it can, and comes out as it went in', () => {
    for (const thrown of [...ODD, ...OBJECTS]) {
      assert.ok(Object.is(withOutcome(thrown, 'unknown'), thrown))
      assert.equal(noteOutcome(thrown, 'not-sent'), false)
      noteWhole(thrown, 'rolled-back')
    }
    assert.equal(Reflect.get(OBJECTS[0] as object, 'outcome'), 'unknown')
  })

  const twice: readonly (readonly [first: Outcome, second: Outcome, both: Outcome])[] = [
    ['not-sent', 'not-sent', 'not-sent'],
    ['not-sent', 'rolled-back', 'rolled-back'],
    ['rolled-back', 'not-sent', 'rolled-back'],
    ['not-sent', 'unknown', 'unknown'],
    ['rolled-back', 'unknown', 'unknown'],
    ['unknown', 'not-sent', 'unknown'],
  ]
  for (const [first, second, both] of twice) {
    it(`${first}, and then ${second} of another statement: ${both}`, () => {
      const error = new Error('the same')
      withOutcome(error, first)
      withOutcome(error, second)
      assert.equal(Reflect.get(error, 'outcome'), both)
    })
  }

  it('of one statement the first word stands: the layer below knows better', () => {
    const error = new Error('once')
    noteOutcome(error, 'not-sent')
    withOutcome(error, 'unknown')
    assert.equal(Reflect.get(error, 'outcome'), 'not-sent')
  })

  it('of a transaction: what was not sent in it was undone with the rest', () => {
    const [error, ours] = [new Error('in it'), new PgherdError('PGHERD_NO_PRIMARY', 'elsewhere')]
    noteOutcome(error, 'not-sent')
    for (const each of [error, ours]) {
      noteWhole(each, 'rolled-back')
      assert.equal(Reflect.get(each, 'outcome'), 'rolled-back')
    }
  })

  it('an outcome of the application’s own is left alone', () => {
    const error = Object.assign(new Error('mine'), { outcome: 'not-sent' })
    withOutcome(error, 'unknown')
    withOutcome(error, 'unknown')
    noteWhole(error, 'rolled-back')
    assert.equal(error.outcome, 'not-sent')
  })
})
