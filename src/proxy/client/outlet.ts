// What a client gets. A client that does not read keeps its server connection from being read, and no more; the settings that it was told
// are told again when they have changed.

import type { Duplex } from 'node:stream'
import { isLegible } from '../../core/session/server-session.js'
import type { ServerConnection } from '../server/connection.js'
import { shared } from '../server/reported.js'
import { parameterStatus } from '../wire/write.js'

export class Outlet {
  readonly #socket: Duplex
  #told: ReadonlyMap<string, string>
  #compared: ReadonlyMap<string, string> | null = null
  #isStopped = false
  #isOver = false
  /** The client's literals do not end where the lexer thinks they do: for this setting. */
  illegible: string | null
  sent = 0

  constructor(socket: Duplex, told: ReadonlyMap<string, string>) {
    this.#socket = socket
    this.#told = told
    this.illegible = illegibleIn(told)
  }

  get told(): ReadonlyMap<string, string> {
    return this.#told
  }

  /** `from`: the connection that the bytes come from, if they come from one. */
  write(bytes: Buffer, from: ServerConnection | null): void {
    if (this.#isOver) return
    this.sent += bytes.length
    if (this.#socket.write(bytes) || from === null || this.#isStopped) return
    this.#isStopped = true
    from.stop()
    const go = () => {
      this.#socket.removeListener('drain', go)
      this.#socket.removeListener('close', go)
      this.#isStopped = false
      from.go()
    }
    this.#socket.once('drain', go)
    this.#socket.once('close', go)
  }

  writeAll(all: readonly Buffer[]): void {
    const [first] = all
    if (first !== undefined) this.write(all.length === 1 ? first : Buffer.concat(all as Buffer[]), null)
  }

  /** A client is served by replicas as well, and must not take its session for one of theirs. */
  parameter(name: string, given: string): void {
    const value = name === 'in_hot_standby' ? 'off' : given
    if (this.#told.get(name) === value) return
    this.#told = shared(new Map(this.#told).set(name, value))
    this.illegible = illegibleIn(this.#told)
    this.write(parameterStatus(name, value), null)
  }

  /** Tells what the session of this connection has otherwise. */
  compare(reported: ReadonlyMap<string, string>): void {
    if (reported === this.#compared) return
    this.#compared = reported
    for (const [name, value] of reported) this.parameter(name, value)
  }

  end(): void {
    this.#isOver = true
  }
}

function illegibleIn(told: ReadonlyMap<string, string>): string | null {
  for (const [name, value] of told) if (!isLegible(name, value)) return name
  return null
}
