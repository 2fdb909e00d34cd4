// One server: how it is named, what a probe saw of it, what is believed about it. Values only; decides nothing.

import type { Failure } from './failure.js'
import type { Lsn } from './lsn.js'

declare const brand: unique symbol
/** `host:port`, the name of a node in code, errors, events and docs. */
export type NodeKey = string & { readonly [brand]: 'NodeKey' }

/** One moment on both local clocks, in milliseconds. The monotonic one stands still while the machine sleeps. */
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

/** The slow-moving part of a probe: asked at connect, after a change and every few seconds. */
export interface Detail {
  /** null: the role may not call pg_control_system(). */
  readonly systemIdentifier: string | null
  readonly startedAt: string
  /** Timelines that a replica is known to have replayed or received. null: not allowed to see (pg_read_all_stats). */
  readonly controlTimeline: number | null
  readonly receivedTimeline: number | null
  readonly senders: readonly Sender[]
  readonly asynchronousCommit: boolean
  readonly walWriterDelayMillis: number
  readonly walSegmentBytes: bigint
  readonly standardConformingStrings: boolean
}

/** What one probe saw. `timeline` is the current one of a node that is not in recovery. `detail` null: a lean probe. */
export interface Sighting {
  readonly inRecovery: boolean
  readonly timeline: number | null
  readonly insert: Lsn | null
  readonly flush: Lsn | null
  readonly replay: Lsn | null
  readonly detail: Detail | null
}

export type ProbeResult =
  | { readonly kind: 'answer'; readonly sighting: Sighting }
  | { readonly kind: 'failure'; readonly failure: Failure }

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
      /** Proved to follow the present primary's timeline. Without it, its position may be one of a dead fork. */
      readonly follows: boolean
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
  /** When the node last answered anything at all. */
  readonly answeredAt: Instant | null
  /** When the first of the probes was sent that have gone unanswered since. */
  readonly missedAt: Instant | null
}

export function isUp(node: Node): boolean {
  return node.state.kind === 'primary' || node.state.kind === 'replica' || node.state.kind === 'claimant'
}
