// The line between two processes of a proxy: questions, answers, and what is asked when the other end goes.

import assert from 'node:assert/strict'
import { Line } from '../../src/cli/proxy-line.js'
import { systemClock } from '../../src/runtime/clock.js'

/** Two ends in one process. Messages come later, as over a channel. */
function pair(answer: (waits: boolean) => Promise<number>): {
  readonly asks: Line<never>
  readonly answers: Line<'end'>
} {
  const asks: Line<never> = new Line<never>((message) => queueMicrotask(() => answers.take(message)), {}, systemClock)
  const answers: Line<'end'> = new Line<'end'>(
    (message) => queueMicrotask(() => asks.take(message)),
    { end: answer },
    systemClock
  )
  return { asks, answers }
}

describe('the line between processes of a proxy', () => {
  it('an answer goes to its question', async () => {
    const { asks } = pair(async (waits) => (waits ? 1 : 2))
    assert.deepEqual(await Promise.all([asks.ask('end', true), asks.ask('end', false)]), [1, 2])
  })
  it('a failure is one where it was asked', async () => {
    const { asks } = pair(async () => {
      throw new Error('no')
    })
    await assert.rejects(asks.ask('end', true), { message: 'no' })
  })
  it('what is asked when the other end goes is rejected, and so is what is asked then', async () => {
    const { asks } = pair(() => new Promise(() => {}))
    const asked = asks.ask('end', true)
    asks.end()
    await assert.rejects(asked, /gone/)
    await assert.rejects(asks.ask('end', true), /gone/)
  })
  it('an end that does not answer is not waited for', async () => {
    const { asks } = pair(() => new Promise(() => {}))
    const holding = setTimeout(() => {}, 60_000)
    await assert.rejects(asks.ask('end', true, 5), /does not answer/)
    clearTimeout(holding)
  })
})
