import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import pg from 'pg'
import type { Source } from '../../src/core/cluster/failure.js'
import { PgherdError } from '../../src/errors.js'
import { disown, mark, sourceOf, sourceOfMissing, tap } from '../../src/pg/tap.js'
import { failed } from '../support/failed.js'
import { authenticated, dataRow, errorMessage, inPiecesOf, message, noticeMessage, ready } from '../support/messages.js'

/** The socket of a client whose server is the test. */
class Socket extends EventEmitter {
  writable = true
  connect(): void {
    this.emit('connect')
  }
  setNoDelay(): void {}
  write(): boolean {
    return true
  }
  end(): void {
    this.emit('close')
  }
  destroy(error?: Error): void {
    if (error) this.emit('error', error)
    this.emit('close')
  }
  /** The server sends this. */
  sends(...pieces: readonly Buffer[]): void {
    for (const piece of pieces) this.emit('data', piece)
  }
}

function connected(owner: object = {}, tapped = true) {
  const socket = new Socket()
  const client = new pg.Client({ stream: () => socket as never, user: 'u', host: 'h', password: 'p' })
  if (tapped) tap(client, owner)
  client.on('error', () => {})
  const connecting = client.connect()
  connecting.catch(() => {})
  return { client, socket, connecting, greeted: () => socket.sends(authenticated, ready) }
}

const said = (severity: string, code: string, routine: string) =>
  errorMessage({ S: 'x', V: severity, C: code, M: 'm', R: routine })
const source = (severity: 'ERROR' | 'FATAL', code: string, routine: string): Source => {
  return { code, severity, routine, nested: false, begun: false, starting: false }
}

describe('pg: who made an error', () => {
  it('the server, of this statement, on this connection', async () => {
    const owner = {}
    const { client, socket, greeted } = connected(owner)
    greeted()
    const since = mark()
    const query = failed<Error>(client.query('select 1'))
    socket.sends(said('ERROR', '25006', 'PreventCommandIfReadOnly'), ready)
    const error = await query
    assert.deepEqual(sourceOf(error, client, since), source('ERROR', '25006', 'PreventCommandIfReadOnly'))
    assert.deepEqual(sourceOf(error, owner, since), source('ERROR', '25006', 'PreventCommandIfReadOnly'))
    const other = connected().client
    assert.equal(sourceOf(error, other, since), 'unproven', 'another connection')
    assert.equal(sourceOf(error, client, mark()), 'unproven', 'a later statement')
    assert.equal(sourceOf(Object.assign(new Error('m'), error), client, since), 'unproven', 'a copy')
    assert.equal(sourceOf(new Error('m', { cause: error }), client, since), 'unproven', 'wrapped')
  })

  it('frozen, or changed by a listener, it is the same', async () => {
    const { client, socket, greeted } = connected()
    greeted()
    const { connection } = client as unknown as { connection: EventEmitter }
    connection.on('errorMessage', (error) => Object.freeze(Object.assign(error, { code: '57P01', severity: 'FATAL' })))
    // With a promise pg itself fails to write the stack.
    const query = new Promise((resolve) => client.query('select 1', resolve))
    socket.sends(said('ERROR', '22012', 'int4div'), ready)
    assert.deepEqual(sourceOf(await query, client, 0), source('ERROR', '22012', 'int4div'))
  })

  it('each of a pipeline has its own, with notices in between and bytes that come one by one', async () => {
    for (const size of [1, 3, 10_000]) {
      const { client, socket, greeted } = connected()
      ;(client as unknown as { pipeline: boolean }).pipeline = true
      greeted()
      const [a, b, c] = ['a', 'b', 'c'].map((text) => failed<Error>(client.query(text)))
      const notice = noticeMessage({ S: 'WARNING', V: 'WARNING', C: '57P02', M: 'n', R: 'quickdie' })
      const all = [
        ...[notice, said('ERROR', '42P01', 'parserOpenTable'), notice, ready],
        ...[said('ERROR', '25006', 'exec_stmt_raise'), ready, notice],
        ...[said('FATAL', '57P01', 'ProcessInterrupts')],
      ]
      socket.sends(...inPiecesOf(size, Buffer.concat(all)))
      assert.deepEqual(
        [a, b, c].map((each) => each !== undefined),
        [true, true, true]
      )
      assert.deepEqual(sourceOf(await a, client, 0), source('ERROR', '42P01', 'parserOpenTable'))
      assert.deepEqual(sourceOf(await b, client, 0), source('ERROR', '25006', 'exec_stmt_raise'))
      assert.deepEqual(sourceOf(await c, client, 0), source('FATAL', '57P01', 'ProcessInterrupts'))
    }
  })

  it('what is said instead of a welcome speaks of the session', async () => {
    const owner = {}
    const { socket, connecting } = connected(owner)
    socket.sends(errorMessage({ S: 'FATAL', C: '57P03', M: 'the database system is starting up' }))
    const expected = { code: '57P03', severity: null, routine: null, nested: false, begun: false, starting: true }
    assert.deepEqual(sourceOf(await failed<Error>(connecting), owner, 0), expected)
  })

  it('while idle, the socket, and pg itself', async () => {
    const { client, socket, greeted } = connected()
    greeted()
    const told: unknown[] = []
    client.on('error', (error) => told.push(error))
    socket.sends(said('FATAL', '57P01', 'ProcessInterrupts'))
    const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
    const second = connected()
    second.greeted()
    const query = failed<Error>(second.client.query('select 1'))
    second.socket.destroy(reset)
    const third = connected()
    third.greeted()
    const cut = failed<Error>(third.client.query('select 1'))
    third.socket.end()
    assert.deepEqual(sourceOf(told[0], client, 0), source('FATAL', '57P01', 'ProcessInterrupts'))
    assert.equal(sourceOf(await query, second.client, 0), 'socket')
    const error = await cut
    assert.equal(error.message, 'Connection terminated unexpectedly')
    assert.equal(sourceOf(error, third.client, 0), 'driver')
    assert.equal(sourceOf(new Error(error.message), third.client, 0), 'unproven')
  })

  it('a type parser, a password function, a hook: nobody of these', async () => {
    const { client, socket, greeted } = connected()
    greeted()
    const kept = failed<Error>(client.query('select 1'))
    socket.sends(said('FATAL', '57P01', 'ProcessInterrupts'), ready)
    const since = mark()
    assert.equal(sourceOf(await kept, client, since), 'unproven', 'thrown again for another statement')

    const owner = {}
    const thrown = Object.assign(new Error('no token'), { code: 'ECONNREFUSED' })
    const secret = new Socket()
    const asked = new pg.Client({ stream: () => secret as never, user: 'u', password: () => Promise.reject(thrown) })
    tap(asked, owner)
    const connecting = failed<Error>(asked.connect())
    secret.sends(message('R', Buffer.from([0, 0, 0, 3])))
    assert.equal(await connecting, thrown)
    assert.equal(sourceOf(thrown, owner, 0), 'unproven')

    const refused = connected(owner)
    const { connection } = refused.client as unknown as { connection: EventEmitter }
    const weak = new PgherdError('PGHERD_WEAK_AUTH', 'refused')
    connection.emit('error', weak)
    assert.equal(sourceOf(await failed<Error>(refused.connecting), owner, 0), 'pgherd')

    const hooked = Object.assign(new Error('timeout expired'))
    assert.equal(sourceOfMissing(hooked, owner, 0), 'driver', 'pg-pool is the only other maker')
    disown(hooked)
    assert.equal(sourceOfMissing(hooked, owner, 0), 'unproven')
    for (const odd of [undefined, null, 'timeout expired', 7]) assert.equal(sourceOfMissing(odd, owner, 0), 'unproven')
  })

  it('what the parser gets is what it gets without a tap, also behind a listener that throws', () => {
    const bytes = Buffer.concat([
      ...[authenticated, ready, dataRow('a'), said('ERROR', '22012', 'int4div'), dataRow('b'), ready],
      ...[noticeMessage({ S: 'x', M: 'n' }), said('ERROR', '23505', 'x'), ready, message('C', 'SELECT 1\0'), ready],
    ])
    for (const throws of [false, true]) {
      for (const size of [1, 4, 9, 40, bytes.length]) {
        const [plain, tapped] = [false, true].map((is) => heard(is, size, throws))
        assert.deepEqual(tapped, plain, `pieces of ${size}, throws: ${throws}`)
      }
    }

    function heard(is: boolean, size: number, throws: boolean): unknown[] {
      const { client, socket } = connected({}, is)
      const seen: unknown[] = []
      const { connection } = client as unknown as { connection: EventEmitter }
      let thrown = !throws
      connection.on('message', ({ name, code, fields }: Record<string, unknown>) => {
        seen.push([name, code, fields])
        if (thrown || name !== 'error') return
        thrown = true
        throw new Error('a listener throws')
      })
      for (const piece of inPiecesOf(size, bytes)) {
        try {
          socket.sends(piece)
        } catch (error) {
          assert.match(String(error), /a listener throws/)
        }
      }
      return seen
    }
  })
})
