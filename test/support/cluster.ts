/**
 * Throw-away PostgreSQL for tests: a real primary with streaming replicas, and everything that can happen to them.
 *
 * Nothing is left behind however the test process ends (cluster-home.ts). Nothing here knows what is tested.
 */
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { type Certificates, makeCertificates } from './certificates.js'
import { type Installation, installation, run } from './cluster-binaries.js'
import { clone } from './cluster-clone.js'
import { homeDirectory } from './cluster-home.js'
import { caughtUp, follow, pauseReplay, primaryOf, promote, streaming, unplug } from './cluster-replication.js'
import { type ConnectionConfig, Server, type StopMode } from './cluster-server.js'
import {
  type Authentication,
  DELAY_FILE,
  hostBasedAuthentication,
  type Role,
  type Setting,
  serverSettings,
  settingLines,
} from './cluster-settings.js'
import { template } from './cluster-template.js'

export type { ConnectionConfig, StopMode } from './cluster-server.js'
export type { Role } from './cluster-settings.js'

export interface ClusterOptions {
  /** Beside the primary; 2 unless told. */
  readonly replicas?: number
  /** More of postgresql.conf, for all nodes. */
  readonly settings?: Readonly<Record<string, Setting>>
  /** Clients must use TLS; config() has the authority that signed the servers' certificate. */
  readonly tls?: boolean
  /** Of clients; replication is always trusted. `trust` unless told. */
  readonly auth?: Authentication
  /** synchronous_standby_names of the primary, and of every node once it is promoted. */
  readonly synchronous?: string
  readonly walSegmentMegabytes?: number
  /** The address each node listens on; 127.0.0.1 unless told. */
  readonly hosts?: readonly string[]
  readonly ports?: readonly number[]
}

export interface ClusterNode {
  readonly index: number
  /** n0, n1, …: its cluster_name, and the application_name of its walreceiver. */
  readonly name: string
  readonly host: string
  readonly port: number
  readonly directory: string
  readonly running: boolean
  /** The postmaster's; undefined when it does not run. */
  readonly pid: number | undefined
}

export interface Cluster {
  readonly nodes: readonly ClusterNode[]
  readonly major: number
  node(index: number): ClusterNode
  /** What pg.Client takes: database `app`, and the role `app` unless told. */
  config(index: number, user?: Role): ConnectionConfig
  /** A connected client; the cluster ends it when the test did not. */
  connect(index: number, user?: Role): Promise<pg.Client>

  /** Resolves when the node accepts connections. */
  start(index: number): Promise<void>
  stop(index: number, mode: StopMode): Promise<void>
  /** SIGKILL to the postmaster and all its children. */
  kill(index: number): Promise<void>
  /** SIGKILL to the postmaster alone: its children go on until they notice. */
  killPostmaster(index: number): Promise<void>
  freeze(index: number): Promise<void>
  thaw(index: number): Promise<void>
  /** SIGKILL to one backend; the server ends all others and recovers. Resolves when the backend is gone. */
  crash(index: number): Promise<void>
  reload(index: number): Promise<void>
  log(index: number): string

  /** Resolves when the node accepts writes. */
  promote(index: number): Promise<void>
  /** Resolves when the node has been told. */
  triggerPromotion(index: number): Promise<void>
  /**
   * Makes the node a replica of `upstream`, whatever it was; resolves when it streams. Throws when it cannot because
   * it has WAL its upstream never had: reclone() then.
   */
  follow(index: number, upstream: number): Promise<void>
  /** Throws the node's data away and makes it a replica of the running node `from`; resolves when it streams. */
  reclone(index: number, from: number): Promise<void>
  /** Stops the primary, promotes `to`; all running nodes and the old primary follow it. */
  switchover(to: number): Promise<void>

  /** The replica applies commits that many milliseconds late; 0 ends it. */
  delay(index: number, millis: number): Promise<void>
  /** The replica receives nothing, and neither side notices (for wal_sender_timeout, 10 s). */
  cut(index: number): Promise<void>
  heal(index: number): Promise<void>
  /** The replica has no upstream. */
  unplug(index: number): Promise<void>
  replug(index: number, upstream: number): Promise<void>
  pauseReplay(index: number): Promise<void>
  resumeReplay(index: number): Promise<void>

  /** Resolves when the replica has replayed all that upstream had flushed when this was called. */
  caughtUp(index: number, upstream: number): Promise<void>
  /** Resolves when the node shows exactly `count` streaming replicas. */
  streaming(index: number, count: number): Promise<void>
  /** May be called twice. */
  destroy(): Promise<void>
}

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const postgres = await installation()
  const directory = mkdtempSync(join(homeDirectory(postgres.owner), 'cluster-'))
  if (postgres.owner) chownSync(directory, postgres.owner.uid, postgres.owner.gid)
  const certificates = options.tls ? sharedCertificates() : undefined
  const servers = Array.from({ length: 1 + (options.replicas ?? 2) }, (_, index) => {
    const [host, port] = [options.hosts?.[index] ?? '127.0.0.1', options.ports?.[index]]
    return new Server({ index, host, port, cluster: directory, installation: postgres, ca: certificates?.authority })
  })
  const cluster = new LiveCluster(servers, directory, postgres)
  try {
    await cluster.create(options, certificates)
    return cluster
  } catch (error) {
    await cluster.destroy()
    throw error
  }
}

let certificatesOfThisProcess: Certificates | undefined
function sharedCertificates(): Certificates {
  certificatesOfThisProcess ??= makeCertificates(['localhost', 'db.test'], ['127.0.0.1', '::1'])
  return certificatesOfThisProcess
}

class LiveCluster implements Cluster {
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

  async create(options: ClusterOptions, certificates: Certificates | undefined): Promise<void> {
    const { walSegmentMegabytes: segmentMegabytes = 16, auth = 'trust', tls = false, settings: extra = {} } = options
    const origin = await template(this.#installation, segmentMegabytes, auth)
    const settings = { major: this.major, segmentMegabytes, synchronous: options.synchronous, tls, extra }
    const furnish = async (server: Server) => {
      await run('cp', ['-a', origin, server.directory], this.#installation.owner)
      server.append('postgresql.conf', serverSettings(settings))
      server.write('pg_hba.conf', hostBasedAuthentication(auth, tls))
      if (!certificates) return
      server.write('server.crt', certificates.certificate)
      server.write('server.key', certificates.key)
    }
    await Promise.all(this.nodes.map(furnish))
    const primary = this.node(0)
    await primary.start()
    await Promise.all(this.nodes.slice(1).map((replica) => follow(replica, primary)))
    await streaming(primary, this.nodes.length - 1)
  }

  node(index: number): Server {
    const server = this.nodes[index]
    if (!server) throw new RangeError(`no node ${index}: the cluster has ${this.nodes.length}`)
    return server
  }

  config(index: number, user?: Role): ConnectionConfig {
    return this.node(index).config(user)
  }

  async connect(index: number, user?: Role): Promise<pg.Client> {
    const client = new pg.Client(this.config(index, user))
    client.on('error', () => undefined) // a server that ends is what tests are about
    client.once('end', () => this.#clients.delete(client))
    await client.connect()
    this.#clients.add(client)
    return client
  }

  start(index: number): Promise<void> {
    return this.node(index).start()
  }

  stop(index: number, mode: StopMode): Promise<void> {
    return this.node(index).stop(mode)
  }

  kill(index: number): Promise<void> {
    return this.node(index).kill()
  }

  killPostmaster(index: number): Promise<void> {
    return this.node(index).killPostmaster()
  }

  freeze(index: number): Promise<void> {
    return this.node(index).freeze()
  }

  async thaw(index: number): Promise<void> {
    this.node(index).thaw()
  }

  crash(index: number): Promise<void> {
    return this.node(index).crash()
  }

  reload(index: number): Promise<void> {
    return this.node(index).reload()
  }

  log(index: number): string {
    return this.node(index).log()
  }

  promote(index: number): Promise<void> {
    return promote(this.node(index))
  }

  triggerPromotion(index: number): Promise<void> {
    return this.node(index).triggerPromotion()
  }

  follow(index: number, upstream: number): Promise<void> {
    return follow(this.node(index), this.node(upstream))
  }

  async reclone(index: number, from: number): Promise<void> {
    const [server, source] = [this.node(index), this.node(from)]
    if (server.running) await server.kill()
    await clone(server, source)
    await follow(server, source)
  }

  async switchover(to: number): Promise<void> {
    const [primary, successor] = [await primaryOf(this.nodes), this.node(to)]
    if (primary === successor) throw new Error(`${primary.name} is the primary already`)
    const others = this.nodes.filter((server) => server.running && server !== primary && server !== successor)
    await primary.stop('fast')
    await promote(successor)
    await Promise.all([...others, primary].map((server) => follow(server, successor)))
  }

  async delay(index: number, millis: number): Promise<void> {
    this.node(index).write(DELAY_FILE, settingLines({ recovery_min_apply_delay: millis }))
    await this.reload(index)
  }

  cut(index: number): Promise<void> {
    return this.node(index).cut()
  }

  async heal(index: number): Promise<void> {
    this.node(index).heal()
  }

  unplug(index: number): Promise<void> {
    return unplug(this.node(index))
  }

  replug(index: number, upstream: number): Promise<void> {
    return this.follow(index, upstream)
  }

  pauseReplay(index: number): Promise<void> {
    return pauseReplay(this.node(index))
  }

  async resumeReplay(index: number): Promise<void> {
    await this.node(index).ask('select pg_wal_replay_resume()')
  }

  caughtUp(index: number, upstream: number): Promise<void> {
    return caughtUp(this.node(index), this.node(upstream))
  }

  streaming(index: number, count: number): Promise<void> {
    return streaming(this.node(index), count)
  }

  destroy(): Promise<void> {
    this.#destroyed ??= this.#destroy()
    return this.#destroyed
  }

  async #destroy(): Promise<void> {
    await Promise.all(this.nodes.map((server) => server.destroy()))
    // Only now, that no server is left to keep a client waiting.
    await Promise.all([...this.#clients].map((client) => client.end()))
    rmSync(this.#directory, { recursive: true, force: true, maxRetries: 5 })
  }
}
