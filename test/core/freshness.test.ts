import assert from 'node:assert/strict'
import { keyOf, type NodeKey } from '../../src/core/cluster/address.js'
import {
  type Behind,
  behindAfter,
  behindOf,
  type Candidate,
  type Circumstances,
  choose,
  isPaused,
  type Need,
} from '../../src/core/cluster/freshness.js'
import { addSample, emptyWal, type Wal } from '../../src/core/cluster/horizon.js'
import type { Instant } from '../../src/core/cluster/instant.js'
import { type Lsn, parseLsn } from '../../src/core/cluster/lsn.js'
import { detailOf } from '../support/details.js'

const at = (mono: number): Instant => ({ mono, wall: mono })
const lsn = (text: string): Lsn => parseLsn(text) as Lsn
const key = (name: string): NodeKey => keyOf({ host: name, port: 5432 })

/** [asked at, insert, flush?] */
function history(...samples: readonly (readonly [number, string, string?])[]): Wal {
  return samples.reduce(
    (wal, [time, insert, flush = insert]) =>
      addSample(wal, at(time), { insert: lsn(insert), flush: lsn(flush) }, detailOf()),
    emptyWal
  )
}

const runner = (name: string, replayed: string | null, behindMillis = 0): Candidate => ({
  key: key(name),
  replayed: replayed === null ? null : lsn(replayed),
  behindMillis,
})

const NEED: Need = { maxLagMillis: 1000, since: null, asynchronous: false }
const NOW: Circumstances = { now: at(1700), isComing: () => false, tripMillis: 1, mayAwait: true, mayGuard: true }
const WAL = history([1000, '0/100'], [1300, '0/200'], [1600, '0/300'])

interface Row {
  readonly title: string
  readonly need?: Partial<Need>
  readonly runners: readonly Candidate[]
  readonly moment?: Partial<Circumstances>
  readonly wal?: Wal
  readonly bytes?: number
  /** proven: the nodes; guarded: the node and its position; else what and why. */
  readonly expected: readonly unknown[]
}

const B = runner('b', '0/100')
const C = runner('c', '0/250')
const captured = { lsn: lsn('0/280'), takenAt: at(1690), epoch: 1, newest: 1690 }

const ROWS: readonly Row[] = [
  { title: 'every replica that has it', runners: [B, C], expected: ['proven', 'b', 'c'] },
  { title: 'no bound, no question', need: { maxLagMillis: Infinity }, runners: [B], expected: ['proven', 'b'] },
  {
    title: 'own writes by the first sample behind them',
    need: { since: 1250 },
    runners: [B, C],
    expected: ['proven', 'c'],
  },
  {
    title: 'a lost write is looked for as of its loss, while there is a primary',
    need: { doubt: 1250 },
    runners: [B, C],
    expected: ['proven', 'c'],
  },
  {
    title: 'a loss before the newest own write adds nothing',
    need: { doubt: 900, since: 1250 },
    runners: [B, C],
    expected: ['proven', 'c'],
  },
  {
    title: 'without a primary a lost write binds nothing, and own writes do',
    need: { doubt: 1690, since: 1250, orphaned: true },
    runners: [B, C],
    expected: ['proven', 'c'],
  },
  {
    title: 'a position that no replica is proven to have is tried on one of those that are equally likely to have it',
    need: { since: 1500 },
    runners: [B, runner('d', '0/100', 1), C],
    expected: ['guarded', 'b,c', '0/300'],
  },
  {
    title: 'on the one that is least behind',
    need: { since: 1500 },
    runners: [runner('b', '0/100', 50), runner('c', '0/100', 20)],
    expected: ['guarded', 'c', '0/300'],
  },
  {
    title: 'not where younger positions failed',
    need: { since: 1500 },
    runners: [runner('b', '0/100', 101), runner('c', '0/100', 300)],
    expected: ['primary', 'too-far-behind'],
  },
  {
    title: 'not twice',
    need: { since: 1500 },
    runners: [B],
    moment: { mayGuard: false },
    expected: ['primary', 'too-far-behind'],
  },
  {
    title: 'not on a replica that was lost sight of',
    need: { since: 1500 },
    runners: [runner('b', null)],
    expected: ['primary', 'too-far-behind'],
  },
  {
    title: 'a captured position counts beside the samples',
    need: { captured },
    runners: [runner('b', '0/27F'), runner('c', '0/280')],
    expected: ['proven', 'c'],
  },
  {
    title: 'the higher of a captured position and an uncaptured write',
    need: { captured, since: 1500 },
    runners: [runner('b', '0/280')],
    expected: ['guarded', 'b', '0/300'],
  },
  {
    title: 'a captured position of another epoch is a write like any other',
    need: { captured: { ...captured, epoch: 0, lsn: lsn('0/FFF'), newest: 1250 } },
    runners: [runner('b', '0/200')],
    expected: ['proven', 'b'],
  },
  {
    title: 'without a sample: the primary',
    need: { since: 1650 },
    runners: [B, C],
    expected: ['primary', 'unproven'],
  },
  {
    title: 'with one on its way: a moment',
    need: { since: 1650 },
    runners: [B, C],
    moment: { isComing: (since) => since === 1650 },
    expected: ['wait'],
  },
  {
    title: 'but not twice',
    need: { since: 1650 },
    runners: [B],
    moment: { isComing: () => true, mayAwait: false },
    expected: ['primary', 'unproven'],
  },
  {
    title: 'nor where every replica is known to be behind',
    need: { since: 1650 },
    runners: [runner('b', '0/100', 3), runner('c', '0/100', 9)],
    moment: { isComing: () => true },
    expected: ['primary', 'unproven'],
  },
  {
    title: 'nor without a replica',
    need: { since: 1650 },
    runners: [],
    moment: { isComing: () => true },
    expected: ['primary', 'unproven'],
  },
  {
    title: 'the bound alone has no young sample: the primary',
    need: { maxLagMillis: 50 },
    runners: [C],
    expected: ['primary', 'unproven'],
  },
  { title: 'bytes are a position, too', bytes: 0x40, runners: [B, runner('c', '0/2C0')], expected: ['proven', 'c'] },
  {
    title: 'a token by its position',
    need: { carried: { lsn: lsn('0/240'), arrivedAt: 1650 } },
    runners: [runner('b', '0/200'), C],
    expected: ['proven', 'c'],
  },
  {
    title: 'a token that no sample reaches waits for one taken since it came',
    need: { carried: { lsn: lsn('F/0'), arrivedAt: 1650 } },
    runners: [C],
    moment: { isComing: (since) => since === 1650 },
    expected: ['wait'],
  },
  {
    title: 'a token from the future asks for no more than the primary had when it came',
    need: { carried: { lsn: lsn('F/0'), arrivedAt: 1500 } },
    runners: [runner('b', '0/2FF'), runner('c', '0/300')],
    expected: ['proven', 'c'],
  },
  {
    title: 'of another history: all that there was when it came',
    need: { carried: { lsn: null, arrivedAt: 1250 } },
    runners: [B, runner('c', '0/200')],
    expected: ['proven', 'c'],
  },
]

describe('freshness: where a read may go', () => {
  for (const { title, need, runners, moment, bytes = Infinity, wal = WAL, expected } of ROWS) {
    it(title, () => {
      const fresh = choose({ ...NEED, ...need }, bytes, wal, 1, runners, { ...NOW, ...moment })
      const name = (node: NodeKey) => node.split(':')[0]
      switch (fresh.go) {
        case 'proven':
          assert.deepEqual(['proven', ...fresh.keys.map(name)], expected)
          break
        case 'guarded':
          assert.deepEqual([fresh.go, fresh.keys.map(name).join()], expected.slice(0, 2))
          assert.equal(fresh.required.lsn, lsn(String(expected[2])))
          break
        case 'wait':
          assert.deepEqual(['wait'], expected)
          break
        case 'primary':
          assert.deepEqual([fresh.go, fresh.why], expected)
      }
    })
  }
  it('answers that overtook each other are kept in the order of asking', () => {
    const wal = history([1000, '0/100'], [1600, '0/300'], [1300, '0/200'])
    assert.deepEqual(
      wal.samples.map(({ at: { mono } }) => mono),
      [1000, 1300, 1600]
    )
    const need = { ...NEED, since: 1250 }
    assert.deepEqual(choose(need, Infinity, wal, 1, [C], NOW).go, 'proven')
  })
})

describe('freshness: what guards teach of a replica', () => {
  const steps = (...seen: readonly (readonly [number, boolean, number])[]) =>
    seen.reduce<Behind | undefined>((behind, [now, passed, age]) => behindAfter(behind, passed, age, now), undefined)

  it('nothing is held against a replica that nobody has tried', () => assert.equal(behindOf(undefined, 5), 0))
  it('a guard that failed says how old a position was too young', () => {
    assert.equal(behindOf(steps([1000, false, 40]), 1000), 40)
  })
  it('it fades by half in 250 ms', () => assert.equal(behindOf(steps([1000, false, 40]), 1500), 10))
  it('a guard that passed takes a fifth off', () => {
    assert.equal(behindOf(steps([1000, false, 40], [1000, true, 41]), 1000), 32)
  })
  it('it is not tried again before the position is older by a quarter, at most 250 ms', () => {
    const paused = (age: number, later: number) => isPaused(steps([1000, false, age]), 1000 + later)
    assert.deepEqual([paused(40, 9), paused(40, 10), paused(9000, 249), paused(9000, 250)], [true, false, true, false])
    assert.equal(isPaused(steps([1000, false, 40], [1000, true, 41]), 1001), false, 'nor after one that passed')
  })
  it('in the end nothing is left', () => {
    const passes = Array.from({ length: 40 }, (): readonly [number, boolean, number] => [1000, true, 50])
    assert.equal(steps([1000, false, 40], ...passes), undefined)
  })
})
