// Who is the primary, as a table: what a row of pg_stat_replication and the word of a replica are worth.

import assert from 'node:assert/strict'
import type { NodeKey } from '../../src/core/cluster/address.js'
import { type Claimant, choosePrimary, type Incumbent, type PrimaryVerdict } from '../../src/core/cluster/primary.js'

const key = (name: string) => name as NodeKey

function claimant(name: string, timeline: number, rows: number, followers: number): Claimant {
  return { key: key(name), timeline, rows, followers, configured: true, refusedBefore: false }
}

function told(verdict: PrimaryVerdict): string {
  if (verdict.kind === 'primary') return verdict.key
  return verdict.kind === 'contested' ? `contested: ${[...verdict.claimants].sort().join(' ')}` : 'none'
}

const incumbent = (standing: Incumbent['standing'], deserted: string | null): Incumbent => ({
  key: key('a'),
  timeline: 1,
  standing,
  goneMillis: 0,
  deserted: deserted === null ? null : key(deserted),
})

describe('the primary: a living one beside a test promotion, as a plain role sees them', () => {
  for (const rows of [0, 1, 2]) {
    for (const archivers of [0, 1, 2]) {
      it(`rows at the primary: ${rows}, archivers at the test server: ${archivers}`, () => {
        const claimants = [claimant('a', 1, rows, 0), claimant('b', 2, archivers, 0)]
        assert.equal(told(choosePrimary(claimants, incumbent('live', null), null)), 'a')
        assert.equal(told(choosePrimary(claimants, incumbent('suspect', null), null)), 'a')
        const third = [...claimants, claimant('c', 2, archivers, 0)]
        assert.equal(told(choosePrimary(third, incumbent('live', null), null)), 'a')
      })
    }
  }
})

describe('the primary: beside an incumbent', () => {
  const cases: readonly (readonly [string, Incumbent['standing'], string | null, Claimant, Claimant, string])[] = [
    ['any row keeps it beside one that some follow', 'live', null, claimant('a', 1, 1, 0), claimant('b', 2, 1, 1), 'a'],
    ['without a row one that is followed takes it', 'live', null, claimant('a', 1, 0, 0), claimant('b', 2, 0, 1), 'b'],
    ['all have left it: its rows say nothing', 'live', 'b', claimant('a', 1, 2, 0), claimant('b', 2, 0, 2), 'b'],
    ['frozen: its last word is old', 'suspect', 'b', claimant('a', 1, 2, 0), claimant('b', 2, 0, 2), 'b'],
    ['frozen, and not all have left', 'suspect', null, claimant('a', 1, 0, 0), claimant('b', 2, 2, 1), 'a'],
    ['frozen, left for an equal timeline', 'suspect', 'b', claimant('a', 2, 2, 0), claimant('b', 2, 0, 2), 'a'],
    ['left for a lower timeline', 'live', 'b', claimant('a', 3, 0, 0), claimant('b', 2, 0, 2), 'a'],
    [
      'an equal timeline that is followed',
      'live',
      null,
      claimant('a', 2, 0, 0),
      claimant('b', 2, 0, 1),
      'contested: a b',
    ],
  ]
  for (const [name, standing, deserted, present, rival, expected] of cases) {
    it(name, () => assert.equal(told(choosePrimary([present, rival], incumbent(standing, deserted), null)), expected))
  }
})

describe('the primary: among equals', () => {
  const cases: readonly (readonly [string, Claimant, Claimant, string])[] = [
    ['the higher timeline, where nobody follows the lower', claimant('a', 1, 0, 0), claimant('b', 2, 1, 0), 'b'],
    ['an archiver at the higher is no follower', claimant('a', 1, 1, 0), claimant('b', 2, 1, 0), 'contested: a b'],
    ['a known replica is one', claimant('a', 1, 1, 0), claimant('b', 2, 1, 1), 'b'],
    ['the same timeline', claimant('a', 2, 0, 0), claimant('b', 2, 3, 3), 'contested: a b'],
  ]
  for (const [name, one, other, expected] of cases) {
    it(name, () => assert.equal(told(choosePrimary([one, other], null, null)), expected))
  }
})
