// What a server connection tells, and whom. Types only.

import type { Source } from '../../core/cluster/failure.js'
import type { ServerSession } from '../../core/session/server-session.js'

/** What a connection tells while it lives. */
export interface Listener {
  heard(session: ServerSession, facts: number, text: string | null): void
  standby(is: boolean): void
  legible(is: boolean): void
  notified(): void
  /** It has ended, or must not be used any more. */
  failed(error: unknown, source: Source): void
}

/** A client that keeps the connection for itself hears what comes between its statements. */
export interface Keeper {
  unasked(bytes: Buffer): void
  parameter(name: string, value: string): void
  /** The session is gone, and what it held with it. */
  lost(error: unknown): void
}
