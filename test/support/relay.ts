// A TCP relay in front of one server, or of several that take turns, and what networks do: delay, swallow, reset, refuse, close one half. Faults are
// imposed on the links that a predicate chooses, present and future, until they are lifted. Understands no byte of it.

import { createServer, type Server, type Socket } from 'node:net'
import { type Direction, Link, type Weather } from './relay-link.js'

export type { Direction } from './relay-link.js'

/** One connection through the relay, as predicates see it. */
export interface LinkView {
  /** The first bytes that the client sent: PostgreSQL's startup message names the application there. */
  readonly greeting: string
  readonly bytes: Readonly<Record<Direction, number>>
}

export type Chosen = (link: LinkView) => boolean

export interface FaultPlan {
  /** All links unless told. */
  readonly on?: Chosen
  /** Every byte of that direction arrives that much later. */
  readonly delayMillis?: Partial<Record<Direction, number>>
  /** A black hole: what is sent there, and that a side has closed, is kept back. */
  readonly silent?: readonly Direction[]
  /** Links are reset as soon as they have said who they are. */
  readonly reset?: boolean
}

export interface Fault {
  /** 'deliver': what was kept back arrives late, in order. 'reset': the links it kept something of are reset. */
  lift(how?: 'deliver' | 'reset'): void
}

interface Target {
  readonly host: string
  readonly port: number
}

interface Imposed extends FaultPlan {
  readonly on: Chosen
}

const ALL: Chosen = () => true

export class Relay {
  readonly host = '127.0.0.1'
  readonly #targets: Target[]
  readonly #links = new Set<Link>()
  readonly #faults = new Set<Imposed>()
  readonly #gone: Record<Direction, number> = { toServer: 0, toClient: 0 }
  #listener: Server | null = null
  #port = 0

  private constructor(targets: Target[]) {
    this.#targets = targets
  }

  /** One connection leads to each of them in turn. */
  static async start(...targets: readonly [Target, ...Target[]]): Promise<Relay> {
    const relay = new Relay(targets.map(({ host, port }) => ({ host, port })))
    await relay.accept()
    return relay
  }

  get port(): number {
    return this.#port
  }

  get links(): ReadonlySet<LinkView> {
    return this.#links
  }

  /** Received so far, from links that are gone too. */
  get bytes(): Readonly<Record<Direction, number>> {
    const sum = { ...this.#gone }
    for (const { bytes } of this.#links) {
      sum.toServer += bytes.toServer
      sum.toClient += bytes.toClient
    }
    return sum
  }

  impose(plan: FaultPlan): Fault {
    const imposed: Imposed = { ...plan, on: plan.on ?? ALL }
    this.#faults.add(imposed)
    for (const link of this.#links) this.#greeted(link)
    return {
      lift: (how = 'deliver') => {
        if (!this.#faults.delete(imposed)) return
        const silenced = plan.silent ?? []
        for (const link of [...this.#links]) {
          if (!imposed.on(link)) continue
          if (how === 'reset' && silenced.some((direction) => link.keeps(direction))) link.reset()
          else link.flush()
        }
      },
    }
  }

  /** Every fault is lifted, and what was kept back delivered. */
  lift(): void {
    this.#faults.clear()
    for (const link of [...this.#links]) link.flush()
  }

  /** Both sides of the chosen links see a reset, once. */
  reset(on: Chosen = ALL): void {
    for (const link of [...this.#links]) if (on(link)) link.reset()
  }

  /** The receiving side of that direction sees an orderly end; the other direction goes on. */
  halfClose(direction: Direction, on: Chosen = ALL): void {
    for (const link of this.#links) if (on(link)) link.halfClose(direction)
  }

  /** New connections are refused as if nothing listened; links that exist go on. */
  refuse(): Promise<void> {
    const listener = this.#listener
    this.#listener = null
    if (listener === null) return Promise.resolve()
    // Its callback would wait for the links to end. The port is free at once.
    listener.close()
    return Promise.resolve()
  }

  /** Listens, again on the same port after refuse(). */
  accept(): Promise<void> {
    if (this.#listener !== null) return Promise.resolve()
    const listener = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#join(client))
    this.#listener = listener
    return new Promise((resolve, reject) => {
      listener.once('error', reject)
      listener.listen(this.#port, this.host, () => {
        const address = listener.address()
        if (typeof address === 'object' && address !== null) this.#port = address.port
        resolve()
      })
    })
  }

  /** Nothing of it is left: no listener, no socket, no timer. */
  async close(): Promise<void> {
    await this.refuse()
    this.#faults.clear()
    const closed = [...this.#links].map((link) => link.closed)
    this.reset()
    await Promise.all(closed)
  }

  #join(client: Socket): void {
    const weather: Weather = {
      greeted: (link) => this.#greeted(link),
      delayOf: (link, direction) => this.#sum(link, (plan) => plan.delayMillis?.[direction] ?? 0),
      isSilent: (link, direction) => this.#sum(link, (plan) => (plan.silent?.includes(direction) ? 1 : 0)) > 0,
      left: (link) => {
        this.#links.delete(link)
        this.#gone.toServer += link.bytes.toServer
        this.#gone.toClient += link.bytes.toClient
      },
    }
    const target = this.#targets.shift()
    if (target === undefined) return
    this.#targets.push(target)
    this.#links.add(new Link(client, target, weather))
  }

  #greeted(link: Link): void {
    if (link.greeting !== '' && this.#sum(link, ({ reset }) => (reset ? 1 : 0)) > 0) link.reset()
  }

  #sum(link: Link, of: (plan: FaultPlan) => number): number {
    let sum = 0
    for (const fault of this.#faults) if (fault.on(link)) sum += of(fault)
    return sum
  }
}
