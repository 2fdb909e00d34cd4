// What a face brings to the router: its clock, its connections as far as they are counted, and which session its caller is in.

import type { NodeKey } from '../core/cluster/address.js'
import type { Attempt, HerdParts, Sessions } from '../herd/herd.js'
import type { Clock } from '../runtime/clock.js'
import type { Complain } from '../runtime/complaints.js'
import type { Connections, Gauges } from '../telemetry/meters.js'
import type { Scopes, TokenLost } from './causality.js'

/** What the router needs of its face. */
export interface Face {
  readonly clock: Clock
  readonly complain: Complain
  /** Which session of the application the code that runs now belongs to. */
  readonly scopes: Scopes
  /** A caller holds a connection. */
  busy(): boolean
  /** The face's own sessions with a node. */
  sessions(key: NodeKey): Sessions
  connections(): Iterable<Connections>
  /** The one connection that all statements share has state that a caller has set, so reads must run on it, too. */
  sharesSession(): boolean
  readonly limits: Pick<Gauges, 'max' | 'min' | 'namespace'>
  tokenLost(lost: TokenLost): void
  /** In the place of connections to servers: what answers the herd's questions. */
  readonly instead?: Pick<HerdParts, 'probes' | 'sources' | 'ask'>
}

/** How a whole transaction begins. */
export interface Beginning {
  readonly text: string
  readonly readOnly: boolean
  readonly isSerializable: boolean
}

/** One attempt of a request: on this node, `reading` only or perhaps not. */
export type RunOn<T> = (place: Attempt, reading: boolean) => Promise<T>
