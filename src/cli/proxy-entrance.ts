// Where clients come in before a worker has them: the parent listens, and gives each connection to the worker that has the fewest. It keeps
// its own hold of a connection until the worker says that it has it: what a worker was given and has died with is closed, not forgotten.

import type { Worker as Child } from 'node:cluster'
import net from 'node:net'
import type { Address } from './proxy-line.js'

/** client: the connection comes with it. took: the worker has it. left: one that it had is closed. */
export interface Handing {
  readonly client: 'client' | 'took' | 'left'
  readonly id: number
}

export function isHanding(message: unknown): message is Handing {
  return typeof message === 'object' && message !== null && 'client' in message
}

interface Receiver {
  readonly slot: number
  readonly child: Child
  /** Given to it and not closed. */
  count: number
  /** Given to it, and it has not said that it has them. */
  readonly given: Map<number, net.Socket>
}

/** So many connections may wait for the first worker to serve; the system closes none of them by itself. */
const MOST_WAITING = 10_000

export class Entrance {
  readonly #server = net.createServer({ pauseOnConnect: true }, (socket) => this.#give(socket))
  readonly #receivers = new Map<number, Receiver>()
  readonly #waiting: net.Socket[] = []
  #lastId = 0
  #lastSlot = -1

  listen(host: string, port: number): Promise<Address> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, () => resolve(this.#server.address() as net.AddressInfo))
    })
  }

  /** The worker takes connections from now on. */
  join(slot: number, child: Child): void {
    this.#receivers.set(slot, { slot, child, count: 0, given: new Map() })
    for (const socket of this.#waiting.splice(0)) this.#give(socket)
  }

  /** It is gone, and what it had with it. */
  leave(slot: number): void {
    const receiver = this.#receivers.get(slot)
    this.#receivers.delete(slot)
    // It may have read of them: another worker could not go on.
    for (const socket of receiver?.given.values() ?? []) socket.destroy()
  }

  /** A message of the worker. */
  take(slot: number, { client, id }: Handing): void {
    const receiver = this.#receivers.get(slot)
    if (receiver === undefined) return
    if (client === 'left') receiver.count--
    // The worker's hold stays.
    receiver.given.get(id)?.destroy()
    receiver.given.delete(id)
  }

  #give(socket: net.Socket): void {
    socket.on('error', () => socket.destroy())
    const receiver = this.#fewest()
    if (receiver === null) {
      if (this.#waiting.length < MOST_WAITING) this.#waiting.push(socket)
      else socket.destroy()
      return
    }
    const id = ++this.#lastId
    this.#lastSlot = receiver.slot
    receiver.count++
    receiver.given.set(id, socket)
    const message: Handing = { client: 'client', id }
    receiver.child.send(message, socket, { keepOpen: true }, (error) => {
      if (error !== null) socket.destroy()
    })
  }

  /** Of equal ones that behind the last. */
  #fewest(): Receiver | null {
    const all = [...this.#receivers.values()].sort((a, b) => a.slot - b.slot)
    const behind = [...all.filter(({ slot }) => slot > this.#lastSlot), ...all]
    let best: Receiver | null = null
    for (const each of behind) if (each.child.isConnected() && (best === null || each.count < best.count)) best = each
    return best
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#waiting.splice(0)) socket.destroy()
  }
}
