// Proxies over a test cluster, in this process, ended after each test whatever happened in it.

import type { AddressInfo } from 'node:net'
import pg from 'pg'
import { resolveConfig } from '../../src/config/config.js'
import type { Known } from '../../src/proxy/auth/users.js'
import type { Tls } from '../../src/proxy/client/door.js'
import { DEFAULTS, type ProxyOptions } from '../../src/proxy/options.js'
import { PgProxy } from '../../src/proxy/proxy.js'
import { systemClock } from '../../src/runtime/clock.js'
import type { Cluster, Role } from './cluster.js'
import { eventually } from './pools.js'

export interface Served {
  readonly proxy: PgProxy
  readonly port: number
  /** A connected client, ended with the proxy. */
  connect(more?: pg.ClientConfig): Promise<pg.Client>
  /** Resolves when so many replicas serve reads. */
  ready(replicas: number): Promise<void>
}

interface Given {
  readonly options?: Partial<ProxyOptions>
  /** Of the pool, such as maxLagMillis. */
  readonly config?: object
  readonly list?: ReadonlyMap<string, Known>
  readonly tls?: Tls | null
  readonly role?: Role
}

const open: { readonly proxy: PgProxy; readonly clients: pg.Client[] }[] = []

/** Trusts all unless told otherwise. */
export async function proxyOn(cluster: Cluster, given: Given = {}): Promise<Served> {
  const first = cluster.config(0, given.role)
  const host = cluster.nodes.map((node) => node.host)
  const port = cluster.nodes.map((node) => node.port)
  const config = resolveConfig({ ...first, host, port, readYourWrites: 'session', ...given.config }, {}, {})
  const proxy = new PgProxy({
    clock: systemClock,
    complain: () => {},
    config,
    options: { ...DEFAULTS, authType: 'trust', ...given.options },
    list: given.list ?? new Map(),
    tls: given.tls ?? null,
    version: 'test',
    reload: () => [],
    shown: () => [],
    team: null,
    shutdown: () => {},
  })
  const clients: pg.Client[] = []
  open.push({ proxy, clients })
  const address: AddressInfo = await proxy.listen('127.0.0.1', 0)
  const connect = async (more: pg.ClientConfig = {}) => {
    const client = new pg.Client({ host: '127.0.0.1', port: address.port, user: 'app', database: 'app', ...more })
    client.on('error', () => {})
    await client.connect()
    clients.push(client)
    return client
  }
  const ready = (replicas: number) =>
    eventually(
      `${replicas} replicas serve reads`,
      () => proxy.router.herd.informed && proxy.router.herd.health.replicas >= replicas
    )
  return { proxy, port: address.port, connect, ready }
}

export async function endProxies(): Promise<void> {
  for (const { proxy, clients } of open.splice(0)) {
    await proxy.end()
    await Promise.all(clients.map((client) => client.end().catch(() => {})))
  }
}
