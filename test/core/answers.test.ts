import assert from 'node:assert/strict'
import { type AnswerRow, detailIn, NO_DETAIL, positionsIn, sightingIn } from '../../src/core/cluster/answers.js'

const PRIMARY: AnswerRow = {
  in_recovery: 'false',
  insert: '0/3000148',
  flush: '0/3000148',
  replay: null,
  timeline: '00000001',
  receiver: null,
  feeds: null,
}
const REPLICA: AnswerRow = {
  ...PRIMARY,
  in_recovery: 'true',
  insert: null,
  flush: null,
  replay: '0/3000148',
  timeline: null,
  receiver: '4711 1 streaming 0/3000148',
  feeds: '0',
}
const DETAIL: AnswerRow = {
  system_identifier: '7710566966336794274',
  started_at: '1700000000000000',
  control_timeline: '1',
  received_timeline: '1',
  sender: '{"pid":1,"host":"10.0.0.1","port":5432}',
  checkpoint: '0/1 0/1 1 0:700 2026-01-01',
  senders: '[{"address":"10.0.0.2","name":"n2","state":"streaming"},{"address":null,"name":null,"state":null}]',
  synchronous_commit: 'on',
  wal_writer_delay: '200',
  wal_segment_size: '16777216',
  standard_conforming_strings: 'on',
  version: '18.4 (Debian)',
  role: 'app',
  reads_stats: 'true',
}
/** What a stranger may write in place of a number, a list, a position. */
const ODD = [
  '',
  'x',
  '-1',
  '1.5',
  '1e3',
  'NaN',
  'Infinity',
  '0x10',
  ' 1',
  '1\n',
  '99999999999',
  'null',
  '{}',
  '[null]',
  '5',
  '\u0661',
]

describe('answers of a probe', () => {
  it('of a primary and of a replica', () => {
    const primary = sightingIn(PRIMARY)
    assert.ok(primary.kind === 'value')
    assert.deepEqual([primary.value.inRecovery, primary.value.timeline, primary.value.flush], [false, 1, 0x3000148n])
    const replica = sightingIn(REPLICA)
    assert.ok(replica.kind === 'value')
    assert.deepEqual([replica.value.inRecovery, replica.value.replay, replica.value.feeds], [true, 0x3000148n, 0])
    assert.deepEqual(replica.value.receiver, { pid: 4711, timeline: 1, streaming: true, received: 0x3000148n })
  })

  it('with all details, with none, and where the server does not tell', () => {
    const detail = detailIn(DETAIL)
    assert.ok(detail.kind === 'value')
    assert.deepEqual(detail.value.sender, { pid: 1, host: '10.0.0.1', port: 5432 })
    assert.deepEqual(detail.value.senders[1], { address: null, name: '', state: null })
    assert.deepEqual([detail.value.walSegmentBytes, detail.value.walWriterDelayMillis], [16777216n, 200])
    assert.deepEqual(detailIn(null), { kind: 'value', value: NO_DETAIL })
    const who = detailIn({ version: '18.4', role: 'app' })
    assert.deepEqual(who, { kind: 'value', value: { ...NO_DETAIL, version: '18.4', role: 'app' } })
    const silent = Object.fromEntries(Object.keys(DETAIL).map((name) => [name, null]))
    assert.equal(detailIn(silent).kind, 'value')
  })

  it('a pooler answers where the process is another than the login told, or where that told none', () => {
    const pooled = (row: AnswerRow, took?: number | null) => {
      const detail = detailIn(row, took)
      assert.ok(detail.kind === 'value')
      return detail.value.isPooled === true
    }
    const row = { ...DETAIL, pid: '4711' }
    const who = { version: '18.4', role: 'app', pid: '4711' }
    assert.deepEqual(
      [row, who].flatMap((each) => [pooled(each, 4711), pooled(each, 4712), pooled(each, null), pooled(each)]),
      [false, true, true, false, false, true, true, false]
    )
    assert.equal(pooled({ ...row, pid: null }, 4712), false)
  })

  const SIGHTED = ['in_recovery', 'insert', 'flush', 'replay', 'timeline', 'receiver', 'feeds'] as const
  for (const name of SIGHTED) {
    it(`${name} is as PostgreSQL writes it, or there is no answer`, () => {
      for (const text of ODD) {
        // A number of senders.
        if (name === 'feeds' && text === '5') continue
        if (name === 'receiver' && text === '5') continue
        assert.deepEqual(sightingIn({ ...REPLICA, [name]: text }), { kind: 'fault', field: name }, text)
      }
    })
  }
  it('a row that is not there, or does not say whether it is in recovery, is no answer', () => {
    assert.deepEqual(sightingIn(null), { kind: 'fault', field: 'a row' })
    assert.deepEqual(sightingIn({}), { kind: 'fault', field: 'in_recovery' })
    assert.deepEqual(positionsIn(null), { kind: 'fault', field: 'a row' })
  })

  const BAD: Readonly<Record<string, readonly string[]>> = {
    system_identifier: ['x', '-1', '1.5', '', '9'.repeat(21)],
    started_at: ['x', '-1', '9'.repeat(21)],
    control_timeline: ['x', '-1', '4294967296', '1.5'],
    received_timeline: ['x', '0000000g'],
    sender: [
      '5',
      'null',
      '{}',
      '[null]',
      '[]',
      '"x"',
      '{"pid":"x"}',
      '{"pid":1,"port":70000}',
      '{"pid":1,"host":{}}',
      '{',
    ],
    senders: [
      '5',
      'null',
      '{}',
      '[null]',
      '[5]',
      '["x"]',
      '[[]]',
      '[{"address":5}]',
      '[{"name":{}}]',
      '[{"state":[]}]',
      '{',
    ],
    wal_writer_delay: ['', '0', '-5', 'x', 'NaN', '1e9', '10001', 'Infinity'],
    wal_segment_size: ['', '0', '-1', 'x', '1', '1024', '16777217', '2147483648', '1e7', '99999999999999999999'],
    reads_stats: ['yes', '1', ''],
    version: ['x'.repeat(1001)],
    role: ['x'.repeat(1001)],
  }
  for (const [name, texts] of Object.entries(BAD)) {
    it(`${name}: what is none is refused by its name`, () => {
      for (const text of texts) {
        assert.deepEqual(detailIn({ ...DETAIL, [name]: text }), { kind: 'fault', field: name }, text)
      }
    })
  }
})
