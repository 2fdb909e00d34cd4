import assert from 'node:assert/strict'
import { type Need, requiredOf } from '../../src/core/cluster/freshness.js'
import { addSample, emptyWal, holdsMillis, lagOf, positionOfAge, type Wal } from '../../src/core/cluster/horizon.js'
import { elapsed, type Instant } from '../../src/core/cluster/instant.js'
import { type Lsn, parseLsn } from '../../src/core/cluster/lsn.js'
import type { Sighting } from '../../src/core/cluster/sighting.js'
import { detailOf } from '../support/details.js'

const at = (mono: number, wall = mono): Instant => ({ mono, wall })
const lsn = (text: string): Lsn => parseLsn(text) as Lsn

function seen(insert: string, flush = insert): Sighting {
  const detail = detailOf()
  return { inRecovery: false, timeline: 1, insert: lsn(insert), flush: lsn(flush), replay: null, detail }
}

/** [time, insert, flush?] */
function history(...samples: readonly (readonly [number, string, string?])[]): Wal {
  return samples.reduce(
    (wal, [time, insert, flush]) => addSample(wal, at(time), seen(insert, flush), detailOf()),
    emptyWal
  )
}

const need = (maxLagMillis: number, since: number | null = null, asynchronous = false) => ({
  maxLagMillis,
  since,
  asynchronous,
})

function requiredPosition(wal: Wal, need: Need, now: Instant): Lsn | 'unproven' | null {
  const required = requiredOf(need, Infinity, wal, 1, now)
  return required === null || required === 'unproven' ? required : required.lsn
}

describe('horizon: the lag bound', () => {
  const wal = history([1000, '0/100'], [1300, '0/200'], [1600, '0/300'])

  it('asks for the earliest position within the bound', () => {
    assert.equal(requiredPosition(wal, need(1000), at(1700)), lsn('0/100'))
    assert.equal(requiredPosition(wal, need(500), at(1700)), lsn('0/200'))
    assert.equal(requiredPosition(wal, need(100), at(1700)), lsn('0/300'))
  })
  it('proves nothing when the youngest sample is older than the bound', () => {
    assert.equal(requiredPosition(wal, need(99), at(1700)), 'unproven')
    assert.equal(requiredPosition(emptyWal, need(1e9), at(1700)), 'unproven')
  })
  it('asks for nothing without a bound', () => {
    assert.equal(requiredPosition(wal, need(Infinity), at(1e6)), null)
    assert.equal(requiredPosition(emptyWal, need(Infinity), at(0)), null)
  })
  it('never serves a bound of 0', () => {
    assert.equal(requiredPosition(wal, need(0), at(1600.001)), 'unproven')
  })
  it('grows in real time on a replica that was cut off', () => {
    assert.equal(lagOf(wal, lsn('0/200'), at(1700)), 400)
    assert.equal(lagOf(wal, lsn('0/200'), at(9300)), 8000)
  })
  it('is small on an idle primary, however long ago it wrote', () => {
    const idle = history([1000, '0/100'], [900_000, '0/100'], [900_300, '0/100'])
    assert.equal(lagOf(idle, lsn('0/100'), at(900_400)), 100)
  })
  it('knows nothing before the first sample and of a replica behind all samples', () => {
    assert.equal(lagOf(emptyWal, lsn('0/100'), at(1)), Infinity)
    assert.equal(lagOf(wal, lsn('0/50'), at(1700)), Infinity)
  })
  it('measures bytes against the newest sample', () => {
    const bytes = (most: number, of = wal) => requiredOf(need(Infinity), most, of, 1, at(1700))
    assert.deepEqual(bytes(0x100), { lsn: lsn('0/200'), takenAt: at(1600) })
    assert.deepEqual(bytes(0x1000), { lsn: 0n, takenAt: at(1600) })
    assert.equal(bytes(1, emptyWal), 'unproven')
  })
  it('counts the clock that says more: sleep and a clock set back hide nothing', () => {
    assert.equal(elapsed(at(100, 100), at(150, 60_100)), 60_000)
    assert.equal(elapsed(at(100, 100), at(150, -60_000)), 50)
    assert.equal(requiredPosition(wal, need(1000), { mono: 1700, wall: 61_700 }), 'unproven')
  })
})

describe('horizon: insert and flush', () => {
  it('takes the flush position with three WAL-writer periods added', () => {
    // An open transaction has written a little that is not on disk: replicas cannot have it.
    const wal = history([1000, '0/140', '0/100'], [2000, '0/140', '0/100'])
    assert.equal(lagOf(wal, lsn('0/100'), at(2100)), 700)
    assert.equal(requiredPosition(wal, need(700), at(2100)), lsn('0/100'))
    assert.equal(requiredPosition(wal, need(699), at(2100)), lsn('0/140'))
  })
  it('uses the insert position alone when asked to be strict', () => {
    const strict = { ...history([1000, '0/140', '0/100'], [2000, '0/140', '0/100']), strict: true }
    assert.equal(lagOf(strict, lsn('0/100'), at(2100)), Infinity)
    assert.equal(requiredPosition(strict, need(5000), at(2100)), lsn('0/140'))
  })
  it('drops the flush position when more than a page stays unflushed for three periods', () => {
    const wal = history(
      [1000, '0/100'],
      [1300, '0/9000', '0/100'],
      [1500, '0/9000', '0/100'],
      [1601, '0/9000', '0/100']
    )
    assert.deepEqual(
      wal.samples.map(({ flushCounts }) => flushCounts),
      [true, true, true, false]
    )
  })
  it('trusts the flush position again as soon as it is within a page', () => {
    const wal = history([1000, '0/9000', '0/100'], [2000, '0/9000', '0/8000'])
    assert.deepEqual(
      wal.samples.map(({ flushCounts }) => flushCounts),
      [false, true]
    )
  })
  it('takes page headers off the insert position', () => {
    assert.equal(lagOf(history([1000, '0/9000028', '0/9000000']), lsn('0/9000000'), at(1100)), 100)
  })
})

describe('horizon: own writes', () => {
  const wal = history([1000, '0/140', '0/100'], [1300, '0/240', '0/200'], [1600, '0/340', '0/300'])

  it('asks for the flush position of the first sample taken after the write', () => {
    assert.equal(requiredPosition(wal, need(Infinity, 1299), at(1700)), lsn('0/200'))
    assert.equal(requiredPosition(wal, need(Infinity, 1300), at(1700)), lsn('0/300'))
  })
  it('asks for the insert position where commits may be asynchronous', () => {
    assert.equal(requiredPosition(wal, need(Infinity, 1299, true), at(1700)), lsn('0/240'))
    const off = { ...wal, asynchronousCommit: true }
    assert.equal(requiredPosition(off, need(Infinity, 1299), at(1700)), lsn('0/240'))
  })
  it('proves nothing before a sample was taken after the write', () => {
    assert.equal(requiredPosition(wal, need(Infinity, 1600), at(1700)), 'unproven')
  })
  it('asks for the higher of both needs', () => {
    assert.equal(requiredPosition(wal, need(1000, 1500), at(1700)), lsn('0/300'))
    assert.equal(requiredPosition(wal, need(150, 900), at(1700)), lsn('0/340'))
  })
})

describe('horizon: memory', () => {
  it('stays bounded and keeps its newest samples', () => {
    let wal = emptyWal
    for (let i = 1; i <= 5000; i++) wal = addSample(wal, at(i * 300), seen(`0/${(i * 16).toString(16)}`), detailOf())
    assert.ok(wal.samples.length <= 256, `${wal.samples.length} samples`)
    assert.equal(wal.samples.at(-1)?.at.mono, 5000 * 300)
    assert.ok((wal.samples[0]?.at.mono ?? Infinity) < 4900 * 300)
  })
})

describe('horizon: how long a lag bound stays the same position', () => {
  /** An older half whose flush positions count, and WAL on its way to disk behind it. */
  const wal = history(
    [1000, '0/100'],
    [1250, '0/4100', '0/4000'],
    [1400, '0/9000', '0/5000'],
    [1700, '0/9100'],
    [1900, '0/9400', '0/9300']
  )
  const lsnAt = (millis: number, now: number) => positionOfAge(wal, millis, at(now))?.lsn ?? null

  it('until then it does, for every bound and every moment', () => {
    let longest = 0
    for (let millis = 100; millis <= 2000; millis += 50) {
      for (let now = 1000; now <= 4000; now += 25) {
        const holds = holdsMillis(wal, millis, at(now))
        const last = Math.min(holds, 3000) - 1e-6
        for (let part = 0; part <= 10; part++) {
          assert.equal(
            lsnAt(millis, now + (last * part) / 10),
            lsnAt(millis, now),
            `${millis} ms at ${now} + ${part}/10`
          )
        }
        if (holds < Infinity) longest = Math.max(longest, holds)
      }
    }
    assert.ok(longest > 100)
  })

  it('and when the oldest sample is too old, it does not', () => {
    const holds = holdsMillis(wal, 1000, at(1950))
    assert.notEqual(lsnAt(1000, 1950 + holds + 1), lsnAt(1000, 1950))
  })

  it('the wall clock counts, too', () => {
    const now = at(1950)
    const holds = holdsMillis(wal, 1000, now)
    assert.ok(elapsed(now, at(1950 + 1, 1950 + holds)) >= holds)
  })
})
