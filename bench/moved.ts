// An address that is moved: a forwarder whose new connections lead to whatever it was pointed at last. What stands between
// a client and its server in a cluster with a service address.

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface Address {
  readonly host: string
  readonly port: number
}

export class MovedAddress {
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((client) => this.#forward(client))
  #target: Address

  private constructor(target: Address) {
    this.#target = target
  }

  static async at(target: Address): Promise<MovedAddress> {
    const moved = new MovedAddress(target)
    moved.#server.listen(0, '127.0.0.1')
    await once(moved.#server, 'listening')
    return moved
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** Connections that there are stay where they are. */
  pointAt(target: Address): void {
    this.#target = target
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #forward(client: Socket): void {
    const { host, port } = this.#target
    const upstream = connect({ host, port, noDelay: true })
    client.setNoDelay(true)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(from)
      from.pipe(to)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        to.destroy()
      })
    }
  }
}
