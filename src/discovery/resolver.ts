// Who is asked for the addresses of a name: the system, as pg does, so that /etc/hosts counts; or name servers of the user's choosing.

import { lookup, Resolver } from 'node:dns/promises'

/** One server of a service (RFC 2782). */
export interface Service {
  readonly name: string
  readonly port: number
  readonly priority: number
  readonly weight: number
}

export interface Addresses {
  readonly addresses: readonly string[]
  /** The shortest time to live of them; null: it is not told. */
  readonly holdsMillis: number | null
}

export interface Names {
  /** Rejects where there is none. */
  addresses(host: string): Promise<Addresses>
  /** The records SRV of a name. Rejects where there is none. */
  services(name: string): Promise<readonly Service[]>
  /** Ends the questions that are under way. */
  stop(): void
}

export const system: Names = {
  async addresses(host) {
    const found = await lookup(host, { all: true })
    return { addresses: found.map(({ address }) => address), holdsMillis: null }
  },
  services: (name) => serversOf(null).services(name),
  stop() {},
}

/** A question that is not answered is sent once more, to the next server if there is one. */
const TIMEOUT_MILLIS = 500
const TRIES = 2

/** There is no such name, or it has no address of this family. Everything else says nothing of the name. */
const NONE: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA'])

interface Timed {
  readonly address: string
  readonly ttl: number
}

/** `servers`: as Node's `dns.setServers()` takes them; null: those that the system names. They know no search list and no /etc/hosts. */
export function serversOf(servers: readonly string[] | null): Names {
  const resolver = new Resolver({ timeout: TIMEOUT_MILLIS, tries: TRIES })
  if (servers !== null) resolver.setServers(servers)
  const families = [new Family((host) => resolver.resolve4(host, { ttl: true }))]
  families.push(new Family((host) => resolver.resolve6(host, { ttl: true })))
  return {
    async addresses(host) {
      const answers = await Promise.all(families.map((family) => family.ask(host)))
      const found = answers.flatMap((answer) => answer.found)
      const [first] = answers
      if (found.length === 0) throw first?.error ?? answers.find(({ error }) => error !== null)?.error
      const holdsMillis = Math.min(...found.map(({ ttl }) => ttl * 1000))
      return { addresses: found.map(({ address }) => address), holdsMillis }
    },
    services: (name) => resolver.resolveSrv(name),
    stop: () => resolver.cancel(),
  }
}

/** The addresses of IPv4, or those of IPv6. Where only one of both cannot be asked, what it said last stands. */
class Family {
  readonly #resolve: (host: string) => Promise<readonly Timed[]>
  readonly #last = new Map<string, readonly Timed[]>()

  constructor(resolve: (host: string) => Promise<readonly Timed[]>) {
    this.#resolve = resolve
  }

  async ask(host: string): Promise<{ readonly found: readonly Timed[]; readonly error: unknown }> {
    try {
      const found = await this.#resolve(host)
      this.#last.set(host, found)
      return { found, error: null }
    } catch (error) {
      if (NONE.has((error as { readonly code?: unknown }).code)) this.#last.delete(host)
      return { found: this.#last.get(host) ?? [], error }
    }
  }
}
