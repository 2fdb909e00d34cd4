// Bytes in whatever pieces they come are cut into the same messages, and what no peer may send is a fault.

import assert from 'node:assert/strict'
import { Framer, frameRules } from '../../src/proxy/wire/framer.js'

const RULES = frameRules({ W: { least: Infinity, most: 1000 }, S: {}, H: { least: 8 } })

function message(letter: string, body: Buffer | string): Buffer {
  const bytes = Buffer.from(body)
  const head = Buffer.alloc(5)
  head.write(letter, 'latin1')
  head.writeInt32BE(bytes.length + 4, 1)
  return Buffer.concat([head, bytes])
}

interface Seen {
  readonly type: string
  readonly bytes: string
}

/** What comes out, with the pieces of a message put together; and the fault. */
function read(chunks: readonly Buffer[]): { readonly seen: readonly Seen[]; readonly fault: string | null } {
  const framer = new Framer(RULES)
  const seen: { type: string; bytes: string }[] = []
  for (const chunk of chunks) {
    framer.push(chunk)
    while (framer.next()) {
      const text = framer.bytes.toString('latin1', framer.from, framer.to)
      if (framer.begins) seen.push({ type: String.fromCharCode(framer.type), bytes: text })
      else {
        const last = seen.at(-1)
        assert.ok(last !== undefined)
        last.bytes += text
      }
    }
  }
  return { seen, fault: framer.fault }
}

/** Cut after each of these positions. */
function cut(bytes: Buffer, ...at: readonly number[]): Buffer[] {
  const places = [0, ...at, bytes.length]
  return places.slice(1).map((to, i) => Buffer.from(bytes.subarray(places[i], to)))
}

describe('the framer of the proxy', () => {
  const all = Buffer.concat([
    message('W', 'whole'),
    message('S', 'x'.repeat(300)),
    message('H', 'head and more'),
    message('W', ''),
  ])
  const right = read([all]).seen
  it('finds the messages in one chunk', () => {
    assert.deepEqual(
      right.map(({ type, bytes }) => [type, bytes.length]),
      [
        ['W', 10],
        ['S', 305],
        ['H', 18],
        ['W', 5],
      ]
    )
  })
  for (let at = 1; at < all.length; at++) {
    if (at > 30 && at < 300) continue
    it(`finds the same when the bytes are cut after ${at}`, () => assert.deepEqual(read(cut(all, at)).seen, right))
  }
  it('finds the same byte by byte', () => {
    const bytes = [...all].map((byte) => Buffer.from([byte]))
    assert.deepEqual(read(bytes).seen, right)
  })
  it('passes a body on without holding it', () => {
    const framer = new Framer(RULES)
    framer.push(message('S', 'y'.repeat(10)).subarray(0, 7))
    assert.ok(framer.next())
    assert.deepEqual([framer.begins, framer.ends, framer.held], [true, false, 0])
  })
  it('holds as much of a message as its rule asks for', () => {
    const framer = new Framer(RULES)
    framer.push(message('H', 'z'.repeat(20)).subarray(0, 10))
    assert.equal(framer.next(), false)
    framer.push(Buffer.from('zzzzz'))
    assert.ok(framer.next())
    assert.deepEqual([framer.to - framer.from, framer.ends, framer.total], [13, false, 25])
  })
  it('believes no length before the bytes have come', () => {
    const framer = new Framer(frameRules({ W: { least: Infinity } }))
    const head = Buffer.from([0x57, 0x7f, 0xff, 0xff, 0x00, 1, 2, 3])
    framer.push(head)
    assert.equal(framer.next(), false)
    assert.equal(framer.held, head.length)
  })
  const FAULTS: readonly (readonly [string, Buffer, RegExp])[] = [
    ['an unknown kind', message('x', ''), /unexpected kind 'x'/],
    ['a length below 4', Buffer.from([0x57, 0, 0, 0, 3, 0]), /impossible length 3/],
    ['a negative length', Buffer.from([0x57, 0xff, 0xff, 0xff, 0xff]), /impossible length -1/],
    ['a message over its limit', Buffer.from([0x57, 0, 0, 4, 0]), /at most 1004/],
  ]
  for (const [what, bytes, pattern] of FAULTS) {
    it(`refuses ${what}`, () => assert.match(read([bytes]).fault ?? '', pattern))
    it(`refuses ${what} in pieces`, () => assert.match(read(cut(bytes, 1, 3)).fault ?? '', pattern))
  }
})
