// What all connections of one pool share.

import type { Client, PoolClient } from 'pg'
import type { NodeAddress, NodeKey } from '../core/cluster/address.js'
import type { Node } from '../core/cluster/node.js'
import type { Attempt } from '../herd/herd.js'
import type { InnerPoolClass, Notice } from '../pg/internals.js'
import type { ClientClass, RequiredAuth } from '../pg/weak-auth.js'
import type { Router } from '../router/router.js'
import type { Statement } from '../router/statement.js'
import type { Clock } from '../runtime/clock.js'
import type { Complain } from '../runtime/complaints.js'

/** The connections of another node, as a client that borrows needs them. */
export interface Lendable {
  /** A connection is idle, or can be opened at once. */
  readonly hasRoom: boolean
  /** The read can be sent at once, or on a connection that is idle, or can be opened at once. */
  mayRead(place: Attempt, statement: Statement): boolean
  query(place: Attempt, statement: Statement, reading: boolean, sending?: Sending): Promise<unknown>
  lend(place: Attempt, statement: Statement): Promise<PoolClient>
}

/** Whose events are relayed. */
export interface Relayed {
  readonly key: NodeKey
  readonly address: NodeAddress
  readonly condemned: boolean
}

export interface Parts {
  readonly clock: Clock
  readonly router: Router
  readonly PoolClass: InnerPoolClass
  readonly Client: ClientClass
  /** Reads of replicas may share connections. */
  readonly pipelines: boolean
  readonly requireAuth: RequiredAuth | null
  readonly complain: Complain
  /** The application sets connections up as they are made: onConnect, verify. */
  readonly hasHooks: boolean
  /** The application listens to each use of a connection: acquire, release. */
  isHeard(): boolean
  clientConfig(node: Node): Record<string, unknown>
  /** Every event of an inner pool, to be emitted by the outer one. pg-pool's events have one or two arguments. */
  relay(pool: Relayed, event: string, first: unknown, second: unknown): boolean
  /** A connection may have become idle, or is gone. */
  freed(key: NodeKey): void
  /** The connections of a node as it was when it was chosen. */
  poolOf(place: Attempt): Lendable
  /** A client of the primary, to hold. */
  takePrimary(): Promise<PoolClient>
  /** Has the server of this client cancel what it does; resolves when that was said. */
  cancel(client: Client): Promise<void>
}

/** How a statement runs for a client that borrows: as it would on that client's own connection. */
export interface Sending {
  readonly notice: Notice
  /** The parsers of that client. */
  readonly types: unknown
  /** That client was closed. */
  readonly isClosed: boolean
  /** Calls when that client was closed: the statement goes with it. Gives the end of that. */
  onClose(call: () => void): () => void
}
