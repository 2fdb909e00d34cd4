import assert from 'node:assert/strict'
import { failureOf as failureFrom, type Phase } from '../../src/core/cluster/failure.js'
import { fateOf } from '../../src/core/session/commit.js'
import { outcomeInSession, outcomeOfEnding, type Situation } from '../../src/core/session/outcome.js'
import { stepsOf } from '../../src/core/sql/steps.js'
import { usualSource } from '../support/sources.js'

/** Made by who usually makes it. */
const failureOf = (error: unknown, phase: Phase) => failureFrom(error, phase, usualSource(error))

const coded = (code: string, severity = 'ERROR') => Object.assign(new Error(`error ${code}`), { code, severity })

describe('outcome: of a statement in a session of somebody’s own', () => {
  const block = { fate: 'nothing', undone: 'whole', inBlock: true, alive: true } as const
  const single = { ...block, inBlock: false } as const
  const rows: readonly (readonly [what: string, failed: unknown, situation: Situation, outcome: string])[] = [
    ['cut', coded('ECONNRESET'), { ...single, fate: 'perhaps' }, 'unknown'],
    ['cut behind the answer', coded('ECONNRESET'), { ...single, fate: 'all' }, 'committed'],
    ['refused', coded('22012'), single, 'rolled-back'],
    ['CALL, refused', coded('22012'), { ...single, undone: 'parts' }, 'unknown'],
    ['CALL in a block, refused', coded('22012'), { ...block, undone: 'parts' }, 'rolled-back'],
    ['what acts outside, in a block, refused', coded('22012'), { ...block, undone: 'outside' }, 'unknown'],
    ['what acts outside, in a block, cut', coded('ECONNRESET'), { ...block, undone: 'outside' }, 'unknown'],
    ['VACUUM, refused', coded('22012'), { ...single, undone: 'repeatable' }, 'unknown'],
    ['BEGIN, cut', coded('ECONNRESET'), { ...single, undone: 'session', alive: false }, 'rolled-back'],
    ['in a block, cut', coded('ECONNRESET'), { ...block, alive: false }, 'rolled-back'],
    ['in a block, ended by its holder', new Error('Connection terminated'), { ...block, alive: false }, 'rolled-back'],
    ['not readable here', new Error('no number'), block, 'unknown'],
    ['overdue', new Error('Query read timeout'), block, 'unknown'],
    ['COMMIT, and the server ends', coded('57P01', 'FATAL'), { ...block, fate: 'perhaps' }, 'unknown'],
    ['not sent', new Error('Client was closed and is not queryable'), { ...block, fate: 'perhaps' }, 'not-sent'],
  ]
  for (const [what, failed, situation, outcome] of rows) {
    it(`${what}: ${outcome}`, () => assert.equal(outcomeInSession(failureOf(failed, 'handed'), situation), outcome))
  }

  it('of a COMMIT that a server refuses: all is undone', () => {
    const fate = fateOf(stepsOf('commit'), { status: 'T', extended: false, completed: 0 }, 'refused')
    const situation: Situation = { fate, undone: 'session', inBlock: true, alive: true }
    assert.equal(outcomeInSession(failureOf(coded('23505'), 'handed'), situation), 'rolled-back')
  })

  it('of what was answered to its end, and could not be read', () => {
    const outcomes = (['committed', 'undone', 'open', 'chained'] as const).map(outcomeOfEnding)
    assert.deepEqual(outcomes, ['committed', 'rolled-back', 'unknown', 'unknown'])
  })
})
