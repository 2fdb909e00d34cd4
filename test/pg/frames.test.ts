import assert from 'node:assert/strict'
import type { Spoken } from '../../src/core/sqlstates.js'
import { Frames } from '../../src/pg/frames.js'
import { dataRow, errorMessage, inPiecesOf, message, noticeMessage, ready } from '../support/messages.js'

const FATAL = { S: 'FATAL', V: 'FATAL', C: '57P01', M: 'terminating', F: 'postgres.c', R: 'ProcessInterrupts' }
const GERMAN = { S: 'FEHLER', V: 'ERROR', C: '42P01', M: 'Relation »nix« existiert nicht', R: 'parserOpenTable' }
const NESTED = { ...GERMAN, W: 'PL/pgSQL function f() line 1 at RAISE', R: 'exec_stmt_raise' }

/** Every error that is found, and where in the stream it ends. */
function walked(pieces: readonly Uint8Array[]): (readonly [at: number, error: Spoken])[] {
  const frames = new Frames()
  const found: (readonly [number, Spoken])[] = []
  let before = 0
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      at = frames.walk(piece, at)
      if (frames.error !== null) found.push([before + at, frames.error])
    }
    before += piece.length
  }
  return found
}

const spoken = (code: string | null, severity: Spoken['severity'], routine: string | null, nested = false): Spoken => {
  return { code, severity, routine, nested, begun: false, starting: false }
}

describe('pg: errors among what a server sends', () => {
  const parts = [
    dataRow('a', null, 'E'.repeat(70)),
    noticeMessage({ ...FATAL, S: 'WARNING', V: 'WARNING' }),
    errorMessage(GERMAN),
    ready,
    message('C', 'SELECT 1\0'),
    errorMessage(NESTED),
    noticeMessage(FATAL),
    message('2'),
    errorMessage(FATAL),
    errorMessage({ ...GERMAN, M: 'long '.repeat(5000) }),
    dataRow('E', 'SFATAL\0VFATAL\0C57P01\0\0'),
  ]
  const bytes = Buffer.concat(parts)
  const ends = parts.map((_, i) => Buffer.concat(parts.slice(0, i + 1)).length)
  const expected = [
    [ends[2], spoken('42P01', 'ERROR', 'parserOpenTable')],
    [ends[5], spoken('42P01', 'ERROR', 'exec_stmt_raise', true)],
    [ends[8], spoken('57P01', 'FATAL', 'ProcessInterrupts')],
    [ends[9], spoken('42P01', 'ERROR', 'parserOpenTable')],
  ]
  for (const size of [1, 2, 3, 4, 5, 6, 7, 11, 64, 1000, bytes.length]) {
    it(`in pieces of ${size}`, () => assert.deepEqual(walked(inPiecesOf(size, bytes)), expected))
  }
  it('cut in two at every byte', () => {
    const short = Buffer.concat(parts.slice(0, 9))
    for (let cut = 0; cut <= short.length; cut++) {
      const found = walked([short.subarray(0, cut), short.subarray(cut)].filter(({ length }) => length > 0))
      assert.deepEqual(found, expected.slice(0, 3), `cut at ${cut}`)
    }
  })
  it('fields that are not there, twice there, or too long', () => {
    const long = 'x'.repeat(1000)
    const rows: readonly (readonly [Readonly<Record<string, string>>, Spoken])[] = [
      [{}, spoken(null, null, null)],
      [{ S: 'ERROR', C: '57P01', M: 'from a pooler' }, spoken('57P01', null, null)],
      [{ S: 'ERROR', V: 'LOG', C: '57P01' }, spoken('57P01', null, null)],
      [{ V: 'PANIC', C: long, R: long }, spoken('x'.repeat(64), 'PANIC', 'x'.repeat(64))],
      [{ V: 'ERROR', C: '22012', q: 'select 1/0' }, spoken('22012', 'ERROR', null, true)],
    ]
    for (const [all, error] of rows) assert.deepEqual(walked([errorMessage(all)])[0]?.[1], error)
  })
  it('a length that is a lie holds nothing up', () => {
    const short = Buffer.from([0x45, 0, 0, 0, 0])
    assert.deepEqual(walked([Buffer.concat([short, errorMessage(FATAL)])]).length, 2)
    const endless = Buffer.concat([Buffer.from([0x45, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(100_000, 'V')])
    assert.deepEqual(walked(inPiecesOf(7, endless)), [])
  })
})
