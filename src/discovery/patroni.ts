// Patroni's REST API -> the addresses of its members, with what their tags say. Its list is often old, and its leader may be dead: it
// only says where to look, and when to look at once. What a server is the server itself says.

import { type ClientRequest, get as getPlain, type IncomingMessage } from 'node:http'
import { get as getSecure, type RequestOptions } from 'node:https'
import { type NodeAddress, traitsOf } from '../core/cluster/address.js'
import type { Discovery } from './discovery.js'

export interface PatroniSettings {
  /** Where the REST API is, as `'https://10.0.0.1:8008'`; a user and a password may stand there, for basic authentication. */
  readonly urls?: readonly string[] | undefined
  /** The named hosts have it, at `port`. */
  readonly fromHosts?: boolean | undefined
  /** Default 8008. */
  readonly port?: number | undefined
  /** For URLs with https: certificates and keys, as `tls.connect()` of Node takes them. */
  readonly tls?: Readonly<Record<string, unknown>> | undefined
}

export interface PatroniSource extends PatroniSettings {
  readonly source: 'patroni'
}

/** For the `discovery` option: the members of a Patroni cluster, as its REST API lists them. */
export function patroni(settings: PatroniSettings): PatroniSource {
  return { source: 'patroni', ...settings }
}

export const PATRONI = 'patroni'
const PORT = 8008
/** Its own loop is slower. */
const INTERVAL_MILLIS = 1000
const TIMEOUT_MILLIS = 2000
const MOST_BYTES = 1 << 20

/** Where it is asked. */
export function urlsOf(
  { urls = [], fromHosts = false, port = PORT }: PatroniSettings,
  hosts: readonly string[]
): string[] {
  // The directory of a Unix socket is no host.
  const names = hosts.filter((host) => !host.startsWith('/'))
  const named = fromHosts ? names.map((host) => `http://${host.includes(':') ? `[${host}]` : host}:${port}`) : []
  return [...new Set([...urls, ...named])]
}

export class PatroniMembers implements Discovery {
  readonly name = PATRONI
  readonly dueMillis = INTERVAL_MILLIS
  readonly #urls: readonly URL[]
  readonly #tls: Readonly<Record<string, unknown>>
  #asked = new AbortController()
  #leader: string | null = null

  constructor(urls: readonly string[], tls: Readonly<Record<string, unknown>> = {}) {
    this.#urls = urls.map((url) => new URL(`${url.replace(/\/+$/, '')}/cluster`))
    this.#tls = tls
  }

  /** Whom it calls the leader, and on which timeline. */
  get news(): string | null {
    return this.#leader
  }

  /** The first answer counts: any member knows all of them. */
  async discover(): Promise<readonly NodeAddress[]> {
    this.#asked = new AbortController()
    const signal = AbortSignal.any([this.#asked.signal, AbortSignal.timeout(TIMEOUT_MILLIS)])
    try {
      const members = await Promise.any(
        this.#urls.map(async (url) => membersIn(JSON.parse(await bodyOf(url, this.#tls, signal))))
      )
      const leader = members.find(({ isLeader }) => isLeader)
      this.#leader = leader === undefined ? null : `${leader.address.host}:${leader.address.port} ${leader.timeline}`
      return members.map(({ address }) => address)
    } catch (error) {
      const [first] = error instanceof AggregateError ? error.errors : [error]
      throw first ?? new Error('no URL leads to Patroni')
    } finally {
      this.#asked.abort()
    }
  }

  stop(): void {
    this.#asked.abort()
  }
}

function bodyOf(url: URL, tls: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const options: RequestOptions = { ...tls, signal, agent: false }
    const read = (response: IncomingMessage) => {
      const chunks: Buffer[] = []
      let bytes = 0
      response.on('error', reject)
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes <= MOST_BYTES) chunks.push(chunk)
        else response.destroy(new Error('the answer of Patroni is too long'))
      })
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString())
        else reject(new Error(`Patroni answered with status ${response.statusCode}`))
      })
    }
    const asked: ClientRequest =
      url.protocol === 'https:' ? getSecure(url, options, read) : getPlain(url, options, read)
    asked.on('error', reject)
    // What is looked up here keeps no program alive.
    asked.on('socket', (socket) => socket.unref())
  })
}

export interface Member {
  readonly address: NodeAddress
  readonly isLeader: boolean
  readonly timeline: number | null
}

const LEADERS: ReadonlySet<unknown> = new Set(['leader', 'standby_leader'])

/** The members that say where they are. Throws where it is no list of members. */
export function membersIn(body: unknown): readonly Member[] {
  const { members } = (body ?? {}) as { readonly members?: unknown }
  if (!Array.isArray(members)) throw new Error('Patroni answered without a list of members')
  return members.flatMap((each: unknown) => {
    const { host, port, role, timeline, tags } = (each ?? {}) as Readonly<Record<string, unknown>>
    if (typeof host !== 'string' || host === '' || !isPort(port)) return []
    const { noloadbalance } = (tags ?? {}) as { readonly noloadbalance?: unknown }
    const traits = traitsOf(noloadbalance === true ? { weight: 0 } : {})
    const address: NodeAddress = { host, port, servername: null, origin: 'discovered', ...traits }
    return [{ address, isLeader: LEADERS.has(role), timeline: typeof timeline === 'number' ? timeline : null }]
  })
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) <= 65_535
}
