/**
 * What a caller gives and gets: the options of a cluster, its nodes, and what can be done to them. Types alone.
 */
import type pg from 'pg'

/** Every role's password is its name. `app` owns the database `app`, `monitor` is in pg_monitor and in `app`. */
export type Role = 'postgres' | 'replicator' | 'app' | 'monitor'

export type Authentication = 'trust' | 'scram-sha-256' | 'md5' | 'password'
export type Setting = string | number | boolean

/** `fast` ends all sessions, `smart` waits for the clients, `immediate` ends like a crash: the next start recovers. */
export type StopMode = 'fast' | 'immediate' | 'smart'

export interface ClusterOptions {
  /** Beside the primary; 2 unless told. */
  readonly replicas?: number
  /** More of postgresql.conf, for all nodes. */
  readonly settings?: Readonly<Record<string, Setting>>
  /** Of clients; replication is always trusted. `trust` unless told. */
  readonly auth?: Authentication
  /** synchronous_standby_names of the primary, and of every node once it is promoted: `'any 1 (n0, n1, n2)'`. */
  readonly synchronous?: string
  /** Of the nodes by their numbers. A node without one gets a port that is free, and keeps it. */
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

/** What pg.Client takes. */
export interface ConnectionConfig {
  readonly host: string
  readonly port: number
  readonly user: Role
  readonly password: string
  readonly database: string
  /** `false`: no TLS, whatever PGSSLMODE says. */
  readonly ssl: false | { readonly ca: string }
}

/** A node is named by its number; node 0 is the first primary. Every wait has a deadline, and its error says what was awaited. */
export interface Cluster {
  readonly nodes: readonly ClusterNode[]
  node(index: number): ClusterNode
  /** The one node that runs, answers and is not in recovery. Rejects where none is, or more than one. */
  primary(): Promise<ClusterNode>

  /** What pg.Client takes: database `app`, and the role `app` unless told. */
  config(index: number, user?: Role): ConnectionConfig
  /** A URL with all nodes, for a pool of pgherd. */
  connectionString(user?: Role): string
  /** A connected client; the cluster ends it when the caller did not. */
  connect(index: number, user?: Role): Promise<pg.Client>

  /** Resolves when the node accepts connections. */
  start(index: number): Promise<void>
  /** `fast` unless told. */
  stop(index: number, mode?: StopMode): Promise<void>
  /** SIGKILL to the postmaster and all its children. */
  kill(index: number): Promise<void>
  /** SIGSTOP: connections stay, and nothing answers. */
  freeze(index: number): Promise<void>
  thaw(index: number): Promise<void>
  /** What the node has logged so far. */
  log(index: number): string

  /** Resolves when the node accepts writes. The old primary is not stopped. */
  promote(index: number): Promise<void>
  /**
   * Makes the node a replica of `upstream`, whatever it was; resolves when it streams. Rejects with the code
   * PGHERD_DIVERGED when it cannot because it has WAL its upstream never had: reclone() then.
   */
  follow(index: number, upstream: number): Promise<void>
  /** Throws the node's data away and makes it a replica of the running node `from`; resolves when it streams. */
  reclone(index: number, from: number): Promise<void>
  /** Stops the primary, promotes `to`; all running nodes and the old primary follow it. */
  switchover(to: number): Promise<void>

  /** The replica receives WAL and does not replay it: what it shows grows old. */
  pauseReplay(index: number): Promise<void>
  resumeReplay(index: number): Promise<void>
  /** The replica applies commits that many milliseconds late; 0 ends it. */
  delay(index: number, millis: number): Promise<void>
  /** The replica receives nothing, and neither side notices (for wal_sender_timeout, 10 s). */
  cut(index: number): Promise<void>
  heal(index: number): Promise<void>
  /** Resolves when the replica has replayed all that `upstream` (the primary unless told) had flushed at the call. */
  caughtUp(index: number, upstream?: number): Promise<void>

  /** Ends all servers and clients, and removes the data. May be called twice. */
  destroy(): Promise<void>
}
