import assert from 'node:assert/strict'
import { bytesBetween, formatLsn, type Lsn, parseLsn, withoutPageHeader } from '../../src/core/cluster/lsn.js'

const lsn = (text: string): Lsn => {
  const parsed = parseLsn(text)
  assert.ok(parsed !== null, `${text} is an LSN`)
  return parsed
}

describe('lsn', () => {
  const texts: readonly (readonly [string, bigint])[] = [
    ['0/0', 0n],
    ['0/16B3748', 0x16b3748n],
    ['0/FFFFFFFF', 0xffffffffn],
    ['1/0', 0x100000000n],
    ['FFFFFFFF/FFFFFFFF', 0xffffffffffffffffn],
    ['0/0306EE20', 0x306ee20n], // as PostgreSQL 19 prints it
  ]
  for (const [text, value] of texts) it(`reads ${text}`, () => assert.equal(lsn(text), value))

  for (const text of ['', '0', '/', '0/', '/0', '0/G', '0/123456789', ' 0/0', '0/0 ', null, undefined]) {
    it(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseLsn(text), null))
  }

  it('writes what pg_lsn prints', () => {
    for (const text of ['0/0', '0/16B3748', '1/0', 'A1/FFFFFFFF']) assert.equal(formatLsn(lsn(text)), text)
  })

  it('is exact on both sides of 4 GiB', () => {
    assert.equal(bytesBetween(lsn('0/FFFFFFFF'), lsn('1/0')), 1)
    assert.equal(bytesBetween(lsn('1/0'), lsn('0/FFFFFFFF')), -1)
    assert.ok(lsn('0/FFFFFFFF') < lsn('1/0'))
    assert.ok(lsn('9/0') < lsn('10/0'))
  })

  const segment = 16n * 1024n * 1024n
  const headers: readonly (readonly [string, string, string])[] = [
    ['behind the long header of a segment', '0/9000028', '0/9000000'],
    ['behind the short header of a page', '0/9002018', '0/9002000'],
    ['24 bytes into a segment lie inside its long header', '0/9000018', '0/9000018'],
    ['40 bytes into a page are a record', '0/9002028', '0/9002028'],
    ['in the middle of a page', '0/9002100', '0/9002100'],
    ['on a page boundary', '0/9002000', '0/9002000'],
  ]
  for (const [what, from, to] of headers) {
    it(`page header: ${what}`, () => assert.equal(withoutPageHeader(lsn(from), segment), lsn(to)))
  }
})
