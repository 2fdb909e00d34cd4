import assert from 'node:assert/strict'
import {
  type FailureKind,
  failureOf as failureFrom,
  isParting,
  mayRepair,
  mayRetry,
  outcomeInSession,
  outcomeOf,
  type Phase,
  type Repeatable,
  type Situation,
  verdictOf,
} from '../../src/core/failure.js'
import { usualSource } from '../support/sources.js'

/** Made by who usually makes it. */
const failureOf = (error: unknown, phase: Phase) => failureFrom(error, phase, usualSource(error))

const coded = (code: string, more: object = {}) => Object.assign(new Error(`error ${code}`), { code, ...more })

const READ = { read: true, whole: true }
const WRITE = { read: false, whole: true }
const CALL = { read: false, whole: false }

interface Case {
  readonly error: unknown
  readonly phase: Phase
  readonly kind: string
  readonly outcome: string
  readonly accuses: boolean
  /** May be run again: a read, a single write, a CALL. */
  readonly again: readonly [boolean, boolean, boolean]
}

const all = [true, true, true] as const
const none = [false, false, false] as const

const cases: readonly Case[] = [
  // never sent: anything may go elsewhere
  {
    error: coded('ECONNREFUSED'),
    phase: 'connect',
    kind: 'unreachable',
    outcome: 'not-sent',
    accuses: true,
    again: all,
  },
  {
    error: coded('EHOSTUNREACH'),
    phase: 'connect',
    kind: 'unreachable',
    outcome: 'not-sent',
    accuses: true,
    again: all,
  },
  { error: coded('ECONNRESET'), phase: 'connect', kind: 'lost', outcome: 'not-sent', accuses: true, again: all },
  { error: coded('57P03'), phase: 'connect', kind: 'starting', outcome: 'not-sent', accuses: true, again: all },
  { error: coded('53300'), phase: 'connect', kind: 'full', outcome: 'not-sent', accuses: false, again: all },
  {
    error: new Error('Client has encountered a connection error and is not queryable'),
    phase: 'handed',
    kind: 'lost',
    outcome: 'not-sent',
    accuses: true,
    again: all,
  },
  {
    error: coded('PGHERD_DROPPED'),
    phase: 'connect',
    kind: 'dropped',
    outcome: 'not-sent',
    accuses: false,
    again: all,
  },
  // never sent, and nobody else can help
  { error: coded('28P01'), phase: 'connect', kind: 'denied', outcome: 'not-sent', accuses: false, again: none },
  { error: coded('3D000'), phase: 'connect', kind: 'denied', outcome: 'not-sent', accuses: false, again: none },
  {
    error: new Error('timeout exceeded when trying to connect'),
    phase: 'connect',
    kind: 'caller',
    outcome: 'not-sent',
    accuses: false,
    again: none,
  },
  // the server refused it before doing anything
  {
    error: coded('25006'),
    phase: 'handed',
    kind: 'role',
    outcome: 'rolled-back',
    accuses: true,
    again: [true, true, false],
  },
  {
    error: coded('57P01', { severity: 'FATAL' }),
    phase: 'handed',
    kind: 'lost',
    outcome: 'rolled-back',
    accuses: true,
    again: [true, true, false],
  },
  {
    error: coded('40001', { routine: 'ProcessInterrupts' }),
    phase: 'handed',
    kind: 'conflict',
    outcome: 'rolled-back',
    accuses: false,
    again: [true, true, false],
  },
  {
    error: coded('40001', { routine: 'ProcessRecoveryConflictInterrupt' }), // from 17 on
    phase: 'handed',
    kind: 'conflict',
    outcome: 'rolled-back',
    accuses: false,
    again: [true, true, false],
  },
  // the same words after CommandComplete prove nothing
  {
    error: coded('57P01', { severity: 'FATAL' }),
    phase: 'completed',
    kind: 'lost',
    outcome: 'unknown',
    accuses: true,
    again: [true, false, false],
  },
  // the connection broke while it ran
  {
    error: coded('ECONNRESET'),
    phase: 'handed',
    kind: 'lost',
    outcome: 'unknown',
    accuses: true,
    again: [true, false, false],
  },
  {
    error: coded('EPIPE'),
    phase: 'handed',
    kind: 'lost',
    outcome: 'unknown',
    accuses: true,
    again: [true, false, false],
  },
  {
    error: coded('57P02'),
    phase: 'handed',
    kind: 'lost',
    outcome: 'unknown',
    accuses: true,
    again: [true, false, false],
  },
  {
    error: new Error('Connection terminated unexpectedly'),
    phase: 'handed',
    kind: 'lost',
    outcome: 'unknown',
    accuses: true,
    again: [true, false, false],
  },
  // the caller's own limit
  {
    error: new Error('Query read timeout'),
    phase: 'handed',
    kind: 'caller',
    outcome: 'unknown',
    accuses: false,
    again: none,
  },
  // ordinary errors of a healthy server
  { error: coded('23505'), phase: 'handed', kind: 'statement', outcome: 'rolled-back', accuses: false, again: none },
  { error: coded('40001'), phase: 'handed', kind: 'statement', outcome: 'rolled-back', accuses: false, again: none },
  { error: coded('57014'), phase: 'handed', kind: 'statement', outcome: 'rolled-back', accuses: false, again: none },
  // on a replica these may go to the primary; anywhere else nobody else can help
  ...['0A000', '55000', 'XX000'].map((code) => refusal(coded(code), 'unfit')),
  ...['42P01', '42703', '42883', '42704', '3F000'].map((code) => refusal(coded(code), 'missing')),
  refusal(coded('0A000', { routine: 'GetSerializableTransactionSnapshot' }), 'isolation'),
  // whatever else was thrown
  {
    error: new TypeError('Client was passed a null or undefined query'),
    phase: 'connect',
    kind: 'caller',
    outcome: 'not-sent',
    accuses: false,
    again: none,
  },
  { error: undefined, phase: 'connect', kind: 'caller', outcome: 'not-sent', accuses: false, again: none },
  { error: 'a string', phase: 'handed', kind: 'caller', outcome: 'unknown', accuses: false, again: none },
]

function refusal(error: Error, kind: FailureKind) {
  return { error, phase: 'handed', kind, outcome: 'rolled-back', accuses: false, again: none } as const
}

describe('failure', () => {
  for (const { error, phase, kind, outcome, accuses, again } of cases) {
    const what = (error as { readonly code?: string } | undefined)?.code ?? String(error)
    it(`${what} (${phase}): ${kind}, ${outcome}`, () => {
      const failure = failureOf(error, phase)
      assert.equal(failure.kind, kind)
      assert.equal(outcomeOf(failure, WRITE), outcome)
      assert.equal(outcomeOf(failure, CALL), outcome === 'rolled-back' ? 'unknown' : outcome)
      assert.equal(failure.accuses, accuses)
      assert.deepEqual(
        [READ, WRITE, CALL].map((what) => mayRetry(failure, what)),
        again
      )
      assert.equal(failure.error, error)
    })
  }

  it('a probe convicts by refusal and by 57P03 only', () => {
    const verdicts = ['ECONNREFUSED', '57P03', 'ECONNRESET', '53300', '28P01', '55000'].map((code) =>
      verdictOf(failureOf(coded(code), 'connect'))
    )
    assert.deepEqual(verdicts, ['down', 'down', 'suspect', 'alive', 'alive', 'alive'])
  })
})

describe('failure: what the primary may do in the place of a replica', () => {
  const read = { read: true, whole: true }
  const write = { read: false, whole: true }
  const several = { read: true, whole: false }
  const rows: readonly (readonly [code: string, phase: Phase, what: Repeatable, repairs: boolean])[] = [
    ['25006', 'handed', read, true],
    ['0A000', 'handed', read, true],
    ['55000', 'handed', read, true],
    ['XX000', 'handed', read, true],
    ['42P01', 'handed', read, true],
    ['42703', 'handed', read, true],
    ['42883', 'handed', read, true],
    ['42704', 'handed', read, true],
    ['3F000', 'handed', read, true],
    ['25006', 'handed', write, false], // the caller's own, sent to a replica on purpose
    ['25006', 'handed', several, false],
    ['25006', 'connect', write, true], // a connection hook's: the statement itself never left
    ['42601', 'handed', read, false],
    ['22012', 'handed', read, false],
    ['57014', 'handed', read, false],
    ['40001', 'handed', read, false],
    ['57P01', 'handed', read, false], // another replica can, so mayRetry answers for it
  ]
  for (const [code, phase, what, repairs] of rows) {
    it(`${code} (${phase}) of ${JSON.stringify(what)}: ${repairs}`, () => {
      assert.equal(mayRepair(failureOf(coded(code), phase), what), repairs)
    })
  }
})

describe('failure: what became of a statement in a session of somebody’s own', () => {
  const error = (code: string, severity?: string) => coded(code, severity === undefined ? {} : { severity })
  const block = { inBlock: true, commits: 'no', whole: true, alive: true } as const
  const commit = { ...block, commits: 'only', whole: false } as const
  const several = { ...block, commits: 'perhaps', whole: false } as const
  const rows: readonly (readonly [what: string, failed: unknown, situation: Situation, outcome: string])[] = [
    ['outside of a block', error('ECONNRESET'), { ...block, inBlock: false }, 'unknown'],
    ['outside of a block, refused', error('22012'), { ...block, inBlock: false }, 'rolled-back'],
    ['several outside of a block, refused', error('22012'), { ...several, inBlock: false }, 'unknown'],
    ['inside, broken', error('ECONNRESET'), { ...block, alive: false }, 'rolled-back'],
    ['inside, ended by its holder', new Error('Connection terminated'), { ...block, alive: false }, 'rolled-back'],
    ['inside, in a crash', error('57P02', 'FATAL'), { ...block, alive: false }, 'rolled-back'],
    ['inside, several, refused', error('22012'), { ...block, whole: false }, 'rolled-back'],
    ['inside, not readable here', new Error('no number'), block, 'unknown'],
    ['inside, overdue', new Error('Query read timeout'), block, 'unknown'],
    ['COMMIT refused', error('23505'), commit, 'rolled-back'],
    ['COMMIT, and the server ends', error('57P01', 'FATAL'), { ...commit, alive: false }, 'unknown'],
    ['COMMIT broken', error('ECONNRESET'), { ...commit, alive: false }, 'unknown'],
    ['COMMIT among others, refused', error('22012'), several, 'unknown'],
    ['COMMIT not sent', new Error('Client was closed and is not queryable'), commit, 'not-sent'],
  ]
  for (const [what, failed, situation, outcome] of rows) {
    it(`${what}: ${outcome}`, () => {
      assert.equal(outcomeInSession(failureOf(failed, 'handed'), situation), outcome)
    })
  }

  it('what refuses the commit itself comes after CommandComplete, and undoes it', () => {
    const outcomes = ['23505', '40001', 'P0001', 'XX000', '57P01'].map((code) =>
      outcomeOf(failureOf(error(code), 'completed'), WRITE)
    )
    assert.deepEqual(outcomes, ['rolled-back', 'rolled-back', 'rolled-back', 'unknown', 'unknown'])
  })

  it('only a server that says 57P03 is there to answer its sessions', () => {
    const codes = ['57P03', '57P01', 'ECONNREFUSED', 'ECONNRESET', 'PGHERD_MOVED']
    assert.deepEqual(
      codes.filter((code) => isParting(failureOf(coded(code), 'connect'))),
      ['57P03']
    )
  })
})
