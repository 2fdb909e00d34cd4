// What sends a statement of query() has of the connections of its node, and of a client.

import type { Client, PoolClient } from 'pg'
import type { Node } from '../core/cluster/node.js'
import type { ServerSession } from '../core/session/server-session.js'
import type { Attempt } from '../herd/herd.js'
import type { Parts } from './parts.js'

/** What a client of ours does with a statement of query(): pg's query(), past what its holder's would go through. */
export const STRAIGHT: unique symbol = Symbol('straight')

export interface Straight {
  [STRAIGHT](first: unknown, values: unknown, done: (error: Error | null | undefined, result: unknown) => void): unknown
}

/** What the connections of one node have to say about a place on it. */
export interface Site {
  readonly parts: Parts
  readonly node: Node
  /** Chosen as a replica, it is none any more, and has not become the primary: what it shows may be of a fork. */
  hasLeft(place: Attempt, session: ServerSession): boolean
  /** The error of that; the client goes. */
  leaves(client: PoolClient, place: Attempt): Error
  cancel(client: Client): Promise<void>
}

/** Why a read that another replica has answered goes no further. No caller gets it. */
export const LOST = new Error('another replica has answered the read')

/** Why a statement that a client has borrowed a connection for goes no further. */
export const CLOSED = 'the client that borrowed was closed'
