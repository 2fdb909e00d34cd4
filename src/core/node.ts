// One server: how it is named, what a probe saw of it, what is believed about it. Values only; decides nothing.

import type { Breaker } from './breaker.js'
import type { Answers, Failure } from './failure.js'
import type { Identity } from './identity.js'
import type { Lineage } from './lineage.js'
import type { Lsn } from './lsn.js'

declare const brand: unique symbol
/** `host:port`, the name of a node in code, errors, events and docs. */
export type NodeKey = string & { readonly [brand]: 'NodeKey' }

/**
 * One moment in milliseconds: on the monotonic clock, which stands still while the machine sleeps, and as the time that has
 * passed by that or the wall clock, whichever said more at every step. Neither is the time of day.
 */
export interface Instant {
  readonly mono: number
  readonly wall: number
}

/** Milliseconds from `from` to `to`: the larger of the two clocks' opinions, so that neither sleep nor a clock set back hides age. */
export function elapsed(from: Instant, to: Instant): number {
  return Math.max(to.mono - from.mono, to.wall - from.wall)
}

export interface NodeAddress {
  readonly host: string
  readonly port: number
  /** The name that the server's certificate must carry; null when the host itself is checked. */
  readonly servername: string | null
  /** 'configured': the user named it. 'discovered': found, used. 'shown': found, listed, never connected to. */
  readonly origin: 'configured' | 'discovered' | 'shown'
}

export function keyOf(address: { readonly host: string; readonly port: number }): NodeKey {
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return `${host}:${address.port}` as NodeKey
}

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
  /** Whom its WAL receiver is connected to, in the replica's own words; null: it has none. `host` null: not allowed to see. */
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
  /** Whom it takes us for; null: it does not say. */
  readonly role: string | null
  /** That role may see all of pg_stat_replication and pg_stat_wal_receiver; null: there is no such privilege. */
  readonly readsStats: boolean | null
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
  /** Does a replica send its log to anybody? 0: to none; absent: not known. */
  readonly feeds?: number | null
  readonly detail: Detail | null
}

export type ProbeResult =
  | { readonly kind: 'answer'; readonly sighting: Sighting }
  | { readonly kind: 'failure'; readonly failure: Failure; readonly answers?: Answers }

/** A replica's position, and when it was asked for: it counts only for connections that were ready before that. */
export interface Position {
  readonly lsn: Lsn
  readonly askedAt: Instant
}

export type NodeState =
  | { readonly kind: 'unknown'; readonly failure: Failure | null }
  | { readonly kind: 'primary'; readonly timeline: number | null; readonly detail: Detail }
  | { readonly kind: 'claimant'; readonly timeline: number | null; readonly detail: Detail }
  | {
      readonly kind: 'replica'
      readonly position: Position | null
      /** Proved to follow the present primary's history, up to `position`. Without it, its position may be one of a dead fork. */
      readonly follows: boolean
      /** What it shows is proven at once: a guard can tell. Absent: it can. */
      readonly direct?: boolean
      readonly detail: Detail
    }
  | { readonly kind: 'down'; readonly since: Instant; readonly failure: Failure }
  | { readonly kind: 'foreign'; readonly systemIdentifier: string }
  | { readonly kind: 'alias'; readonly of: NodeKey }

export interface Suspicion {
  readonly since: Instant
  readonly failure: Failure
}

export interface Node {
  readonly key: NodeKey
  readonly address: NodeAddress
  /** +1 whenever every connection opened before must go: callers compare it, faces obey it. */
  readonly generation: number
  readonly state: NodeState
  /** Accused, not convicted: new statements wait, those in flight are not touched. */
  readonly suspect: Suspicion | null
  /** What the newest probe saw; null when it failed, or before the first. */
  readonly seen: Sighting | null
  /** When that probe was sent: an older probe that reports later is dropped. */
  readonly probedAt: Instant | null
  /** When the newest full look was sent: a lean one does not count who is attached. */
  readonly countedAt: Instant | null
  /** Since when it says that it is not in recovery; null: it does not. */
  readonly claimsSince: Instant | null
  /** The newest replay position that any connection to it has shown; null since a probe failed. */
  readonly shown: Position | null
  /** What is known of its history, while it is in recovery. */
  readonly lineage: Lineage
  /** Which server has answered there; null: none yet. */
  readonly identity: Identity | null
  /** The application has asked that nothing more be sent there. */
  readonly draining: boolean
  /** It has failed lately: how it is eased back in. */
  readonly breaker: Breaker | null
  /** How many connections to it have broken: what one session was shown before is no promise for the next. */
  readonly losses: number
  /** When the node last answered anything at all. */
  readonly answeredAt: Instant | null
  /** When the first of the probes was sent that have gone unanswered since. */
  readonly missedAt: Instant | null
}

export function isUp(node: Node): boolean {
  return node.state.kind === 'primary' || node.state.kind === 'replica' || node.state.kind === 'claimant'
}
