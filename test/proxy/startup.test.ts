// The packets before any message, as clients send them.

import assert from 'node:assert/strict'
import { firstIn, settingsIn, wordsIn } from '../../src/proxy/wire/startup.js'

function packet(code: number, rest: Buffer | string = ''): Buffer {
  const body = Buffer.from(rest)
  const made = Buffer.alloc(8 + body.length)
  made.writeInt32BE(made.length, 0)
  made.writeInt32BE(code, 4)
  made.set(body, 8)
  return made
}

const V3 = 3 << 16

describe('the first packet of a client', () => {
  it('SSLRequest', () =>
    assert.deepEqual(firstIn(packet(80877103)), { kind: 'packet', packet: { kind: 'ssl' }, length: 8 }))
  it('GSSENCRequest', () =>
    assert.deepEqual(firstIn(packet(80877104)), { kind: 'packet', packet: { kind: 'gss' }, length: 8 }))
  it('a TLS handshake', () => assert.equal(firstIn(Buffer.from([0x16, 3, 1])).kind, 'tls'))
  it('a cancel request, with a key of 4 bytes or of 32', () => {
    for (const bytes of [4, 32]) {
      const rest = Buffer.alloc(4 + bytes, 7)
      rest.writeInt32BE(4711, 0)
      const found = firstIn(packet(80877102, rest))
      assert.ok(found.kind === 'packet' && found.packet.kind === 'cancel')
      assert.deepEqual([found.packet.pid, found.packet.secret.length], [4711, bytes])
    }
  })
  it('a startup packet', () => {
    const found = firstIn(packet(V3, 'user\0a\0database\0b\0options\0-c x=1\0\0'))
    assert.ok(found.kind === 'packet' && found.packet.kind === 'startup')
    assert.deepEqual(
      [...found.packet.parameters],
      [
        ['user', 'a'],
        ['database', 'b'],
        ['options', '-c x=1'],
      ]
    )
  })
  it('of protocol 3.2 and of one that is yet to come', () => {
    for (const minor of [2, 9999]) {
      const found = firstIn(packet(V3 | minor, 'user\0a\0_pq_.test\0x\0\0'))
      assert.ok(found.kind === 'packet' && found.packet.kind === 'startup')
      assert.deepEqual([found.packet.minor, found.packet.extensions], [minor, ['_pq_.test']])
    }
  })
  it('that is cut', () => {
    const whole = packet(V3, 'user\0a\0\0')
    for (let at = 0; at < whole.length; at++) assert.equal(firstIn(whole.subarray(0, at)).kind, 'more')
  })
  const FAULTS: readonly (readonly [string, Buffer, RegExp])[] = [
    ['too long', packet(V3, Buffer.alloc(10_000)), /length/],
    ['too short', Buffer.from([0, 0, 0, 7, 0, 0, 0, 0]), /length/],
    ['of protocol 2', packet(2 << 16, 'x'), /unsupported frontend protocol 2\.0/],
    ['without its last zero', packet(V3, 'user\0a\0'), /terminator/],
    ['with a name alone', packet(V3, 'user\0'), /terminator/],
    ['with more behind its end', packet(V3, 'user\0a\0\0x'), /terminator/],
    ['an encryption request with more in it', packet(80877103, 'x'), /encryption/],
    ['a cancel request without a key', packet(80877102, 'abcd'), /cancel/],
  ]
  for (const [what, bytes, pattern] of FAULTS) {
    it(`${what}: refused`, () => {
      const found = firstIn(bytes)
      assert.ok(found.kind === 'fault', found.kind)
      assert.match(found.text, pattern)
    })
  }
})

describe('the options of a startup packet', () => {
  it('are split at blanks, and a backslash takes what follows as it is', () =>
    assert.deepEqual(wordsIn('-c  a=b\\ c\t--d-e=\\\\'), ['-c', 'a=b c', '--d-e=\\']))
  it('are settings', () =>
    assert.deepEqual(
      [...(settingsIn('-c a=1 -cb=2 --some-thing=x=y') ?? [])],
      [
        ['a', '1'],
        ['b', '2'],
        ['some_thing', 'x=y'],
      ]
    ))
  it('may be none that are understood', () => assert.equal(settingsIn('-d 5'), null))
})
