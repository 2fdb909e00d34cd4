/**
 * A cluster's nodes by their numbers: every method finds its servers and hands over to what does the work.
 */
import { rmSync } from 'node:fs'
import pg from 'pg'
import type { Installation } from './binaries.js'
import { clone } from './clone.js'
import { cut, end, freeze, heal, kill, thaw } from './harm.js'
import { caughtUp, follow, pauseReplay, primaryOf, promote, streaming } from './replication.js'
import type { Server } from './server.js'
import { DELAY_FILE, hostBasedAuthentication, serverSettings, settingLines, UPSTREAM_FILE } from './settings.js'
import { copyTemplate, recycle, template } from './template.js'
import type { Cluster, ClusterOptions, ConnectionConfig, Role, StopMode } from './types.js'

/** All in PEM. */
export interface Certificates {
  readonly authority: string
  readonly certificate: string
  readonly key: string
}

export interface BuildOptions extends ClusterOptions {
  /** Clients must use TLS; config() has the authority that signed the servers' certificate. */
  readonly certificates?: Certificates | undefined
  readonly walSegmentMegabytes?: number
  /** The address each node listens on; 127.0.0.1 unless told. */
  readonly hosts?: readonly string[]
}

export class LiveCluster implements Cluster {
  readonly nodes: readonly Server[]
  readonly major: number
  readonly #directory: string
  readonly #installation: Installation
  readonly #clients = new Set<pg.Client>()
  #destroyed: Promise<void> | undefined

  constructor(servers: readonly Server[], directory: string, postgres: Installation) {
    this.nodes = servers
    this.major = postgres.major
    this.#directory = directory
    this.#installation = postgres
  }

  async create(options: BuildOptions): Promise<void> {
    const { walSegmentMegabytes: segmentMegabytes = 16, auth = 'trust', settings: extra = {} } = options
    const { onStep = () => {}, certificates } = options
    const tls = certificates !== undefined
    onStep('initdb makes an empty database')
    const origin = await template(this.#installation, segmentMegabytes, auth)
    const settings = { major: this.major, segmentMegabytes, synchronous: options.synchronous, tls, extra }
    const primary = this.node(0)
    const furnish = async (server: Server) => {
      await copyTemplate(origin, server.directory, this.#installation)
      server.append('postgresql.conf', serverSettings(settings))
      server.write('pg_hba.conf', hostBasedAuthentication(auth, tls))
      for (const file of [UPSTREAM_FILE, DELAY_FILE]) server.write(file, '')
      if (server !== primary) server.write('standby.signal', '')
      if (!certificates) return
      server.write('server.crt', certificates.certificate)
      server.write('server.key', certificates.key)
    }
    onStep(`each of the ${this.nodes.length} servers gets a copy of it`)
    await Promise.all(this.nodes.map(furnish))
    onStep('the primary starts')
    await primary.start()
    onStep('the replicas start, and connect to the primary')
    await Promise.all(this.nodes.slice(1).map((replica) => follow(replica, primary)))
    await streaming(primary, this.nodes.length - 1)
  }

  node(index: number): Server {
    const server = this.nodes[index]
    if (!server) throw new RangeError(`no node ${index}: the cluster has ${this.nodes.length}`)
    return server
  }

  primary(): Promise<Server> {
    return primaryOf(this.nodes)
  }

  config(index: number, user?: Role): ConnectionConfig {
    return this.node(index).config(user)
  }

  connectionString(user: Role = 'app'): string {
    const hosts = this.nodes.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`)
    return `postgres://${user}:${user}@${hosts.join(',')}/app`
  }

  async connect(index: number, user?: Role): Promise<pg.Client> {
    const client = new pg.Client(this.config(index, user))
    client.on('error', () => undefined) // a server that ends is what such tests are about
    client.once('end', () => this.#clients.delete(client))
    await client.connect()
    this.#clients.add(client)
    return client
  }

  start(index: number): Promise<void> {
    return this.node(index).start()
  }

  stop(index: number, mode: StopMode = 'fast'): Promise<void> {
    return this.node(index).stop(mode)
  }

  kill(index: number): Promise<void> {
    return kill(this.node(index))
  }

  freeze(index: number): Promise<void> {
    return freeze(this.node(index))
  }

  async thaw(index: number): Promise<void> {
    thaw(this.node(index))
  }

  log(index: number): string {
    return this.node(index).log()
  }

  promote(index: number): Promise<void> {
    return promote(this.node(index))
  }

  follow(index: number, upstream: number): Promise<void> {
    return follow(this.node(index), this.node(upstream))
  }

  async reclone(index: number, from: number): Promise<void> {
    const [server, source] = [this.node(index), this.node(from)]
    await kill(server) // or what a killed postmaster left
    await clone(server, source)
    await follow(server, source)
  }

  async switchover(to: number): Promise<void> {
    const [primary, successor] = [await this.primary(), this.node(to)]
    if (primary === successor) throw new Error(`${primary.name} is the primary already`)
    const others = this.nodes.filter((server) => server.running && server !== primary && server !== successor)
    await primary.stop('fast')
    await promote(successor)
    await Promise.all([...others, primary].map((server) => follow(server, successor)))
  }

  async delay(index: number, millis: number): Promise<void> {
    this.node(index).write(DELAY_FILE, settingLines({ recovery_min_apply_delay: millis }))
    await this.node(index).reload()
  }

  cut(index: number): Promise<void> {
    return cut(this.node(index))
  }

  async heal(index: number): Promise<void> {
    heal(this.node(index))
  }

  pauseReplay(index: number): Promise<void> {
    return pauseReplay(this.node(index))
  }

  async resumeReplay(index: number): Promise<void> {
    await this.node(index).ask('select pg_wal_replay_resume()')
  }

  async caughtUp(index: number, upstream?: number): Promise<void> {
    await caughtUp(this.node(index), upstream === undefined ? await this.primary() : this.node(upstream))
  }

  destroy(): Promise<void> {
    this.#destroyed ??= this.#destroy()
    return this.#destroyed
  }

  async #destroy(): Promise<void> {
    await Promise.all(this.nodes.map(end))
    // Only now, that no server is left to keep a client waiting.
    await Promise.all([...this.#clients].map((client) => client.end()))
    for (const { directory } of this.nodes) recycle(directory, this.#installation)
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 })
  }
}
