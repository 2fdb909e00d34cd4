// One server: how it is named, what a probe saw of it, what is believed about it. Values only; decides nothing.

import type { NodeAddress, NodeKey } from './address.js'
import type { Breaker } from './breaker.js'
import type { Answers, Failure } from './failure.js'
import type { Identity } from './identity.js'
import type { Instant } from './instant.js'
import type { Lineage } from './lineage.js'
import type { Detail, Position, Sighting } from './sighting.js'

export type ProbeResult =
  | { readonly kind: 'answer'; readonly sighting: Sighting }
  | { readonly kind: 'failure'; readonly failure: Failure; readonly answers?: Answers }

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
  /** When the newest full look was sent: a lean one does not count attached replicas. */
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
