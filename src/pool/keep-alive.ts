// A session that rests while its caller's work runs on another server: the caller's one session is at work all the same, so its server
// must not end it for resting (`idle_session_timeout`).

import type { Client } from 'pg'
import type { ServerSession } from '../core/session/server-session.js'
import { answeredAside } from '../pg/own-query.js'
import { isGone } from '../pg/socket.js'
import { isFree } from '../pg/turn.js'
import type { Alarm, Clock } from '../runtime/clock.js'

export class KeepAlive {
  readonly #client: Client
  readonly #session: ServerSession
  readonly #clock: Clock
  #alarm: Alarm | null = null

  constructor(client: Client, session: ServerSession, clock: Clock) {
    this.#client = client
    this.#session = session
    this.#clock = clock
  }

  /** It has rested for half of what its server allows: the next statement is better run there. */
  get isDue(): boolean {
    const { restMillis, restsSince } = this.#session
    return restMillis > 0 && this.#clock.mono() - restsSince > restMillis / 2
  }

  /** Work begins elsewhere. Gives the end of that. */
  start(): () => void {
    const { restMillis } = this.#session
    if (restMillis === 0) return nothing
    const beat = () => {
      this.#alarm = this.#clock.alarm(restMillis / 3, beat)
      // An empty query: the server begins to count anew.
      if (isFree(this.#client) && !isGone(this.#client)) answeredAside(this.#client, '').catch(nothing)
    }
    this.#alarm?.cancel()
    this.#alarm = this.#clock.alarm(restMillis / 3, beat)
    return () => this.stop()
  }

  stop(): void {
    this.#alarm?.cancel()
    this.#alarm = null
  }
}

const nothing = () => {}
