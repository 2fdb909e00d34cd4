// The process numbers that clients were given, and the secrets that go with them: a cancel request carries both.

import { randomInt, timingSafeEqual } from 'node:crypto'
import type { Client } from './client/client.js'

export class Pids {
  readonly #clients = new Map<number, Client>()

  /** A process number that no client has; clients see it in psql's prompt and give it back in cancel requests. */
  free(): number {
    for (;;) {
      const pid = randomInt(1, 0x7fffffff)
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
