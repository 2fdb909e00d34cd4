import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { type AddressInfo, createServer, type Server, Socket } from 'node:net'
import type { Client } from 'pg'
import { systemClock } from '../../src/clock.js'
import { reset, watch, wireOf } from '../../src/pool/wire.js'
import { eventually } from '../support/pools.js'

const silent = { ended() {}, acknowledged() {}, standby() {}, defines: () => false, defined() {}, legible() {} }

/** As much of a pg client as a wire needs: an emitter with a connection that has a stream. */
function clientOn(stream: Socket): { client: Client; connection: EventEmitter } {
  const connection = Object.assign(new EventEmitter(), { stream })
  return { client: Object.assign(new EventEmitter(), { connection }) as unknown as Client, connection }
}

describe('wire: reset', () => {
  let server: Server
  beforeEach(async () => {
    server = createServer((socket) => socket.on('error', () => {}).resume())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  afterEach(() => {
    server.close()
  })

  async function connected(): Promise<{ socket: Socket; client: Client }> {
    const socket = new Socket()
    const { client } = clientOn(socket)
    watch(client, systemClock, silent)
    socket.on('error', () => {})
    socket.connect((server.address() as AddressInfo).port, '127.0.0.1')
    await once(socket, 'connect')
    return { socket, client }
  }
  const handles = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length

  it('sends a reset, not an end: the server drops what it has not read yet', async () => {
    const told: string[] = []
    const listener = createServer({ allowHalfOpen: true }, (peer) => {
      peer.on('error', (error: Error & { code?: string }) => told.push(error.code ?? error.message))
      peer.on('end', () => told.push('end'))
      peer.on('data', () => told.push('data'))
    })
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const socket = new Socket()
    const { client } = clientOn(socket)
    watch(client, systemClock, silent)
    socket.connect((listener.address() as AddressInfo).port, '127.0.0.1')
    await once(socket, 'connect')
    socket.write('insert')
    // Data and reset in one turn would look like an end to a server written with libuv.
    await eventually('the server has read', () => told.length === 1)
    reset(client)
    await eventually('the server is told', () => told.length === 2)
    listener.close()
    assert.deepEqual(told, ['data', 'ECONNRESET'])
  })

  it('closes a socket that is already ending, where a reset is refused and its handle would stay for ever', async () => {
    const before = handles()
    const { socket, client } = await connected()
    socket.end()
    reset(client)
    await once(socket, 'close')
    await eventually('no handle is left', () => handles() <= before)
  })

  it('closes a socket that is still connecting', async () => {
    const socket = new Socket()
    const { client } = clientOn(socket)
    watch(client, systemClock, silent)
    socket.on('error', () => {})
    socket.connect((server.address() as AddressInfo).port, '127.0.0.1')
    reset(client)
    await once(socket, 'close')
  })
})

describe('wire: what it notices', () => {
  function watched() {
    const { client, connection } = clientOn(new Socket())
    const texts: (string | null)[] = []
    const standby: boolean[] = []
    const ended: string[] = []
    const legible: boolean[] = []
    let defined = 0
    watch(client, systemClock, {
      ended: (text) => ended.push(text),
      acknowledged: (text) => texts.push(text),
      standby: (is) => standby.push(is),
      defines: (text) => text.startsWith('create'),
      defined: () => defined++,
      legible: (is) => legible.push(is),
    })
    connection.emit('readyForQuery', { status: 'I' })
    const wire = wireOf(client)
    assert.ok(wire)
    const run = (text: string, status: string) => {
      Object.assign(client, { _activeQuery: { text } })
      connection.emit('commandComplete', {})
      const completed = wire.completed
      connection.emit('readyForQuery', { status })
      return completed
    }
    return { connection, wire, texts, ended, standby, legible, run, definitions: () => defined }
  }

  it('a statement counts as acknowledged when the session is idle again, not before', () => {
    const { texts, ended, run } = watched()
    run('begin', 'T')
    run('insert into t values (1)', 'T')
    assert.deepEqual(texts, [])
    run('commit', 'I')
    assert.deepEqual(texts, ['commit'])
    assert.deepEqual(ended, ['begin', 'insert into t values (1)', 'commit'])
  })
  it('a notification means that somebody has committed', () => {
    const { connection, texts } = watched()
    connection.emit('notification', {})
    assert.deepEqual(texts, [null])
  })
  it('definitions count as changed when the transaction that changed them ends', () => {
    const { definitions, run } = watched()
    run('create view v as select 1', 'I')
    assert.equal(definitions(), 1)
    run('begin', 'T')
    run('create view w as select 1', 'T')
    run('insert into t values (1)', 'T')
    assert.equal(definitions(), 1)
    run('commit', 'I')
    run('select 1', 'I')
    assert.equal(definitions(), 2)
    run('begin', 'T')
    run('create view x as select 1', 'T')
    run('rollback', 'I')
    run('select 1', 'I')
    assert.equal(definitions(), 2, 'what was rolled back changed nothing')
  })
  it('a session is legible while it reads literals as the lexer does, and again when it has ended', () => {
    const { connection, legible } = watched()
    const say = (parameterName: string, parameterValue: string) =>
      connection.emit('parameterStatus', { parameterName, parameterValue })
    say('standard_conforming_strings', 'on')
    say('client_encoding', 'UTF8')
    assert.deepEqual(legible, [])
    say('client_encoding', 'SJIS')
    say('standard_conforming_strings', 'off')
    say('client_encoding', 'UTF8')
    assert.deepEqual(legible, [false])
    say('standard_conforming_strings', 'on')
    assert.deepEqual(legible, [false, true])
    say('standard_conforming_strings', 'off')
    connection.emit('end')
    assert.deepEqual(legible, [false, true, false, true])
  })
  it('becoming ready is no statement', () => assert.deepEqual(watched().texts, []))
  it('what the pool knows to be a read does not count', () => {
    const { wire, texts, run } = watched()
    wire.reading = true
    run('select 1', 'I')
    assert.deepEqual(texts, [])
  })
  it('CommandComplete is noticed until the session is ready', () => {
    const { wire, run } = watched()
    assert.equal(run('select 1', 'I'), true)
    assert.equal(wire.completed, false)
  })
  it('a session on a standby writes nothing, until it says that it is on none any more', () => {
    const { connection, texts, standby, run } = watched()
    connection.emit('parameterStatus', { parameterName: 'in_hot_standby', parameterValue: 'on' })
    run('select my_function()', 'I')
    assert.deepEqual([texts, standby], [[], [true]])
    connection.emit('parameterStatus', { parameterName: 'in_hot_standby', parameterValue: 'off' })
    run('select my_function()', 'I')
    assert.deepEqual([texts, standby], [['select my_function()'], [true, false]])
  })
})
