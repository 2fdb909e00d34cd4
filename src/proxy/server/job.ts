// What a client wants of a server connection: its unit, in its session.

import type { Scope } from '../../core/session/causal-scope.js'
import type { Settings } from '../session/settings.js'
import type { Expected, Unit } from '../session/unit.js'
import type { ServerConnection } from './connection.js'
import type { Ended, Sink } from './exchange.js'

export interface Job {
  readonly user: string
  readonly database: string
  readonly scope: Scope | undefined
  readonly settings: Settings
  readonly unit: Unit
  /** Its texts as one; null: there is none to read. */
  readonly text: string | null
  /** What is sent ahead of the unit, to get where its transaction is; null: nothing. */
  readonly shape: string | null
  /** A COPY may be in it, or an answer is wanted before its end: nothing else travels with it. */
  readonly isAlone: boolean
  /** More of it may follow. */
  readonly isOpen: boolean
  readonly sink: Sink
  /** The client has gone, or its statement was cancelled while it waited. */
  readonly isGone: boolean
  /** The client waits for a connection of this node, and then has it. */
  waits(withdraw: (() => void) | null): void
  runsOn(connection: ServerConnection, running: Running): void
  /** What ended the unit was skipped by the server: it goes on. */
  goesOn(connection: ServerConnection): void
  /** The unit has failed, and `exchange` was told or not; the error follows. */
  failed(connection: ServerConnection, running: Running): void
  /** The unit is done. True: the client keeps the connection. */
  keeps(connection: ServerConnection, ended: Ended): boolean
}

/** A unit under way on a connection. */
export interface Running {
  /** More of the unit was sent, and this will be answered. */
  extend(expects: readonly Expected[]): void
  /** So many messages of the client were carried out: all where none has failed. */
  readonly reached: number
  /** Bytes of its answer were told to the client. */
  readonly isTold: boolean
  readonly hasCopied: boolean
}
