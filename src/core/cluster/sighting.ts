// What one probe saw of a server. Values only.

import type { Instant } from './instant.js'
import type { Lsn } from './lsn.js'

/** A row of pg_stat_replication. `address` is null for a role without pg_read_all_stats and for a Unix socket. */
export interface Sender {
  readonly address: string | null
  readonly name: string
  readonly state: string | null
}

export interface Upstream {
  readonly pid: number
  readonly host: string | null
  readonly port: number | null
}

/** A replica's WAL receiver, as far as the role may see it: any role sees its process, and what has arrived. */
export interface Receiver {
  readonly pid: number
  readonly timeline: number | null
  readonly streaming: boolean
  readonly received: Lsn | null
}

/** The slow-moving part of a probe: asked at connect, after a change and every few seconds. */
export interface Detail {
  /** null: the role may not call pg_control_system(). */
  readonly systemIdentifier: string | null
  readonly startedAt: string
  /** Timelines that a replica is known to have replayed or received. null: not allowed to see (pg_read_all_stats). */
  readonly controlTimeline: number | null
  readonly receivedTimeline: number | null
  /** The server that its WAL receiver is connected to, by the replica's own name for it; null: none. `host` null: not allowed to see. */
  readonly sender?: Upstream | null
  /** The last checkpoint or restartpoint: position, redo, timeline, next transaction and time. */
  readonly checkpoint?: string | null
  readonly senders: readonly Sender[]
  readonly asynchronousCommit: boolean
  readonly walWriterDelayMillis: number
  readonly walSegmentBytes: bigint
  readonly standardConformingStrings: boolean
  /** `server_version`, with what its packager added; null: it does not say. */
  readonly version: string | null
  /** The role of the probe's session; null: the server does not say. */
  readonly role: string | null
  /** That role may see all of pg_stat_replication and pg_stat_wal_receiver; null: there is no such privilege. */
  readonly readsStats: boolean | null
  /** Where it listens, in its own words. Absent: it does not say. */
  readonly port?: number
  /** Another process of the server answers than the one that took the login. Absent: the same, or it cannot be told. */
  readonly isPooled?: boolean
}

/** How far a primary's WAL reaches: what was inserted into it, and what of that is on disk. */
export interface Positions {
  readonly insert: Lsn | null
  readonly flush: Lsn | null
  /** The session that was asked commits asynchronously by default. Absent: it was not asked. */
  readonly asynchronous?: boolean
}

/**
 * What one probe saw. `timeline` is the current one of a node that is not in recovery. `replay` of a promoted primary is
 * where its timeline began, until it restarts. `detail` null: a lean probe.
 */
export interface Sighting extends Positions {
  readonly inRecovery: boolean
  readonly timeline: number | null
  readonly replay: Lsn | null
  /** Of a replica; null: it has none, or does not say. */
  readonly receiver?: Receiver | null
  /** How many servers a replica sends its log to. Absent: not known. */
  readonly feeds?: number | null
  readonly detail: Detail | null
}

/** A replica's position, and when it was asked for: it counts only for connections that were ready before that. */
export interface Position {
  readonly lsn: Lsn
  readonly askedAt: Instant
}
