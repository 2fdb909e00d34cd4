// The process numbers that clients were given, and the secrets that go with them: a cancel request carries both. Of several processes that
// serve the same clients each gives numbers of its own, so that a request which has come to another finds it.

import { randomInt, timingSafeEqual } from 'node:crypto'
import type { Client } from './client/client.js'
import type { Worker } from './options.js'

/** The upper bits of a positive 32 bit number; the rest is chance. */
const SLOT_BITS = 7
const CHANCE_BITS = 31 - SLOT_BITS
export const MOST_WORKERS = 2 ** SLOT_BITS

/** Whose number it is. */
export function slotOf(pid: number): number {
  return (pid >>> CHANCE_BITS) % MOST_WORKERS
}

export class Pids {
  readonly #clients = new Map<number, Client>()
  readonly #slot: number | null

  constructor(worker: Worker | null) {
    this.#slot = worker?.slot ?? null
  }

  /** It may be of a client, but of none of this process. */
  isForeign(pid: number): boolean {
    return this.#slot !== null && slotOf(pid) !== this.#slot
  }

  /** A process number that no client has; clients see it in psql's prompt and give it back in cancel requests. */
  free(): number {
    for (;;) {
      const pid =
        this.#slot === null ? randomInt(1, 2 ** 31 - 1) : this.#slot * 2 ** CHANCE_BITS + randomInt(1, 2 ** CHANCE_BITS)
      if (!this.#clients.has(pid)) return pid
    }
  }

  add(client: Client): void {
    this.#clients.set(client.identity.pid, client)
  }

  delete(client: Client): void {
    this.#clients.delete(client.identity.pid)
  }

  /** Undefined: the request is of no client. */
  clientOf(pid: number, secret: Buffer): Client | undefined {
    const client = this.#clients.get(pid)
    if (client === undefined) return undefined
    const own = client.identity.secret
    return own.length === secret.length && timingSafeEqual(own, secret) ? client : undefined
  }
}

/** So many clients of one process have ids that no client of its successor gets. */
const IDS = 1_000_000

/** The ids of clients in the console: no two processes give the same. */
export class Ids {
  readonly #worker: Worker
  #last: number

  constructor(worker: Worker | null) {
    this.#worker = worker ?? { slot: 0, of: 1, before: 0 }
    this.#last = this.#worker.before * IDS
  }

  next(): number {
    const { slot, of } = this.#worker
    return this.#last++ * of + slot + 1
  }
}
