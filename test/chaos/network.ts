// A network in front of a cluster's nodes: one relay for each, in a worker. Says what is done to whom; relay.ts does it.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { Direction, FaultPlan } from '../support/relay.js'

export interface Target {
  readonly host: string
  readonly port: number
}

/** On all links of a node: a predicate cannot be sent to another thread. */
export type Plan = Omit<FaultPlan, 'on'>

export type Order =
  | { readonly verb: 'impose'; readonly node: number; readonly plan: Plan }
  | { readonly verb: 'lift'; readonly fault: number; readonly how: 'deliver' | 'reset' }
  /** `pick`: one of the links; null: all. */
  | { readonly verb: 'reset'; readonly node: number; readonly pick: number | null }
  | { readonly verb: 'half-close'; readonly node: number; readonly direction: Direction }
  /** From now on new links are silent, and those that there are go on. */
  | { readonly verb: 'deafen'; readonly node: number }
  | { readonly verb: 'refuse' | 'accept' | 'count'; readonly node: number }
  | { readonly verb: 'close' }

interface Answer {
  readonly ticket: number
  readonly value: number
  readonly failed?: string
}

interface Ends {
  resolve(value: number): void
  reject(error: Error): void
}

export class Network {
  readonly ports: readonly number[]
  readonly #worker: Worker
  readonly #open = new Map<number, Ends>()
  readonly #faults = new Set<number>()
  readonly #refusing = new Set<number>()
  #tickets = 0

  private constructor(worker: Worker, ports: readonly number[]) {
    this.ports = ports
    this.#worker = worker
    worker.on('message', ({ ticket, value, failed }: Answer) => {
      const ends = this.#open.get(ticket)
      this.#open.delete(ticket)
      if (failed === undefined) ends?.resolve(value)
      else ends?.reject(new Error(failed))
    })
    worker.on('error', (error) => {
      for (const { reject } of this.#open.values()) reject(error)
    })
  }

  static async start(targets: readonly Target[]): Promise<Network> {
    const workerData = targets.map(({ host, port }) => ({ host, port }))
    const worker = new Worker(new URL('./network-worker.js', import.meta.url), { workerData })
    const [{ ports }] = (await once(worker, 'message')) as [{ ports: readonly number[] }]
    return new Network(worker, ports)
  }

  async impose(node: number, plan: Plan): Promise<void> {
    this.#faults.add(await this.#send({ verb: 'impose', node, plan }))
  }

  /** New links are accepted and nothing on them goes on; those that there are go on. */
  async deafen(node: number): Promise<void> {
    this.#faults.add(await this.#send({ verb: 'deafen', node }))
  }

  /** All that was imposed is over, and who refused accepts. */
  async heal(how: 'deliver' | 'reset' = 'deliver'): Promise<void> {
    for (const fault of this.#faults) await this.#send({ verb: 'lift', fault, how })
    for (const node of this.#refusing) await this.#send({ verb: 'accept', node })
    this.#faults.clear()
    this.#refusing.clear()
  }

  async refuse(node: number): Promise<void> {
    this.#refusing.add(node)
    await this.#send({ verb: 'refuse', node })
  }

  /** One link, whichever that number leads to, or all of them. */
  async reset(node: number, pick: number | null): Promise<void> {
    await this.#send({ verb: 'reset', node, pick })
  }

  async halfClose(node: number, direction: Direction): Promise<void> {
    await this.#send({ verb: 'half-close', node, direction })
  }

  /** How many links lead to the node. */
  links(node: number): Promise<number> {
    return this.#send({ verb: 'count', node })
  }

  async close(): Promise<void> {
    await this.#send({ verb: 'close' })
    await this.#worker.terminate()
  }

  #send(order: Order): Promise<number> {
    const ticket = this.#tickets++
    return new Promise((resolve, reject) => {
      this.#open.set(ticket, { resolve, reject })
      this.#worker.postMessage({ ticket, order })
    })
  }
}
