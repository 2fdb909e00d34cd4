import assert from 'node:assert/strict'
import { type Breaker, isOpen, returned, shareOf, struck } from '../../src/core/cluster/breaker.js'
import type { Instant } from '../../src/core/cluster/instant.js'

const at = (mono: number): Instant => ({ mono, wall: mono })
const failures = (...times: readonly number[]) =>
  times.reduce<Breaker | null>((breaker, time) => struck(breaker, at(time)), null)

describe('breaker: how long reads keep away from a node that failed', () => {
  const ROWS: readonly (readonly [string, readonly number[], number])[] = [
    ['1 s after the first failure', [0], 1000],
    ['2 s after the second', [0, 1500], 2000],
    ['4 s after the third', [0, 1500, 4000], 4000],
    ['never longer than 30 s', [0, 1000, 3000, 7000, 15_000, 31_000, 61_000, 91_000], 30_000],
    ['1 s again once it served for a minute', [0, 1500, 61_501], 1000],
  ]
  for (const [title, times, millis] of ROWS) {
    it(title, () => {
      const breaker = failures(...times)
      const from = times.at(-1) ?? 0
      assert.deepEqual([isOpen(breaker, at(from + millis - 1)), isOpen(breaker, at(from + millis))], [true, false])
    })
  }
  it('a node that was away for long has not served: its failures go on counting from its return', () => {
    const breaker = struck(returned(failures(0), at(300_000)), at(301_000))
    assert.equal(breaker.strikes, 2)
  })
  it('a node that never failed serves', () => assert.equal(isOpen(null, at(5)), false))
})

describe('breaker: how a node comes back', () => {
  const back = returned(failures(0), at(3000))
  const ROWS = [
    ['with a tenth', 3000, 0.1],
    ['which grows', 8000, 0.5],
    ['to all of it in 10 s', 13_000, 1],
    ['and no more', 90_000, 1],
  ] as const
  for (const [title, now, share] of ROWS) it(title, () => assert.equal(shareOf(back, at(now)), share))
  it('from the end of the break, if it answered sooner', () => {
    assert.equal(shareOf(returned(failures(0), at(200)), at(6000)), 0.5)
  })
  it('only its first answer counts', () => assert.equal(returned(back, at(9000)), back))
  it('a node that never failed has its whole share', () => assert.equal(shareOf(null, at(5)), 1))
})
