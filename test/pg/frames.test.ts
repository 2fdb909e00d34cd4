import assert from 'node:assert/strict'
import { constants } from 'node:buffer'
import { EventEmitter } from 'node:events'
import pg from 'pg'
import type { Spoken } from '../../src/core/cluster/sqlstates.js'
import { Frames, STRING_BYTES, type Terms } from '../../src/pg/frames.js'
import { seeded } from '../support/grammar.js'
import { authenticated, dataRow, errorMessage, inPiecesOf, message, noticeMessage, ready } from '../support/messages.js'

const FATAL = { S: 'FATAL', V: 'FATAL', C: '57P01', M: 'terminating', F: 'postgres.c', R: 'ProcessInterrupts' }
const GERMAN = { S: 'FEHLER', V: 'ERROR', C: '42P01', M: 'Relation »nix« existiert nicht', R: 'parserOpenTable' }
const NESTED = { ...GERMAN, W: 'PL/pgSQL function f() line 1 at RAISE', R: 'exec_stmt_raise' }

const TERMS: Terms = { limitBytes: 1 << 20, refusesAuth: () => null, expects: () => true }

interface Walk {
  /** What was given out. */
  readonly bytes: Buffer
  /** Every error that was found, and where in the stream it ends. */
  readonly errors: (readonly [at: number, error: Spoken])[]
  readonly fault: Frames['fault']
}

function walked(pieces: readonly Buffer[], terms: Partial<Terms> = {}): Walk {
  const frames = new Frames({ ...TERMS, ...terms })
  const given: Buffer[] = []
  const errors: (readonly [number, Spoken])[] = []
  let before = 0
  for (const piece of pieces) {
    frames.push(piece)
    for (let whole = frames.next(); whole !== null; whole = frames.next()) {
      given.push(Buffer.from(whole))
      before += whole.length
      if (frames.error !== null) errors.push([before, frames.error])
    }
  }
  return { bytes: Buffer.concat(given), errors, fault: frames.fault }
}

const spoken = (code: string | null, severity: Spoken['severity'], routine: string | null, nested = false): Spoken => {
  return { code, severity, routine, nested, begun: false, starting: false }
}

describe('pg: errors among what a server sends', () => {
  const parts = [
    authenticated,
    ready,
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
    [ends[4], spoken('42P01', 'ERROR', 'parserOpenTable')],
    [ends[7], spoken('42P01', 'ERROR', 'exec_stmt_raise', true)],
    [ends[10], spoken('57P01', 'FATAL', 'ProcessInterrupts')],
    [ends[11], spoken('42P01', 'ERROR', 'parserOpenTable')],
  ]
  for (const size of [1, 2, 3, 4, 5, 6, 7, 11, 64, 1000, bytes.length]) {
    it(`in pieces of ${size}`, () => {
      const found = walked(inPiecesOf(size, bytes))
      assert.deepEqual([found.errors, found.fault], [expected, null])
      assert.ok(found.bytes.equals(bytes))
    })
  }
  it('cut in two at every byte', () => {
    const short = Buffer.concat(parts.slice(0, 11))
    for (let cut = 0; cut <= short.length; cut++) {
      const found = walked([short.subarray(0, cut), short.subarray(cut)].filter(({ length }) => length > 0))
      assert.deepEqual(found.errors, expected.slice(0, 3), `cut at ${cut}`)
      assert.ok(found.bytes.equals(short), `cut at ${cut}`)
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
    for (const [all, error] of rows) assert.deepEqual(walked([errorMessage(all)]).errors[0]?.[1], error)
  })
})

const int = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const auth = (number: number, more: Buffer | string = '') =>
  message('R', Buffer.concat([int(number), Buffer.from(more)]))
const header = (type: string, length: number) => Buffer.concat([Buffer.from(type, 'latin1'), int(length | 0)])
const counting = (type: string, count: number, size: number, byte: number) =>
  message(type, Buffer.concat([Buffer.from([count >> 8, count & 255]), Buffer.alloc(count * size, byte)]))
const described = (...names: string[]) =>
  message('T', Buffer.concat([Buffer.from([0, names.length]), ...names.map(column)]))
const column = (name: string) => Buffer.concat([Buffer.from(`${name}\0`), Buffer.alloc(18)])

describe('pg: what a server may not send', () => {
  const LOGIN: readonly (readonly [what: string, bytes: Buffer, fault: RegExp])[] = [
    ['an error without its zero', message('E', 'SFATAL'), /an error that is not well formed/],
    ['an error whose last string has no end', message('E', 'SFATAL\0Mx'), /not well formed/],
    ['an error that goes on behind its end', message('E', 'SFATAL\0\0x'), /not well formed/],
    ['an error without a byte', message('E'), /not well formed/],
    ['a notice without its zero', message('N', 'SWARNING'), /a notice that is not well formed/],
    [
      'a notification before the login',
      message('A', Buffer.concat([int(1), Buffer.from('a\0b\0')])),
      /before the login/,
    ],
    ['a row before the login', dataRow('x'), /a data row, which cannot come before the login/],
    ['a welcome without a login', ready, /a welcome without a login/],
    ['a length of three', header('E', 3), /an error of an impossible length \(3\)/],
    ['a length of zero', header('R', 0), /impossible length \(0\)/],
    ['a length that is negative', header('N', -1), /of 4294967295 bytes, where at most 1048576 are taken/],
    ['a megabyte and one', header('S', (1 << 20) + 1), /of 1048577 bytes/],
    ['a kind that is not known', header('\x00', 4), /of an unknown kind \(0x00\)/],
    ['HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), /a message 'H'|a COPY TO STDOUT/],
    ['SSH', Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'), /of \d+ bytes/],
    ['Kerberos V4', auth(1), /authentication of kind 1, which the pg driver does not have/],
    ['Kerberos V5', auth(2), /authentication of kind 2/],
    ['GSSAPI', auth(7), /GSS authentication, which the pg driver does not have/],
    ['more of GSSAPI', auth(8, 'xx'), /authentication of kind 8/],
    ['SSPI', auth(9), /SSPI authentication/],
    ['a kind of the future', auth(99), /authentication of kind 99/],
    ['an md5 request without its salt', auth(5), /an authentication request that is not well formed/],
    ['an md5 request with half a salt', auth(5, 'ab'), /not well formed/],
    ['a request for a password with more in it', auth(3, 'x'), /not well formed/],
    ['an authentication request without a number', message('R', 'ab'), /not well formed/],
    ['SASL mechanisms without an end', auth(10, 'SCRAM-SHA-256\0'), /not well formed/],
    ['SASL mechanisms without a zero', auth(10, 'SCRAM-SHA-256'), /not well formed/],
    ['a part of SASL that was not begun', auth(11, 'r=x'), /a part of a login that was not begun/],
    ['an end of SASL that was not begun', auth(12, 'v=x'), /a part of a login that was not begun/],
    [
      'a welcome in the middle of SASL',
      Buffer.concat([auth(10, 'SCRAM-SHA-256\0\0'), auth(11, 'r'), authenticated]),
      /before it has shown/,
    ],
    [
      'another request in the middle of SASL',
      Buffer.concat([auth(10, 'SCRAM-SHA-256\0\0'), auth(3)]),
      /another request in the middle/,
    ],
    ['a second login', Buffer.concat([authenticated, auth(3)]), /a second login/],
    [
      'a welcome behind a refusal',
      Buffer.concat([errorMessage(FATAL), authenticated]),
      /behind its refusal of the login/,
    ],
    [
      'a ready-for-query behind a refusal in the welcome',
      Buffer.concat([authenticated, errorMessage(GERMAN), ready]),
      /behind its refusal of the login/,
    ],
    ['another protocol', message('v', Buffer.concat([int(196_608), int(0)])), /which pg has not asked for/],
    ['a parameter without a value', message('S', 'a\0'), /a parameter status that is not well formed/],
    ['a parameter with two', message('S', 'a\0b\0c\0'), /not well formed/],
    ['a cancel key without a secret', message('K', int(1)), /a cancel key that is not well formed/],
    ['a status of no kind', Buffer.concat([authenticated, message('Z', 'X')]), /not well formed/],
    ['a status of two bytes', Buffer.concat([authenticated, message('Z', 'II')]), /not well formed/],
  ]
  const LATER: readonly (readonly [what: string, bytes: Buffer, fault: RegExp])[] = [
    ['a second login', auth(3), /an authentication request, which cannot come behind the login/],
    ['another cancel key', message('K', Buffer.alloc(8)), /behind the login/],
    [
      'a row with fewer values than it counts',
      message('D', Buffer.from([0, 2, 0, 0, 0, 1, 65])),
      /a data row that is not/,
    ],
    ['a row with more', message('D', Buffer.from([0, 1, 0, 0, 0, 1, 65, 66])), /not well formed/],
    ['a row whose value is too long', message('D', Buffer.from([0, 1, 0, 0, 0, 9, 65])), /not well formed/],
    ['a row whose value has a length of -2', message('D', Buffer.from([0, 1, 255, 255, 255, 254])), /not well formed/],
    ['a row with a count alone', message('D', Buffer.from([0])), /not well formed/],
    ['a row of 32,768 values', counting('D', 0x8000, 4, 255), /not well formed/],
    ['a row description of 32,768 columns', counting('T', 0x8000, 19, 0), /not well formed/],
    ['32,768 parameters', counting('t', 0x8000, 4, 0), /not well formed/],
    [
      'fewer values than columns',
      Buffer.concat([described('a', 'b'), dataRow('x')]),
      /another number of values \(1\) than it has described \(2\)/,
    ],
    ['more, behind a row that fits', Buffer.concat([described('a'), dataRow('x'), dataRow('x', 'y')]), /\(2\) than/],
    [
      'a value for no column',
      Buffer.concat([described(), dataRow(), dataRow('x')]),
      /\(1\) than it has described \(0\)/,
    ],
    ['a row of 65,535 values', message('D', Buffer.from([255, 255])), /not well formed/],
    ['columns without a zero', message('T', Buffer.from([0, 1, 65])), /a row description that is not/],
    [
      'fewer columns than it counts',
      message('T', Buffer.concat([Buffer.from([0, 2]), column('a')])),
      /not well formed/,
    ],
    [
      'columns that are cut',
      message('T', Buffer.concat([Buffer.from([0, 1]), column('a').subarray(0, 9)])),
      /not well formed/,
    ],
    ['a tag without a zero', message('C', 'SELECT 1'), /a command completion that is not/],
    ['a tag with two', message('C', 'SELECT 1\0x\0'), /not well formed/],
    ['parameters that are not there', message('t', Buffer.from([0, 2, 0, 0, 0, 23])), /not well formed/],
    ['COPY with formats that are not there', message('G', Buffer.from([0, 0, 3, 0, 0])), /not well formed/],
    ['a notification without a payload', message('A', Buffer.concat([int(1), Buffer.from('a\0')])), /not well formed/],
    ['something in a message that has nothing', message('2', 'x'), /not well formed/],
    ['two gigabytes', header('D', 0x7fffffff), /a data row of 2147483647 bytes, where at most 1048576 are taken/],
    ['an answer to a function call', message('V', int(-1)), /of an unknown kind \(0x56\)/],
  ]
  for (const [phase, rows, before] of [
    ['in place of a login', LOGIN, Buffer.alloc(0)],
    ['behind it', LATER, Buffer.concat([authenticated, ready])],
  ] as const) {
    for (const [what, bytes, fault] of rows) {
      it(`${phase}: ${what}`, () => {
        for (const size of [1, 3, 10_000]) {
          const found = walked(inPiecesOf(size, Buffer.concat([before, bytes, Buffer.alloc(64, 'E')])))
          assert.match(found.fault?.text ?? '', fault)
        }
      })
    }
  }

  it('what a statement has no use for', () => {
    const bytes = Buffer.concat([authenticated, ready, message('G', Buffer.from([0, 0, 0]))])
    assert.match(walked([bytes], { expects: () => false }).fault?.text ?? '', /has no use for it/)
    assert.equal(walked([bytes]).fault, null)
  })

  it('rows that no description came before: asked for each, also behind the end of a result', () => {
    const begin = [authenticated, ready, described('a')]
    const given: string[] = []
    const expects: Terms['expects'] = (letter) => {
      given.push(letter)
      return letter !== 'bare D'
    }
    const row = dataRow('x')
    for (const end of [message('C', 'SELECT 1\0'), message('n'), ready, errorMessage(GERMAN)]) {
      assert.match(walked([Buffer.concat([...begin, row, end, row])], { expects }).fault?.text ?? '', /no use for it/)
    }
    given.length = 0
    // A portal that is suspended goes on with the same columns.
    const more = [row, row, message('s'), row, row, message('C', 'SELECT 1\0'), described(), dataRow()]
    assert.equal(walked([Buffer.concat([...begin, ...more])], { expects }).fault, null)
    assert.deepEqual(given, ['T', 'D', 's', 'C', 'T', 'D'])
    assert.equal(walked([Buffer.concat([authenticated, ready, row, row])]).fault, null)
  })

  it('nothing more of a login that was given up; a session goes on', () => {
    const frames = new Frames(TERMS)
    frames.push(Buffer.concat([auth(10, 'SCRAM-SHA-256\0\0'), auth(12, 'v=1'), authenticated, ready]))
    assert.notEqual(frames.next(), null)
    assert.equal(frames.giveUp(), true)
    assert.equal(frames.next(), null)
    const other = new Frames(TERMS)
    other.push(Buffer.concat([authenticated, ready, ready]))
    while (other.next() !== null);
    assert.equal(other.giveUp(), false)
    other.push(ready)
    assert.deepEqual(other.next(), ready)
  })

  it('what pg could make no string of: refused for its size', () => {
    assert.ok(STRING_BYTES <= constants.MAX_STRING_LENGTH)
    const length = STRING_BYTES + 1
    const frames = new Frames({ ...TERMS, limitBytes: 1 << 30 })
    frames.push(Buffer.concat([authenticated, ready, described('a'), dataRow('x')]))
    while (frames.next() !== null);
    frames.push(Buffer.concat([header('N', length + 10)]))
    assert.equal(frames.next(), null)
    assert.equal(frames.fault?.kind, 'size')
    assert.match(frames.fault?.text ?? '', /a message of \d+ bytes, where pg reads strings of at most/)
  })

  it('a login of a kind that is refused', () => {
    const refusesAuth = (method: string) => `no ${method}`
    for (const [bytes, why] of [
      [authenticated, 'no none'],
      [auth(3), 'no password'],
      [auth(5, 'salt'), 'no md5'],
      [auth(10, 'SCRAM-SHA-256\0\0'), 'no scram-sha-256'],
    ] as const) {
      assert.deepEqual(walked([bytes], { refusesAuth }).fault, { kind: 'refused', text: why })
    }
    // Asked and answered, a welcome is no login without being asked.
    const asked = Buffer.concat([auth(5, 'salt'), authenticated, ready])
    assert.equal(walked([asked], { refusesAuth: (method) => (method === 'none' ? 'no' : null) }).fault, null)
  })

  it('gives nothing out behind a fault, and looks at nothing', () => {
    const frames = new Frames(TERMS)
    frames.push(Buffer.concat([authenticated, message('E', 'S'), ready]))
    assert.deepEqual(frames.next(), authenticated)
    assert.equal(frames.next(), null)
    assert.notEqual(frames.fault, null)
    frames.push(ready)
    assert.equal(frames.next(), null)
  })

  it('a message that is announced and does not come takes no room', () => {
    const frames = new Frames({ ...TERMS, limitBytes: 1 << 30 })
    frames.push(Buffer.concat([authenticated, ready]))
    while (frames.next() !== null);
    const before = process.memoryUsage().arrayBuffers
    frames.push(header('D', 1 << 30))
    frames.next()
    for (let i = 0; i < 1000; i++) {
      frames.push(Buffer.from([0]))
      assert.equal(frames.next(), null)
    }
    assert.ok(process.memoryUsage().arrayBuffers - before < 1 << 20)
  })
})

/** pg's own parser reads all of it. */
function parsed(bytes: Buffer): void {
  const stream = new EventEmitter()
  const connection = new pg.Connection({ stream: stream as never })
  connection.on('error', () => {})
  ;(connection as unknown as { attachListeners(stream: EventEmitter): void }).attachListeners(stream)
  stream.emit('data', bytes)
}

describe("pg: what is given out never throws in pg's parser, and nothing well formed is kept back", () => {
  const random = seeded(14)
  const parts = [
    errorMessage(FATAL),
    noticeMessage(GERMAN),
    ready,
    dataRow('a', null, ''),
    message('T', Buffer.concat([Buffer.from([0, 2]), column('a'), column('bb')])),
    message('C', 'INSERT 0 1\0'),
    message('t', Buffer.from([0, 1, 0, 0, 0, 23])),
    message('G', Buffer.from([0, 0, 1, 0, 0])),
    message('A', Buffer.concat([int(7), Buffer.from('channel\0payload\0')])),
    message('S', 'TimeZone\0UTC\0'),
    message('d', 'copied'),
    message('1'),
    message('2'),
    message('n'),
    message('s'),
    message('I'),
  ]
  it('20,000 streams that were changed by chance', () => {
    const greeting = [
      auth(10, 'SCRAM-SHA-256\0\0'),
      auth(11, 'r=1'),
      auth(12, 'v=1'),
      authenticated,
      message('K', Buffer.alloc(8)),
    ]
    let refused = 0
    for (let i = 0; i < 20_000; i++) {
      const bytes = Buffer.concat([
        ...greeting,
        ready,
        ...Array.from({ length: 1 + random.below(6) }, () => random.pick(parts)),
      ])
      for (let changes = random.below(4); changes > 0; changes--) bytes[random.below(bytes.length)] = random.below(256)
      const cut = random.below(bytes.length)
      const { bytes: given, fault } = walked([bytes.subarray(0, cut), bytes.subarray(cut)])
      if (fault !== null) refused++
      assert.doesNotThrow(() => parsed(given), `${bytes.toString('hex')} cut at ${cut}`)
    }
    assert.ok(refused > 1000 && refused < 19_000, `${refused} of 20,000`)
  })
})
