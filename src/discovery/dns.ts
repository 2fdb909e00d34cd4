// A host name -> every address it has, each a node of its own; or the name of a service -> its servers, with their ports, priorities
// and weights. The name that the user wrote stays with the address: the server's certificate must carry it, whatever DNS says.

import { type NodeAddress, type Traits, traitsOf } from '../core/cluster/address.js'
import type { Discovery } from './discovery.js'
import { type Addresses, type Names, type Service, serversOf, system } from './resolver.js'

/** How the names of hosts are looked up. */
export interface DnsSettings {
  /** Name servers to ask: `'10.0.0.2'`, `'10.0.0.2:5353'`. Default: the system's resolver, /etc/hosts included. */
  readonly servers?: readonly string[] | undefined
  /** The hosts are services: their records SRV name servers and ports. True stands for `'_postgresql._tcp'`. */
  readonly srv?: boolean | string | undefined
  /** The longest time between two lookups, in milliseconds; a shorter time to live counts, down to a second. Default 5000. */
  readonly intervalMillis?: number | undefined
}

export interface DnsSource extends DnsSettings {
  readonly source: 'dns'
}

/** For the `discovery` option: the hosts that are named, looked up as you say. */
export function dns(settings: DnsSettings = {}): DnsSource {
  return { source: 'dns', ...settings }
}

export const SERVICE = '_postgresql._tcp'
const INTERVAL_MILLIS = 5000
const LEAST_MILLIS = 1000

interface Name extends Traits {
  readonly host: string
  readonly port: number
}

/** Who is asked. All names of a pool ask the same. */
export function namesOf({ servers, srv }: DnsSettings): Names {
  if (servers !== undefined) return serversOf(servers)
  return srv === undefined || srv === false ? system : serversOf(null)
}

export function nameSource(name: Name, settings: DnsSettings, names: Names): Discovery {
  const { srv = false, intervalMillis = INTERVAL_MILLIS } = settings
  return new NameSource(name, srv === true ? SERVICE : srv === false ? null : srv, intervalMillis, names)
}

class NameSource implements Discovery {
  readonly name: string
  readonly #of: Name
  readonly #service: string | null
  readonly #intervalMillis: number
  readonly #names: Names
  #dueMillis: number
  /** The addresses of each server of the service, as they were told last. */
  readonly #known = new Map<string, Addresses>()

  constructor(of: Name, service: string | null, intervalMillis: number, names: Names) {
    this.name = service === null ? `dns ${of.host}:${of.port}` : `dns ${service}.${of.host}:${of.port}`
    this.#of = of
    this.#service = service === null ? null : `${service}.${of.host}`
    this.#intervalMillis = intervalMillis
    this.#names = names
    this.#dueMillis = intervalMillis
  }

  get dueMillis(): number {
    return this.#dueMillis
  }

  discover(): Promise<readonly NodeAddress[]> {
    return this.#service === null ? this.#hosts() : this.#servers(this.#service)
  }

  stop(): void {
    this.#names.stop()
  }

  async #hosts(): Promise<readonly NodeAddress[]> {
    const found = await this.#names.addresses(this.#of.host)
    this.#holds([found])
    return this.#at(found, this.#of.port, traitsOf(this.#of))
  }

  async #servers(service: string): Promise<readonly NodeAddress[]> {
    const records = (await this.#names.services(service)).filter(({ name }) => name !== '' && name !== '.')
    const servers = await Promise.allSettled(records.map(({ name }) => this.#names.addresses(name)))
    const found: Addresses[] = []
    const addresses = servers.flatMap((server, i) => {
      const record = records[i] as Service
      if (server.status === 'fulfilled') this.#known.set(record.name, server.value)
      // A server whose name cannot be looked up now is where it was.
      const known = this.#known.get(record.name)
      if (known === undefined) return []
      found.push(known)
      const weight = this.#of.weight ?? weightOf(record, records)
      return this.#at(known, record.port, traitsOf({ ...this.#of, weight }))
    })
    for (const name of this.#known.keys()) if (!records.some((record) => record.name === name)) this.#known.delete(name)
    if (addresses.length === 0) throw reasonIn(servers) ?? new Error(`${service} names no server`)
    this.#holds(found)
    return addresses
  }

  #at({ addresses }: Addresses, port: number, traits: Traits): NodeAddress[] {
    const { host } = this.#of
    return addresses.map((address) => ({ host: address, port, servername: host, origin: 'configured', ...traits }))
  }

  #holds(found: readonly Addresses[]): void {
    const told = found.map(({ holdsMillis }) => holdsMillis).filter((millis) => millis !== null)
    this.#dueMillis = Math.min(this.#intervalMillis, Math.max(LEAST_MILLIS, Math.min(Infinity, ...told)))
  }
}

/**
 * Its share of the reads. Those of the lowest priority share them by their weights, 1 being the average. All others, and those of
 * weight 0 beside greater ones, serve only where nothing else can.
 */
export function weightOf(record: Service, records: readonly Service[]): number {
  const first = Math.min(...records.map(({ priority }) => priority))
  if (record.priority !== first) return 0
  const weights = records.filter(({ priority }) => priority === first).map(({ weight }) => weight)
  const sum = weights.reduce((a, b) => a + b, 0)
  return sum === 0 ? 1 : (record.weight * weights.length) / sum
}

function reasonIn(answers: readonly PromiseSettledResult<unknown>[]): unknown {
  return answers.find((answer) => answer.status === 'rejected')?.reason
}
