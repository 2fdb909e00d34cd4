import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { reset } from '../src/runtime/sockets.js'

describe('closing a socket for good', () => {
  let server: net.Server
  const accepted: net.Socket[] = []

  before(async () => {
    server = net.createServer((socket) => accepted.push(socket.on('error', () => {})))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  after(() => {
    for (const socket of accepted) socket.destroy()
    server.close()
  })

  async function connected(): Promise<net.Socket> {
    const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
    await once(socket, 'connect')
    return socket
  }

  it('the other side gets a reset', async () => {
    const socket = await connected()
    while (accepted.length === 0) await once(server, 'connection')
    const other = accepted.at(-1) as net.Socket
    other.resume()
    const heard = once(other, 'error')
    reset(socket, socket)
    const [error] = await heard
    assert.equal(error.code, 'ECONNRESET')
  })

  // Node leaks the handle of a socket that is reset then, and spins at exit.
  it('one whose end is under way is closed as well', async () => {
    const socket = await connected()
    const errors: Error[] = []
    socket.on('error', (error) => errors.push(error))
    const closed = once(socket, 'close')
    socket.end()
    await new Promise<void>((resolve) => process.nextTick(resolve))
    reset(socket, socket)
    await closed
    assert.deepEqual(errors, [])
  })

  it('one that is still connecting, too', async () => {
    const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
    const closed = once(socket, 'close')
    reset(socket, socket)
    await closed
    assert.equal(socket.destroyed, true)
  })
})
