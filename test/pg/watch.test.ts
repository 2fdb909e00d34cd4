import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { type AddressInfo, createServer, type Server, Socket } from 'node:net'
import type { Client } from 'pg'
import { Scope } from '../../src/core/session/causal-scope.js'
import { Fact, type ServerSession, type Texts } from '../../src/core/session/server-session.js'
import { reset } from '../../src/pg/socket.js'
import { type SessionListener, sessionOf, watch } from '../../src/pg/watch.js'
import { systemClock } from '../../src/runtime/clock.js'
import { eventually } from '../support/pools.js'

const silent: SessionListener = { heard() {}, notified() {}, standby() {}, legible() {} }
const NOTHING: Texts = {
  writes: () => false,
  undone: () => 'whole',
  defines: () => false,
  effect: () => 'none',
  reads: true,
}

/** As much of a pg client as a session needs: an emitter with a connection that has a stream. */
function clientOn(stream: Socket): { client: Client; connection: EventEmitter } {
  const connection = Object.assign(new EventEmitter(), { stream })
  return { client: Object.assign(new EventEmitter(), { connection }) as unknown as Client, connection }
}

describe('socket: reset', () => {
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
    watch(client, systemClock, NOTHING, silent)
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
    watch(client, systemClock, NOTHING, silent)
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
    watch(client, systemClock, NOTHING, silent)
    socket.on('error', () => {})
    socket.connect((server.address() as AddressInfo).port, '127.0.0.1')
    reset(client)
    await once(socket, 'close')
  })
})

describe('session: what it notices', () => {
  function watched() {
    const { client, connection } = clientOn(new Socket())
    let acknowledged = 0
    let doubted = 0
    let notified = 0
    let read = 0
    const standby: boolean[] = []
    const ended: string[] = []
    const legible: boolean[] = []
    let defined = 0
    const texts: Texts = {
      writes: (text) => text === null || /^(?:insert|create|call|select f)/.test(text),
      undone: (text) => (text.startsWith('call') ? 'parts' : /dblink/.test(text) ? 'outside' : 'whole'),
      defines: (text) => text.startsWith('create'),
      effect: () => 'none',
      reads: true,
    }
    watch(client, systemClock, texts, {
      heard(_, facts, text) {
        if (facts & Fact.ended && text !== null) ended.push(text)
        if (facts & Fact.acknowledged) acknowledged++
        if (facts & Fact.doubted) doubted++
        if (facts & Fact.read) read++
        if (facts & Fact.defined) defined++
      },
      notified: () => notified++,
      standby: (is) => standby.push(is),
      legible: (is) => legible.push(is),
    })
    connection.emit('readyForQuery', { status: 'I' })
    const session: ServerSession | undefined = sessionOf(client)
    assert.ok(session)
    const begin = (text: string) => Object.assign(client, { _activeQuery: { text }, readyForQuery: false })
    const run = (text: string, status: string, tag = text.split(' ')[0]?.toUpperCase()) => {
      begin(text)
      connection.emit('commandComplete', { text: tag })
      const completed = session.exchange.completed > 0
      connection.emit('readyForQuery', { status })
      return completed
    }
    const fail = (text: string, status: string) => {
      begin(text)
      connection.emit('errorMessage', {})
      Object.assign(client, { _activeQuery: null })
      connection.emit('readyForQuery', { status })
    }
    const counts = {
      acknowledged: () => acknowledged,
      doubted: () => doubted,
      notified: () => notified,
      read: () => read,
      definitions: () => defined,
    }
    return { connection, session, ended, standby, legible, begin, run, fail, ...counts }
  }

  it('a write counts as acknowledged when the session is idle again, not before', () => {
    const { acknowledged, ended, run } = watched()
    run('begin', 'T')
    run('insert into t values (1)', 'T')
    assert.equal(acknowledged(), 0)
    run('commit', 'I')
    assert.equal(acknowledged(), 1)
    assert.deepEqual(ended, ['begin', 'insert into t values (1)', 'commit'])
  })
  it('a transaction without a write does not count, nor one that was rolled back, also by a COMMIT', () => {
    const { acknowledged, run, fail } = watched()
    run('begin', 'T')
    run('select 1', 'T')
    run('commit', 'I')
    run('begin', 'T')
    run('insert into t values (1)', 'T')
    run('rollback', 'I')
    run('begin', 'T')
    run('insert into t values (1)', 'T')
    fail('insert into t values (1)', 'E')
    run('commit', 'I', 'ROLLBACK')
    assert.equal(acknowledged(), 0)
    run('insert into t values (1)', 'I')
    assert.equal(acknowledged(), 1, 'nothing of it is left over for the next')
  })
  it('a write that failed does not count, unless a part of it may have been committed', () => {
    const { acknowledged, fail } = watched()
    fail('insert into t values (1)', 'I')
    assert.equal(acknowledged(), 0)
    fail('call work()', 'I')
    assert.equal(acknowledged(), 1)
  })
  it('a commit counts at once, also where the next transaction begins in the same breath, whatever becomes of that', () => {
    for (const text of ['commit and chain', 'end work and chain', '/* c */ end and chain', 'commit; begin']) {
      const { acknowledged, definitions, run } = watched()
      run('begin', 'T')
      run('create view v as select 1', 'T')
      run(text, 'T', 'COMMIT')
      assert.deepEqual([acknowledged(), definitions()], [1, 1], text)
      run('rollback', 'I')
      assert.equal(acknowledged(), 1, text)
    }
  })
  it('what acts outside of its transaction counts at once, whatever becomes of that', () => {
    for (const text of ['select f from dblink_exec(1)', 'call work()']) {
      const { acknowledged, run } = watched()
      run('begin', 'T')
      run(text, 'T')
      assert.equal(acknowledged(), 1, text)
      run('rollback', 'I')
      assert.equal(acknowledged(), 1, text)
    }
    const { acknowledged, run, fail, session } = watched()
    run('begin', 'T')
    fail('select f from dblink_exec(1)', 'E')
    run('rollback', 'I')
    assert.deepEqual([acknowledged(), session.landed], [1, 1])
  })
  it('a COMMIT that the server refuses does not count, and a COMMIT before an error does', () => {
    const { acknowledged, doubted, connection, begin, run, fail } = watched()
    run('begin', 'T')
    run('insert into t values (1)', 'T')
    fail('commit', 'I')
    assert.equal(acknowledged(), 0)
    begin('insert into t values (1); commit; select 1/0')
    for (const text of ['INSERT', 'COMMIT']) connection.emit('commandComplete', { text })
    connection.emit('errorMessage', {})
    assert.deepEqual([acknowledged(), doubted()], [0, 1], 'told with the error')
    connection.emit('readyForQuery', { status: 'I' })
    begin('insert into t values (1); select 1/0')
    connection.emit('commandComplete', { text: 'INSERT' })
    connection.emit('errorMessage', {})
    connection.emit('readyForQuery', { status: 'I' })
    assert.equal(acknowledged(), 1)
  })
  it('a ROLLBACK before a write in one text takes only back what stood before it', () => {
    const { acknowledged, connection, begin, run } = watched()
    run('begin', 'T')
    run('insert into t values (1)', 'T')
    begin('insert into t values (1); rollback')
    for (const text of ['INSERT', 'ROLLBACK']) connection.emit('commandComplete', { text })
    connection.emit('readyForQuery', { status: 'I' })
    assert.equal(acknowledged(), 0)
    begin('insert into t values (1), rollback; insert')
    for (const text of ['ROLLBACK', 'INSERT']) connection.emit('commandComplete', { text })
    connection.emit('readyForQuery', { status: 'I' })
    assert.equal(acknowledged(), 1)
  })
  it('what failed, and what a broken connection may have left, waits for no position', () => {
    const { session, connection, acknowledged, doubted, begin, fail, run } = watched()
    session.captures()
    begin('call work()')
    connection.emit('errorMessage', {})
    assert.deepEqual([acknowledged(), doubted()], [0, 1], 'told with the error, before the server is ready')
    connection.emit('readyForQuery', { status: 'I' })
    assert.equal(acknowledged(), 1, 'the server lives: what it has committed stays')
    run('select f', 'I')
    assert.equal(acknowledged(), 1)
    session.captures()
    fail('insert into t values (1)', 'I')
    run('select f', 'I')
    assert.equal(acknowledged(), 1)
    session.captures()
    begin('insert into t values (1)')
    connection.emit('end')
    assert.deepEqual([acknowledged(), doubted(), session.capturing], [1, 2, null])
  })
  it('what the server cut in the middle of a part stays in doubt: no answer of a living server follows', () => {
    const { connection, acknowledged, doubted, begin } = watched()
    begin('call work()')
    connection.emit('errorMessage', { code: '57P01', severity: 'FATAL' })
    connection.emit('end')
    assert.equal(acknowledged(), 0)
    assert.ok(doubted() > 0)
  })
  it('a lock counts at once: who gets it sees what its last holder has committed', () => {
    for (const text of ['select f pg_advisory_xact_lock(1)', 'lock table t', 'select f from t for update']) {
      const { acknowledged, run } = watched()
      run('begin', 'T')
      run(text, 'T')
      assert.equal(acknowledged(), 1, text)
    }
  })
  it('a write whose connection breaks is in doubt, and so is a commit; a transaction that was left open is not', () => {
    const alone = watched()
    alone.begin('insert into t values (1)')
    alone.connection.emit('end')
    assert.deepEqual([alone.acknowledged(), alone.doubted()], [0, 1])
    const committing = watched()
    committing.run('begin', 'T')
    committing.run('insert into t values (1)', 'T')
    committing.begin('commit')
    committing.connection.emit('end')
    assert.deepEqual([committing.acknowledged(), committing.doubted()], [0, 1])
    const reading = watched()
    reading.begin('select 1')
    reading.connection.emit('end')
    assert.deepEqual([reading.acknowledged(), reading.doubted()], [0, 0])
  })
  it('a notification means that somebody has committed', () => {
    const { connection, notified } = watched()
    connection.emit('notification', {})
    assert.equal(notified(), 1)
  })
  it('reads of sessions are told where they ran on the primary; what only shapes a transaction is none', () => {
    const { session, run, read } = watched()
    run('select 1', 'I')
    session.begins(false, new Scope(null))
    run('begin', 'T')
    run('select 1', 'T')
    run('commit', 'I')
    assert.equal(read(), 1)
    run('insert into t values (1)', 'I')
    assert.equal(read(), 1, 'what is acknowledged is looked for as a write')
    run('begin', 'T')
    session.begins(false, new Scope(null))
    run('insert into t values (1)', 'T')
    assert.equal(read(), 1, 'a write shows no rows')
    run('insert into t values (1) returning n', 'T')
    assert.equal(read(), 2)
  })
  it("our own question behind a statement is nobody else's", () => {
    const { session, run, acknowledged } = watched()
    session.captures()
    run('insert into t values (1)', 'I')
    run('select f', 'I')
    assert.equal(acknowledged(), 1)
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
  it('becoming ready is no statement', () => assert.equal(watched().acknowledged(), 0))
  it('what the pool knows to be a read does not count', () => {
    const { session, acknowledged, run } = watched()
    session.asks()
    run('select f()', 'I')
    assert.equal(acknowledged(), 0)
  })
  it('CommandComplete is noticed until the session is ready', () => {
    const { session, run } = watched()
    assert.equal(run('select 1', 'I'), true)
    assert.equal(session.exchange.completed, 0)
  })
  it('a session on a standby writes nothing, until it says that it is on none any more', () => {
    const { connection, acknowledged, standby, run } = watched()
    connection.emit('parameterStatus', { parameterName: 'in_hot_standby', parameterValue: 'on' })
    run('select f()', 'I')
    assert.deepEqual([acknowledged(), standby], [0, [true]])
    connection.emit('parameterStatus', { parameterName: 'in_hot_standby', parameterValue: 'off' })
    run('select f()', 'I')
    assert.deepEqual([acknowledged(), standby], [1, [true, false]])
  })
})
