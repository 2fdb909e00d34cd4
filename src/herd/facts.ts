// What a face tells the herd.

import type { NodeKey } from '../core/cluster/address.js'
import type { Failure } from '../core/cluster/failure.js'
import type { Lsn } from '../core/cluster/lsn.js'
import type { Position, Receiver } from '../core/cluster/sighting.js'

export type Fact =
  /** A connection to this node failed, or said that the node is in recovery. */
  | { readonly kind: 'accused'; readonly key: NodeKey; readonly generation: number; readonly failure: Failure }
  /** A new connection has said which server it leads to. */
  | { readonly kind: 'identified'; readonly key: NodeKey; readonly startedAt: string }
  /** The application wants a node left alone, or used again. */
  | { readonly kind: 'drained' | 'resumed'; readonly key: NodeKey }
  /** A write was acknowledged: reads will ask for a position that covers it. */
  | { readonly kind: 'acknowledged' }
  /** A write was acknowledged, and its position came with it. */
  | { readonly kind: 'captured' }
  /**
   * A connection to a replica showed its position. `guard`: it did so for a read that was a guess, and that needs a position taken
   * so long ago.
   */
  | {
      readonly kind: 'shown'
      readonly key: NodeKey
      readonly generation: number
      readonly position: Position
      /** The server that the replica receives from. */
      readonly receiver: Receiver | null
      /** What the read needs: the primary has been there. */
      readonly known: Lsn
      readonly guard: { readonly passed: boolean; readonly ageMillis: number } | null
    }
  /** Functions, views or kinds of tables may have changed; the change is acknowledged. */
  | { readonly kind: 'defined' }

/** A new connection has met what a probe on an old one may not see: its server turns others away, or is no longer there. */
export function isOfNewConnection({ kind, sent }: Failure): boolean {
  return kind === 'starting' || kind === 'unreachable' || (kind === 'role' && sent === 'never')
}
