// The face's own sessions with one node, as a probe sees them: which exist, which may be asked, and how much each has received. A
// server that answers any of them is not silent, whatever becomes of the probe's own connection. It judges nothing.

import type { Client } from 'pg'
import type { Answers } from '../core/cluster/failure.js'

export interface Sessions {
  /** Connections in any state, also those that are still logging in. */
  readonly count: number
  /** The sessions that are logged in and not known to be broken, each with the bytes that it has received so far. */
  received(): ReadonlyMap<object, number>
  /** The sessions that have nothing under way and that no caller holds, the longest unused first. */
  idle(): readonly Client[]
  /** No caller holds the session, whatever is under way on it. */
  isUnused(client: Client): boolean
  /** Resolves when one may be idle, when none is left, or after `millis`. */
  freed(millis: number): Promise<void>
}

export const NO_SESSIONS: Sessions = {
  count: 0,
  received: () => new Map(),
  idle: () => [],
  isUnused: () => false,
  freed: () => Promise.resolve(),
}

/** Listens while looks go on: what the sessions received between one moment and the next. */
export class Hearing {
  readonly #sessions: Sessions
  #last: ReadonlyMap<object, number> = new Map()

  constructor(sessions: Sessions) {
    this.#sessions = sessions
  }

  /**
   * A look begins. When it has failed, the function that is given here tells what the sessions received. 'asked': the probe has asked
   * in a session, and was not answered.
   */
  begin(): (asked: 'asked' | 'unasked') => Answers {
    const before = this.#sessions.received()
    const earlier = isMore(before, this.#last)
    this.#last = before
    return (asked) => {
      const now = this.#sessions.received()
      this.#last = now
      if (isMore(now, before)) return 'during'
      if (earlier) return 'before'
      return now.size > 0 && asked === 'unasked' ? 'unasked' : 'none'
    }
  }
}

/** A session that is new since then was answered as well, as it could not be logged in otherwise. */
function isMore(now: ReadonlyMap<object, number>, then: ReadonlyMap<object, number>): boolean {
  for (const [client, bytes] of now) if (bytes > (then.get(client) ?? 0)) return true
  return false
}
