import assert from 'node:assert/strict'
import { type Entry, type Fate, type Ledger, type Strike, settle } from './accounting.js'

function entry(fate: Fate, ids: readonly number[], at = 100): Entry {
  return { lane: 0, ids, form: 'simple', fate, code: null, calledAt: at, endedAt: at + 1 }
}

const strike = (limit: number, from = 90, to = 110): Strike => ({ fault: 'kill -9', from, to, limit })

function rulesOf(entries: readonly Entry[], present: readonly number[], strikes: readonly Strike[] = []): string[] {
  const rows = new Map<number, number>()
  for (const id of present) rows.set(id, (rows.get(id) ?? 0) + 1)
  return settle({ entries, strikes, rows }).violations.map(({ rule }) => rule)
}

describe('the accounting of chaos', () => {
  const CASES: readonly [string, readonly Entry[], readonly number[], readonly Strike[], readonly string[]][] = [
    ['acknowledged and there once', [entry('acknowledged', [1, 2])], [1, 2], [], []],
    ['acknowledged and not there', [entry('acknowledged', [1, 2])], [1], [], ['lost']],
    ['acknowledged and there twice', [entry('acknowledged', [1])], [1, 1], [], ['doubled']],
    ['not sent and not there', [entry('not-sent', [1])], [], [], []],
    ['not sent and there', [entry('not-sent', [1])], [1], [], ['resurrected']],
    ['rolled back and not there', [entry('rolled-back', [1])], [], [], []],
    ['rolled back and there', [entry('rolled-back', [1])], [1], [], ['resurrected']],
    ['rolled back but for a part', [entry('rolled-back', [1, 2])], [1], [], ['resurrected', 'torn']],
    ['unknown and there', [entry('unknown', [1])], [1], [strike(1)], []],
    ['unknown and not there', [entry('unknown', [1])], [], [strike(1)], []],
    ['unknown and there twice', [entry('unknown', [1])], [1, 1], [strike(1)], ['doubled']],
    ['unknown and there in part', [entry('unknown', [1, 2])], [2], [strike(1)], ['torn']],
    ['there and sent by nobody', [], [7], [], ['stray']],
    ['an error that says nothing', [entry('nameless', [1])], [], [], ['nameless']],
    ['unknown though nothing happened', [entry('unknown', [1])], [], [strike(1, 200, 300)], ['unexplained']],
    ['more unknown than under way', [entry('unknown', [1]), entry('unknown', [2])], [], [strike(1)], ['excessive']],
    ['unknown where none may be', [entry('unknown', [1])], [], [strike(0)], ['excessive']],
  ]
  for (const [name, entries, present, strikes, expected] of CASES) {
    it(`${name}: ${expected.join(', ') || 'as it should be'}`, () => {
      assert.deepEqual(rulesOf(entries, present, strikes), expected)
    })
  }

  const MORE: readonly [string, Partial<Entry>, Partial<Ledger>, readonly string[]][] = [
    ['committed by its error and there', { fate: 'committed' }, { rows: new Map([[1, 1]]) }, []],
    ['committed by its error and not there', { fate: 'committed' }, {}, ['lost']],
    ['lost with the data of its server', {}, { erased: new Set([1]) }, []],
    [
      'lost with the data of its server and there again',
      {},
      { rows: new Map([[1, 1]]), erased: new Set([1]) },
      ['resurrected'],
    ],
    [
      'a half of it lost with the data of its server',
      { ids: [1, 2] },
      { rows: new Map([[1, 1]]), erased: new Set([2]) },
      ['torn'],
    ],
    [
      'piecemeal, unknown and there in part',
      { ids: [1, 2], fate: 'unknown', piecemeal: true, own: 'stays' },
      { rows: new Map([[1, 1]]) },
      [],
    ],
    [
      'piecemeal, rolled back and there in part',
      { ids: [1, 2], fate: 'rolled-back', piecemeal: true },
      { rows: new Map([[1, 1]]) },
      ['resurrected'],
    ],
    [
      'piecemeal, and a row that was acknowledged on its way is not there',
      { ids: [1, 2], fate: 'rolled-back', piecemeal: true, kept: [1] },
      {},
      ['lost'],
    ],
    [
      'piecemeal, rolled back, and a row is there that was acknowledged on its way: the error speaks of the whole',
      { ids: [1, 2], fate: 'rolled-back', piecemeal: true, kept: [1] },
      { rows: new Map([[1, 1]]) },
      ['resurrected'],
    ],
    [
      'stepwise, and a row is there that was acknowledged before the statement that was rolled back',
      { ids: [1, 2], fate: 'rolled-back', piecemeal: true, stepwise: true, kept: [1] },
      { rows: new Map([[1, 1]]) },
      [],
    ],
    [
      'stepwise, and a row of the statement is there that was not sent',
      { ids: [1, 2], fate: 'not-sent', piecemeal: true, stepwise: true, kept: [1] },
      {
        rows: new Map([
          [1, 1],
          [2, 1],
        ]),
      },
      ['resurrected'],
    ],
    [
      'its effect is outside of the rows, and was reported as undone',
      { fate: 'rolled-back', own: 'stays' },
      {},
      ['resurrected'],
    ],
    ['its effect is outside of the rows, and was reported as unknown', { fate: 'unknown', own: 'stays' }, {}, []],
    ['it fails by itself, and says that it does not know', { fate: 'unknown', own: 'undone' }, {}, ['unexplained']],
    [
      'it fails by itself, and ran twice',
      { fate: 'rolled-back', own: 'undone' },
      { runs: new Map([[1, 2]]) },
      ['rerun'],
    ],
    [
      'it fails by itself, and ran twice as something was done to a server',
      { fate: 'rolled-back', own: 'undone' },
      { runs: new Map([[1, 2]]), strikes: [strike(0)] },
      [],
    ],
    [
      'it failed where nothing has a reason to',
      { fate: 'not-sent' },
      { strikes: [{ ...strike(0), harmless: true }] },
      ['harmed'],
    ],
    [
      'it fails by itself where nothing else does',
      { fate: 'rolled-back', own: 'undone' },
      { strikes: [{ ...strike(0), harmless: true }] },
      [],
    ],
  ]
  for (const [name, part, ledger, expected] of MORE) {
    it(`${name}: ${expected.join(', ') || 'as it should be'}`, () => {
      const entries = [{ ...entry('acknowledged', [1]), ...part }]
      const { violations } = settle({ entries, strikes: [], rows: new Map(), ...ledger })
      assert.deepEqual(
        violations.map(({ rule }) => rule),
        expected
      )
    })
  }

  it('a statement that two strikes met is excused by the one that has an excuse left', () => {
    const strikes = [strike(1, 90, 101), strike(1, 101, 120)]
    assert.deepEqual(rulesOf([entry('unknown', [1], 99), entry('unknown', [2], 100.5)], [], strikes), [])
  })

  it('counts what it was told, and how much of the unknown has happened', () => {
    const entries = [
      entry('acknowledged', [1]),
      entry('not-sent', [2]),
      entry('rolled-back', [3]),
      entry('unknown', [4]),
      entry('unknown', [5]),
    ]
    const rows = new Map([
      [1, 1],
      [5, 1],
    ])
    const { totals } = settle({ entries, strikes: [strike(2)], rows })
    assert.deepEqual(totals, { acknowledged: 1, committed: 0, notSent: 1, rolledBack: 1, unknown: 2, happened: 1 })
  })
})
