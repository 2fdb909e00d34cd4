// What a server connection has under way, and the messages that answer it. Types only.

import type { Source, Spoken } from '../../core/cluster/failure.js'
import type { UnderWay } from '../../core/session/server-session.js'
import type { Status } from '../wire/write.js'

/** A message of the server, or a piece of one. */
export interface Piece {
  readonly type: number
  readonly bytes: Buffer
  readonly from: number
  readonly to: number
  readonly begins: boolean
  readonly ends: boolean
}

/** What a server connection has under way; the oldest is answered first. */
export interface Exchange {
  readonly underWay: UnderWay
  /** True: the piece is the client's. Null: it cannot be an answer to what was sent. */
  piece(piece: Piece): boolean | null
  /** ErrorResponse, whole. */
  failed(spoken: Spoken): void
  /** ReadyForQuery; behind it another exchange is answered. */
  ended(status: Status): void
  lost(error: Error, source: Source): void
  /** To be told to the client behind the piece; emptied by the reader. */
  readonly inserts: Buffer[]
  write(bytes: Buffer): void
  parameter(name: string, value: string): void
}
