import assert from 'node:assert/strict'
import {
  failureOf as failureFrom,
  isParting,
  mayRepair,
  mayRetry,
  outcomeOf,
  type Phase,
  type Repeatable,
  verdictOf,
} from '../../src/core/cluster/failure.js'
import type { FailureKind } from '../../src/core/cluster/sqlstates.js'
import type { Undone } from '../../src/core/undone.js'
import { usualSource } from '../support/sources.js'

/** Made by who usually makes it. */
const failureOf = (error: unknown, phase: Phase) => failureFrom(error, phase, usualSource(error))

const coded = (code: string, more: object = {}) => Object.assign(new Error(`error ${code}`), { code, ...more })

const READ: Repeatable = { read: true, undone: 'whole' }
const WRITE: Repeatable = { read: false, undone: 'whole' }
const CALL: Repeatable = { read: false, undone: 'parts' }

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
  const read: Repeatable = { read: true, undone: 'whole' }
  const write: Repeatable = { read: false, undone: 'whole' }
  const several: Repeatable = { read: true, undone: 'parts' }
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

describe('failure: at the commit', () => {
  it('what refuses the commit itself comes after CommandComplete, and undoes it', () => {
    const error = (code: string) => coded(code, { severity: 'ERROR' })
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

describe('failure: behind an answered commit', () => {
  it('nothing runs again, whatever code the error has, and the outcome is known', () => {
    for (const code of ['22007', '57P01', 'ECONNRESET', '08006']) {
      const failure = failureOf(coded(code), 'committed')
      assert.deepEqual([mayRetry(failure, READ), outcomeOf(failure, WRITE)], [false, 'committed'], code)
    }
  })
})

describe('failure: what is refused and not undone as a whole', () => {
  const rows: readonly (readonly [undone: Undone, again: boolean, outcome: string])[] = [
    ['whole', true, 'rolled-back'],
    ['session', false, 'rolled-back'],
    ['repeatable', true, 'unknown'],
    ['hidden', false, 'unknown'],
    ['parts', false, 'unknown'],
    ['outside', false, 'unknown'],
  ]
  for (const [undone, again, outcome] of rows) {
    it(`${undone}: ${again ? 'runs again' : 'does not run again'}, ${outcome}`, () => {
      const failure = failureOf(coded('57P01', { severity: 'FATAL' }), 'handed')
      const what = { read: false, undone }
      assert.deepEqual([mayRetry(failure, what), outcomeOf(failure, what)], [again, outcome])
    })
  }
})
