import assert from 'node:assert/strict'
import { steadily } from '../src/runtime/clock.js'

describe('clock: time that has passed', () => {
  /** [monotonic, wall clock] at each step; how much has passed by the end. */
  const ROWS: readonly (readonly [string, readonly (readonly [number, number])[], number])[] = [
    [
      'both clocks go on',
      [
        [0, 5000],
        [100, 5100],
      ],
      100,
    ],
    [
      'the machine sleeps: the monotonic clock stands still',
      [
        [0, 5000],
        [100, 65_100],
      ],
      60_100,
    ],
    [
      'the wall clock is set back',
      [
        [0, 5000],
        [100, 1000],
      ],
      100,
    ],
    [
      'it sleeps, and then the wall clock is set back',
      [
        [0, 5000],
        [100, 65_100],
        [200, 1000],
      ],
      60_200,
    ],
    [
      'the wall clock is set back and forth',
      [
        [0, 5000],
        [100, 1000],
        [200, 5200],
      ],
      4300,
    ],
    [
      'the wall clock is slewed a little',
      [
        [0, 5000],
        [100, 5110],
        [200, 5195],
      ],
      200,
    ],
  ]
  for (const [title, steps, expected] of ROWS) {
    it(title, () => {
      const instant = steadily()
      const times = steps.map(([mono, wall]) => instant(mono, wall).wall)
      assert.equal((times.at(-1) ?? 0) - (times[0] ?? 0), expected)
    })
  }
})
