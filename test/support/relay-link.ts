// One connection through a relay: two sockets, and for each direction a queue of what has come and may not go on yet.
// Keeps the order of bytes and of what ends them; decides nothing about delays or silence, but asks its relay.

import { connect, type Socket } from 'node:net'
import { reset } from '../../src/runtime/sockets.js'

export type Direction = 'toServer' | 'toClient'

export interface Weather {
  /** The client has said who it is. */
  greeted(link: Link): void
  delayOf(link: Link, direction: Direction): number
  isSilent(link: Link, direction: Direction): boolean
  /** Both sockets are closed. */
  left(link: Link): void
}

type Item = { readonly due: number; readonly what: Buffer | 'end' | 'reset' }

/** More than this on its way, and the sender is no longer listened to, as with a full window. */
const WINDOW_BYTES = 4 * 1024 * 1024
const GREETING_BYTES = 1024

class Lane {
  readonly from: Socket
  readonly to: Socket
  readonly queue: Item[] = []
  readonly received: (bytes: number) => void
  readonly #delay: () => number
  readonly #isSilent: () => boolean
  #queued = 0
  #lastDue = 0
  #cancel: (() => void) | null = null
  #blocked = false

  constructor(
    from: Socket,
    to: Socket,
    { delay, isSilent, received }: { delay(): number; isSilent(): boolean; received(bytes: number): void }
  ) {
    this.from = from
    this.to = to
    this.#delay = delay
    this.#isSilent = isSilent
    this.received = received
    to.on('drain', () => {
      this.#blocked = false
      this.flush()
    })
  }

  push(what: Item['what']): void {
    this.#lastDue = Math.max(this.#lastDue, performance.now() + this.#delay())
    this.queue.push({ due: this.#lastDue, what })
    if (what instanceof Buffer) {
      this.#queued += what.length
      this.received(what.length)
      if (this.#queued > WINDOW_BYTES) this.from.pause()
    }
    this.flush()
  }

  flush(): void {
    while (!this.#blocked && !this.#isSilent()) {
      const [head] = this.queue
      if (head === undefined) break
      const wait = head.due - performance.now()
      if (wait > 0) {
        this.#later(wait)
        return
      }
      this.queue.shift()
      this.#deliver(head.what)
    }
    if (this.#queued <= WINDOW_BYTES && this.from.isPaused()) this.from.resume()
  }

  #deliver(what: Item['what']): void {
    if (what === 'end') this.to.end()
    else if (what === 'reset') reset(this.to, this.to)
    else {
      this.#queued -= what.length
      if (this.to.writable) this.#blocked = !this.to.write(what)
    }
  }

  /** Timers know whole milliseconds only: the last part is waited for turn by turn. */
  #later(millis: number): void {
    if (this.#cancel !== null) return
    const ring = () => {
      this.#cancel = null
      this.flush()
    }
    if (millis < 1) {
      const turn = setImmediate(ring)
      this.#cancel = () => clearImmediate(turn)
    } else {
      const timer = setTimeout(ring, Math.floor(millis))
      this.#cancel = () => clearTimeout(timer)
    }
  }

  stop(): void {
    this.#cancel?.()
    this.#cancel = null
    this.queue.length = 0
  }
}

export class Link {
  readonly bytes: Record<Direction, number> = { toServer: 0, toClient: 0 }
  /** Resolves when both sockets are closed. */
  readonly closed: Promise<void>
  readonly #weather: Weather
  readonly #lanes: Readonly<Record<Direction, Lane>>
  #greeting = ''

  constructor(client: Socket, target: { readonly host: string; readonly port: number }, weather: Weather) {
    this.#weather = weather
    const server = connect({ ...target, allowHalfOpen: true, noDelay: true })
    const lane = (from: Socket, to: Socket, direction: Direction) =>
      new Lane(from, to, {
        delay: () => weather.delayOf(this, direction),
        isSilent: () => weather.isSilent(this, direction),
        received: (bytes) => (this.bytes[direction] += bytes),
      })
    this.#lanes = { toServer: lane(client, server, 'toServer'), toClient: lane(server, client, 'toClient') }
    this.#pump('toServer')
    this.#pump('toClient')
    const gone = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()))
    this.closed = Promise.all([gone(client), gone(server)]).then(() => {
      for (const each of Object.values(this.#lanes)) each.stop()
      weather.left(this)
    })
  }

  get greeting(): string {
    return this.#greeting
  }

  keeps(direction: Direction): boolean {
    return this.#lanes[direction].queue.length > 0
  }

  flush(): void {
    for (const lane of Object.values(this.#lanes)) lane.flush()
  }

  reset(): void {
    for (const { to } of Object.values(this.#lanes)) reset(to, to)
  }

  halfClose(direction: Direction): void {
    this.#lanes[direction].to.end()
  }

  #pump(direction: Direction): void {
    const lane = this.#lanes[direction]
    const { from } = lane
    from.on('data', (chunk: Buffer) => {
      if (direction === 'toServer') this.#greet(chunk)
      lane.push(chunk)
    })
    from.on('end', () => lane.push('end'))
    let failed = false
    from.on('error', () => (failed = true))
    // A socket that closes without having ended was reset, or never came to be.
    from.on('close', () => lane.push(failed || !from.readableEnded ? 'reset' : 'end'))
  }

  #greet(chunk: Buffer): void {
    if (this.#greeting !== '') return
    this.#greeting = chunk.toString('latin1', 0, GREETING_BYTES)
    this.#weather.greeted(this)
  }
}
