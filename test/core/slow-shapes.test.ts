// Which reads are kept off lanes: slow ones and large ones, until they are quick again.

import assert from 'node:assert/strict'
import { SlowShapes } from '../../src/core/sql/slow-shapes.js'

type Run = readonly [millis: number, rows?: number]

describe('slow shapes', () => {
  const READ = 'select a from t where b = 1'
  const rows: readonly (readonly [what: string, runs: readonly Run[], isSlow: boolean])[] = [
    ['nothing was seen', [], false],
    ['a quick one', [[1]], false],
    ['5 ms are quick', [[5]], false],
    ['more are slow', [[5.1]], true],
    ['2,000 rows are few', [[1, 2000]], false],
    ['more are many, however quick', [[1, 2001]], true],
    ['a run that was a little slow is forgiven at once', [[8], [1]], false],
    ['one that was very slow is not', [[100], [1]], true],
    ['each quick run halves what was seen', [[100], [0], [0], [0], [0]], true],
    ['until it is quick', [[100], [0], [0], [0], [0], [0]], false],
    [
      'many rows are halved in the same way',
      [
        [1, 5000],
        [1, 10],
      ],
      true,
    ],
    [
      'and forgiven',
      [
        [1, 5000],
        [1, 10],
        [1, 10],
      ],
      false,
    ],
    ['slow again', [[8], [1], [9]], true],
    ['a slow one among many quick ones', [[1], [1], [1], [50]], true],
  ]
  for (const [what, runs, isSlow] of rows) {
    it(`${what}: ${isSlow ? 'slow' : 'quick'}`, () => {
      const shapes = new SlowShapes()
      for (const [millis, count = 1] of runs) shapes.took(READ, count, millis)
      assert.equal(shapes.isSlow(READ), isSlow)
    })
  }

  it('a shape is what its literals do not change', () => {
    const shapes = new SlowShapes()
    shapes.took('select a from t where b = 1', 1, 50)
    assert.ok(shapes.isSlow("SELECT a FROM t WHERE b = 'x' -- again"))
    assert.ok(!shapes.isSlow('select a from t where c = 1'))
    assert.ok(!shapes.isSlow('select a, b from t where b = 1'))
  })

  it('the oldest is forgotten when there are too many', () => {
    const shapes = new SlowShapes()
    const text = (n: number) => `select c${n} from t`
    for (let n = 0; n <= 1000; n++) shapes.took(text(n), 1, 50)
    assert.ok(!shapes.isSlow(text(0)))
    assert.ok(shapes.isSlow(text(1)))
    assert.ok(shapes.isSlow(text(1000)))
    // Seen once more, it is the newest.
    shapes.took(text(1), 1, 50)
    shapes.took('select d from t', 1, 50)
    assert.ok(shapes.isSlow(text(1)))
    assert.ok(!shapes.isSlow(text(2)))
  })
})
