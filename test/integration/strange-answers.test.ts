// A server that logs in as one does, or nearly, and then says what no server says to a statement: the statement fails with what
// became of it, and nothing is thrown where nothing catches it.

import assert from 'node:assert/strict'
import { createServer, type Server, type Socket } from 'node:net'
import type { Pool } from 'pg'
import Cursor from 'pg-cursor'
import { authenticated, dataRow, errorMessage, message, ready } from '../support/messages.js'
import { endPools, eventually, tracked } from '../support/pools.js'

const int16 = (value: number) => Buffer.from([value >> 8, value & 255])
const int32 = (value: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const column = (name: string) => Buffer.concat([Buffer.from(`${name}\0`), Buffer.alloc(18)])
const described = (...names: string[]) => message('T', Buffer.concat([int16(names.length), ...names.map(column)]))
const selected = message('C', 'SELECT 1\0')
const counting = (type: string, size: number) =>
  message(type, Buffer.concat([int16(40_000), Buffer.alloc(40_000 * size)]))

/** What it says to the first packet, and to each message behind it. */
type Speaks = (type: string, body: Buffer) => Buffer | null

class Odd {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  /** Statements that came. */
  readonly texts: string[] = []
  open = 0

  constructor(speaks: () => Speaks) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      this.open++
      socket.on('error', () => {}).on('close', () => this.open--)
      const answer = speaks()
      let begun = false
      let bytes = Buffer.alloc(0)
      socket.on('data', (chunk) => {
        bytes = Buffer.concat([bytes, chunk])
        for (;;) {
          const header = begun ? 1 : 0
          if (bytes.length < header + 4 || bytes.length < header + bytes.readUInt32BE(header)) return
          const end = header + bytes.readUInt32BE(header)
          const [type, body] = [begun ? String.fromCharCode(bytes[0] ?? 0) : '', bytes.subarray(header + 4, end)]
          bytes = bytes.subarray(end)
          begun = true
          if (type === 'Q' || type === 'P') this.texts.push(body.toString().replaceAll('\0', ''))
          const said = answer(type, body)
          if (said !== null) socket.write(said)
        }
      })
    })
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

describe('a server whose answers are strange', function () {
  this.timeout(10_000)
  const servers: Odd[] = []
  async function poolOf(speaks: () => Speaks): Promise<{ pool: Pool; server: Odd }> {
    const server = new Odd(speaks)
    servers.push(server)
    const port = await server.listen()
    const role = { user: 'u', password: 'secret', database: 'd', host: '127.0.0.1' }
    const pool = tracked({ ...role, port, connectionTimeoutMillis: 2000, failoverTimeoutMillis: 200 } as object)
    return { pool: pool as unknown as Pool, server }
  }
  afterEach(async () => {
    await endPools()
    await Promise.all(servers.splice(0).map((server) => server.close()))
  })

  const answers =
    (...bytes: Buffer[]) =>
    (): Speaks =>
    (type) =>
      type === '' ? Buffer.concat([authenticated, ready]) : 'QSH'.includes(type) ? Buffer.concat(bytes) : null

  const STRANGE: readonly (readonly [what: string, answer: Buffer])[] = [
    ['a row of 40,000 values', Buffer.concat([described('a'), counting('D', 4)])],
    ['40,000 columns', counting('T', 19)],
    ['40,000 parameters', counting('t', 4)],
    ['COPY of 40,000 columns', message('H', Buffer.concat([Buffer.alloc(1), int16(40_000), Buffer.alloc(80_000)]))],
    ['more values than columns', Buffer.concat([described('a'), dataRow('x', 'y'), selected])],
    ['values for no column', Buffer.concat([described(), dataRow('x'), selected])],
    ['a row that was not described', Buffer.concat([dataRow('x'), selected])],
    ['a row behind the end', Buffer.concat([described('a'), dataRow('x'), selected, dataRow('y')])],
  ]
  for (const [what, answer] of STRANGE) {
    it(`${what}: a write that was sent is said to be undecided`, async () => {
      const { pool, server } = await poolOf(answers(answer, ready))
      const failed = await pool.query("insert into t values ('x')").catch((error) => error)
      assert.deepEqual([failed.code, failed.outcome], ['PGHERD_PROTOCOL', 'unknown'], String(failed))
      assert.equal(server.texts.filter((text) => text.startsWith('insert')).length, 1)
    })
    it(`${what}: a cursor fails, and throws nothing at the socket`, async () => {
      const { pool } = await poolOf(answers(answer, ready))
      const client = await pool.connect()
      const cursor = client.query(new Cursor('select 1'))
      await assert.rejects(cursor.read(10), { code: 'PGHERD_PROTOCOL' })
      client.release(true)
    })
  }

  it('a row that a cursor has not asked for', async () => {
    const { pool } = await poolOf(answers(described('a'), dataRow('x')))
    const client = await pool.connect()
    const failed = new Promise((resolve) => client.on('error', resolve))
    const cursor = client.query(new Cursor('select 1'))
    assert.equal(((await failed) as { code?: string }).code, 'PGHERD_PROTOCOL')
    await assert.rejects(cursor.read(1), { code: 'PGHERD_PROTOCOL' })
    client.release(true)
  })

  const welcome = Buffer.concat([authenticated, ready])
  const sasl = (number: number, text: string) => message('R', Buffer.concat([int32(number), Buffer.from(text)]))
  const LOGINS: readonly (readonly [what: string, error: RegExp, speaks: () => Speaks])[] = [
    [
      'it cannot prove that it knows the password, and lets us in',
      /server signature does not match/,
      () => (type, body) => {
        if (type === '') return sasl(10, 'SCRAM-SHA-256\0\0')
        if (type !== 'p') return Buffer.concat([described('a'), dataRow('x'), selected, ready])
        const text = body.toString()
        if (text.includes(',p=')) return Buffer.concat([sasl(12, `v=${Buffer.alloc(32).toString('base64')}`), welcome])
        return sasl(11, `r=${/r=(.*)$/.exec(text)?.[1]}more,s=c2FsdA==,i=4096`)
      },
    ],
    [
      'it refuses the login, and lets us in',
      /no entry/,
      () => (type) => {
        const refusal = errorMessage({ S: 'FATAL', V: 'FATAL', C: '28000', M: 'no entry' })
        return Buffer.concat(type === '' ? [refusal, welcome] : [described('a'), dataRow('x'), selected, ready])
      },
    ],
  ]
  for (const [what, error, speaks] of LOGINS) {
    it(`${what}: nothing is sent there, and the connection is closed`, async () => {
      const { pool, server } = await poolOf(speaks)
      await assert.rejects(pool.query('select 1'), { message: error, outcome: 'not-sent' })
      await pool.end()
      await eventually('it is closed', () => server.open === 0)
      assert.deepEqual(server.texts, [])
    })
  }
})
