/**
 * Throw-away PostgreSQL for tests: a real primary with streaming replicas, and everything that can happen to them.
 *
 * Nothing is left behind however the test process ends (cluster-home.ts). Nothing here knows what is tested.
 */
import { chownSync, mkdtempSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type pg from 'pg'
import { makeCertificates } from './certificates.js'
import { installation } from './cluster-binaries.js'
import { homeDirectory } from './cluster-home.js'
import { LiveCluster } from './cluster-live.js'
import { type ConnectionConfig, Server, type StopMode } from './cluster-server.js'
import type { Authentication, Role, Setting } from './cluster-settings.js'

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
  /** Called with each step of building it, before the step begins. */
  readonly onStep?: (step: string) => void
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
  const certificates = options.tls ? certificatesFor(options.hosts ?? []) : undefined
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

function certificatesFor(hosts: readonly string[]) {
  const named = hosts.filter((host) => !isIP(host))
  const addressed = hosts.filter((host) => isIP(host))
  return makeCertificates(['localhost', 'db.test', ...named], ['127.0.0.1', '::1', ...addressed])
}
