// What a lane asks of the connections of its node.

import type { Client } from 'pg'
import type { Attempt } from '../herd/herd.js'
import type { Statement } from '../router/statement.js'
import type { Clock } from '../runtime/clock.js'
import type { LaneRead } from './ride.js'
import type { Site } from './site.js'

/** A lane, as far as its owner looks at it. */
export interface Shared {
  readonly client: Client
  /** Reads that were sent on it. */
  readonly uses: number
}

export interface LaneOwner extends Pick<Site, 'parts' | 'node' | 'hasLeft'> {
  readonly clock: Clock
  /** The error of a read on what is no replica any more; its node is accused. */
  left(place: Attempt): Error
  /** Sends the read again, on another connection; `mustWait` false: only where one is free. False: it stays where it is. */
  elsewhere(read: LaneRead, from: Shared, mustWait: boolean): boolean
  /** One request to cancel what the server does for this client; resolves when its connection is closed. */
  cancelOnce(client: Client): Promise<void>
  /** A read was the head for so long, and brought so many rows. */
  took(lane: Shared, statement: Statement, rows: number, millis: number): void
  /** Its connection was used as often, or as long, as it may be. */
  isSpent(lane: Shared): boolean
  /** A lane that is to give its connection up does not come to it. */
  delays(): void
  /** What rests shall not keep the process alive (`allowExitOnIdle`). */
  readonly mayExit: boolean
  /** What is to be done with a lane that rests: its connection is wanted, or it is spent. */
  isDone(lane: Shared, restMillis: number): boolean
  closed(lane: Shared): void
}
