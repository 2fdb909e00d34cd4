// The immutable topology of a cluster, and the events that change it (reduce.ts). Values only.

import type { NodeAddress, NodeKey } from './address.js'
import type { Failure } from './failure.js'
import { emptyWal, type Wal } from './horizon.js'
import type { Instant } from './instant.js'
import type { Lsn } from './lsn.js'
import type { Node, ProbeResult } from './node.js'
import type { Position, Positions, Receiver } from './sighting.js'

/** The options that belief.ts and selection.ts depend on. */
export interface Rules {
  /** How many hosts the user named. */
  readonly hosts: number
  /** Nothing at all answered for this long: the node is down. */
  readonly silentMillis: number
  /** The flush position is never used for the lag bound. */
  readonly strictAsyncCommit: boolean
  /** Where this process is: replicas there are preferred. Absent or null: not known. */
  readonly zone?: string | null | undefined
}

export interface Topology {
  /** +1 whenever another node, or another timeline, becomes the primary. 0: there has been none yet. */
  readonly epoch: number
  readonly primary: NodeKey | null
  readonly nodes: ReadonlyMap<NodeKey, Node>
  /** More than one server has ever been known or configured. */
  readonly plural: boolean
  /** Several nodes claim to be the primary and nothing decides between them. */
  readonly contested: { readonly since: Instant; readonly claimants: readonly NodeKey[] } | null
  /** The cluster we belong to; null until every configured node was probed once. */
  readonly systemIdentifier: string | null
  /** The configured nodes belong to different clusters, and none was ever chosen. */
  readonly mixed: ReadonlyMap<NodeKey, string> | null
  /** The cluster that every reachable configured node shows instead of ours. */
  readonly newcomer: { readonly systemIdentifier: string; readonly since: Instant } | null
  /** The last accepted primary, whether it is there or not. */
  readonly incumbent: Incumbent | null
  /** The highest timeline of an accepted primary. */
  readonly highest: { readonly timeline: number; readonly lastSeen: Instant } | null
  /** Nodes that claimed beside a live incumbent and were not believed. */
  readonly refused: ReadonlySet<NodeKey>
  /** The last good list of every source. */
  readonly sources: ReadonlyMap<string, readonly NodeAddress[]>
  /** Sources whose newest query failed. */
  readonly blind: ReadonlyMap<string, Failure>
  /** The primary's WAL history in this epoch. */
  readonly wal: Wal
  readonly rules: Rules
  /** All named hosts have answered, all are in recovery, and there has been no primary yet: nothing can be proven. */
  readonly alone: boolean
  /** Nothing new is sent any more, and what is under way is waited for. */
  readonly ended: boolean
}

export interface Incumbent {
  readonly key: NodeKey
  readonly timeline: number | null
  readonly lastLive: Instant
  /** Where its timeline branched off the one before; null: not known. */
  readonly begun: Lsn | null
}

export type TopologyEvent =
  | {
      readonly kind: 'discovered'
      readonly source: string
      readonly addresses: readonly NodeAddress[]
      readonly at: Instant
    }
  | { readonly kind: 'discovery-failed'; readonly source: string; readonly failure: Failure; readonly at: Instant }
  | {
      readonly kind: 'probed'
      readonly key: NodeKey
      readonly startedAt: Instant
      readonly at: Instant
      readonly result: ProbeResult
    }
  | {
      readonly kind: 'accused'
      readonly key: NodeKey
      readonly generation: number
      readonly failure: Failure
      readonly at: Instant
    }
  /** Between two probes the primary was asked how far its WAL reaches, `startedAt` being the time before that. */
  | {
      readonly kind: 'sampled'
      readonly key: NodeKey
      readonly startedAt: Instant
      readonly at: Instant
      readonly timeline: number | null
      readonly positions: Positions
    }
  /** A new connection has said which server it leads to. */
  | { readonly kind: 'identified'; readonly key: NodeKey; readonly startedAt: string; readonly at: Instant }
  /** The application has called drain() or resume() for a node. */
  | { readonly kind: 'drained' | 'resumed'; readonly key: NodeKey }
  /** The application sends nothing more. */
  | { readonly kind: 'ended' }
  /** A connection to a replica has shown how far that has replayed, and from which process that receives. */
  | {
      readonly kind: 'shown'
      readonly key: NodeKey
      readonly generation: number
      readonly position: Position
      readonly receiver: Receiver | null
      /** The primary is known to have been there, or further; null: it was not asked. */
      readonly known: Lsn | null
      readonly at: Instant
    }

export function emptyTopology(rules: Rules): Topology {
  return {
    epoch: 0,
    primary: null,
    nodes: new Map(),
    plural: rules.hosts > 1,
    contested: null,
    systemIdentifier: null,
    mixed: null,
    newcomer: null,
    incumbent: null,
    highest: null,
    refused: new Set(),
    sources: new Map(),
    blind: new Map(),
    wal: { ...emptyWal, strict: rules.strictAsyncCommit },
    rules,
    alone: false,
    ended: false,
  }
}
