import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { until } from './cluster-wait.js'
import { Relay } from './relay.js'

interface Peer {
  readonly socket: Socket
  text: string
  ended: boolean
  error: string | null
}

function peer(socket: Socket): Peer {
  const self: Peer = { socket, text: '', ended: false, error: null }
  socket.on('data', (chunk) => (self.text += String(chunk)))
  socket.on('end', () => (self.ended = true))
  socket.on('error', (error: Error & { code?: string }) => (self.error = error.code ?? error.message))
  return self
}

describe('relay', () => {
  let relay: Relay
  let server: Server
  const served: Peer[] = []
  const dialled: Peer[] = []

  const dial = async (greeting: string) => {
    const client = peer(connect({ host: relay.host, port: relay.port, allowHalfOpen: true }))
    dialled.push(client)
    const before = served.length
    client.socket.write(greeting)
    await once(client.socket, 'connect')
    const other = await until('the server to be reached', () => served[before])
    return { client, other }
  }
  const says = (who: Peer, text: string) => until(`to hear ${text}`, () => who.text.endsWith(text))

  beforeEach(async () => {
    served.length = 0
    dialled.length = 0
    server = createServer({ allowHalfOpen: true }, (socket) => served.push(peer(socket)))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    if (typeof address !== 'object' || address === null) throw new Error('no address')
    relay = await Relay.start({ host: '127.0.0.1', port: address.port })
  })
  afterEach(async () => {
    await relay.close()
    assert.equal(relay.links.size, 0)
    for (const { socket } of [...served, ...dialled]) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })

  it('carries bytes both ways, counts them, and passes an end on', async () => {
    const { client, other } = await dial('hello')
    await says(other, 'hello')
    other.socket.write('good day')
    await says(client, 'good day')
    assert.deepEqual(relay.bytes, { toServer: 5, toClient: 8 })
    client.socket.end()
    await until('the end', () => other.ended)
    other.socket.end('bye')
    await until('the other end', () => client.ended)
    assert.equal(client.text, 'good daybye')
    await until('the link to be gone', () => relay.links.size === 0)
    assert.deepEqual(relay.bytes, { toServer: 5, toClient: 11 })
  })

  it('delays one direction of the links it is told, and keeps the order', async () => {
    const { client, other } = await dial('probe')
    await says(other, 'probe')
    relay.impose({ on: ({ greeting }) => greeting === 'probe', delayMillis: { toClient: 60 } })
    const begun = performance.now()
    other.socket.write('a')
    client.socket.write('x')
    await says(other, 'x')
    other.socket.write('b')
    await says(client, 'ab')
    assert.ok(performance.now() - begun >= 60)
  })

  it('a black hole keeps back bytes and ends, and gives them out in order when it is lifted', async () => {
    const { client, other } = await dial('hello')
    await says(other, 'hello')
    const fault = relay.impose({ silent: ['toServer'] })
    client.socket.write('one')
    client.socket.end('two')
    other.socket.write('still heard')
    await says(client, 'still heard')
    await until('the bytes to be swallowed', () => relay.bytes.toServer === 11)
    assert.equal(other.text, 'hello')
    assert.equal(other.ended, false)
    fault.lift()
    await until('the end', () => other.ended)
    assert.equal(other.text, 'helloonetwo')
  })

  it('a black hole that ends in a reset resets the links it kept something of', async () => {
    const kept = await dial('kept')
    const idle = await dial('idle')
    await says(idle.other, 'idle')
    await says(kept.other, 'kept')
    const fault = relay.impose({ silent: ['toClient'] })
    kept.other.socket.write('never heard')
    await until('the bytes to be swallowed', () => relay.bytes.toClient === 11)
    fault.lift('reset')
    await until('the reset', () => kept.client.error !== null && kept.other.error !== null)
    assert.equal(kept.client.error, 'ECONNRESET')
    assert.equal(kept.client.text, '')
    idle.other.socket.write('well')
    await says(idle.client, 'well')
  })

  it('resets what is chosen, now and as long as it is told', async () => {
    const { client, other } = await dial('probe')
    const spared = await dial('work')
    await says(other, 'probe')
    await says(spared.other, 'work')
    const fault = relay.impose({ on: ({ greeting }) => greeting.startsWith('probe'), reset: true })
    await until('the reset', () => client.error === 'ECONNRESET')
    const again = peer(connect({ host: relay.host, port: relay.port }))
    dialled.push(again)
    again.socket.write('probe again')
    await until('the reset of a new link', () => again.error !== null)
    fault.lift()
    await dial('probe at last')
    spared.other.socket.write('well')
    await says(spared.client, 'well')
  })

  it('refuses new connections while others go on, and listens on the same port again', async () => {
    const { client, other } = await dial('hello')
    await says(other, 'hello')
    const { port } = relay
    await relay.refuse()
    const refused = peer(connect({ host: relay.host, port }))
    dialled.push(refused)
    await until('the refusal', () => refused.error === 'ECONNREFUSED')
    other.socket.write('well')
    await says(client, 'well')
    await relay.accept()
    assert.equal(relay.port, port)
    await dial('again')
  })

  it('closes one half', async () => {
    const { client, other } = await dial('hello')
    await says(other, 'hello')
    relay.halfClose('toServer')
    await until('the end', () => other.ended)
    other.socket.write('still heard')
    await says(client, 'still heard')
    assert.equal(client.ended, false)
  })

  it('what the server resets is reset for the client', async () => {
    const { client, other } = await dial('hello')
    await says(other, 'hello')
    other.socket.resetAndDestroy()
    await until('the reset', () => client.error === 'ECONNRESET')
  })

  it('carries more than a window without losing a byte', async () => {
    const { client, other } = await dial('!')
    const block = Buffer.alloc(1024 * 1024, 'x')
    for (let i = 0; i < 12; i++) client.socket.write(block)
    await until('all of it', () => other.text.length === 1 + 12 * block.length)
  })
})
