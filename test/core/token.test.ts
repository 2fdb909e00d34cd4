import assert from 'node:assert/strict'
import type { Lsn } from '../../src/core/cluster/lsn.js'
import {
  fateOf,
  fatesOf,
  formatToken,
  gathered,
  mergeTokens,
  parseToken,
  type Token,
} from '../../src/core/cluster/token.js'

const SYSTEM = '7710566966336794274'
const token = (lsn: bigint, timeline = 1, systemIdentifier = SYSTEM): Token => ({
  systemIdentifier,
  timeline,
  lsn: lsn as Lsn,
})

describe('token: as text', () => {
  it('comes back as it was, on both sides of 4 GiB and at the ends', () => {
    for (const lsn of [0n, 1n, 0xffff_ffffn, 0x1_0000_0000n, 0xffff_ffff_ffff_ffffn]) {
      for (const timeline of [1, 0xffff_ffff]) {
        const text = formatToken(token(lsn, timeline))
        assert.deepEqual(parseToken(text), token(lsn, timeline), text)
      }
    }
    assert.deepEqual(parseToken(formatToken(token(1n, 1, ''))), token(1n, 1, ''))
  })
  it('is fit for a cookie, a URL and a header, and short', () => {
    const text = formatToken(token(0xffff_ffff_ffff_ffffn, 0xffff_ffff, '18446744073709551615'))
    assert.match(text, /^[0-9a-z.]+$/)
    assert.equal(encodeURIComponent(text), text)
    assert.ok(text.length <= 40, text)
  })
  const BAD = ['', '1', '1..1.1', '2.1.1.1', '1.1.0.1', '1.01.1.1', '1.1.1.1 ', ' 1.1.1.1', '1.1.1.1\n', '1.A.1.1']
  const WIDE = [
    '1.zzzzzzzzzzzzz.1.1',
    '1.1.zzzzzzz.1',
    '1.1.1.zzzzzzzzzzzzz',
    '1.1.1.-1',
    '1.1.1.1.1',
    `1.${'1'.repeat(9999)}.1.1`,
  ]
  for (const text of [...BAD, ...WIDE, null, undefined, 7, {}]) {
    it(`refuses ${JSON.stringify(text)?.slice(0, 40)}`, () => assert.equal(parseToken(text), null))
  }
})

describe('token: merged', () => {
  it('the higher position', () => assert.deepEqual(mergeTokens(token(5n), token(7n)), token(7n)))
  it('the later timeline, whatever the positions', () => {
    assert.deepEqual(mergeTokens(token(9n), token(7n, 2)), token(7n, 2))
    assert.deepEqual(mergeTokens(token(7n, 2), token(9n)), token(7n, 2))
  })
  it('not of two clusters', () => assert.equal(mergeTokens(token(5n), token(7n, 1, '8')), null))
  it('of a cluster whose name the role may not see', () => {
    assert.deepEqual(mergeTokens(token(5n), token(7n, 1, '')), token(7n, 1, ''))
  })
})

describe('token: what it means here and now', () => {
  const here = { systemIdentifier: SYSTEM, timeline: 2, begun: 100n as Lsn }
  const ROWS = [
    ['of this timeline: its position', token(5n, 2), here, 5n],
    ['before a primary is known: its position', token(5n, 7), { ...here, timeline: null, begun: null }, 5n],
    ['of an older timeline, before it branched off: its position', token(100n), here, 100n],
    ['of an older timeline, behind that: lost', token(101n), here, 'lost'],
    ['of an older timeline, with the branch unknown: whatever there was', token(5n), { ...here, begun: null }, null],
    ['of a later timeline: whatever there was', token(5n, 3), here, null],
    ['of another cluster: foreign', token(5n, 2, '8'), here, 'foreign'],
    ['of a cluster that nobody may name: its position', token(5n, 2, ''), here, 5n],
    ['where the cluster is not known: its position', token(5n, 2), { ...here, systemIdentifier: null }, 5n],
  ] as const
  for (const [title, given, present, expected] of ROWS) {
    it(title, () => {
      const fate = fateOf(given, 9, present)
      assert.deepEqual(fate, typeof expected === 'string' ? expected : { lsn: expected, arrivedAt: 9 })
    })
  }
})

describe('token: several, each judged alone', () => {
  const here = { systemIdentifier: SYSTEM, timeline: 2, begun: 100n as Lsn }
  const [foreign, lost] = [token(900n, 9, '8'), token(101n)]
  const ROWS = [
    ['none', [], {}],
    ['one of another cluster before one of this', [foreign, token(5n, 2)], { carried: 5n, foreign }],
    ['and behind it', [token(5n, 2), foreign], { carried: 5n, foreign }],
    ['of a cluster without a name beside one of this: the higher', [token(7n, 2, ''), token(5n, 2)], { carried: 7n }],
    ['of a later timeline beside one of this: whatever there was', [token(5n, 3, ''), token(7n, 2)], { carried: null }],
    ['a lost one beside one that is not', [token(7n, 2, ''), lost], { carried: 7n, lost }],
  ] as const
  for (const [title, tokens, expected] of ROWS) {
    it(title, () => {
      const { carried, lost: gone, foreign: other } = { lost: null, foreign: null, carried: undefined, ...expected }
      const wanted = carried === undefined ? null : { lsn: carried, arrivedAt: 9 }
      assert.deepEqual(fatesOf(tokens, 9, here), { carried: wanted, lost: gone, foreign: other })
    })
  }

  it('are gathered by the cluster that they name', () => {
    const [a, b, c] = [token(5n), token(7n), token(1n, 1, '')]
    assert.deepEqual(gathered([a, foreign, b, c]), [b, foreign, c])
  })
})
