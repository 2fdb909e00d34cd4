// The socket beneath a client: how much came and went, and how it is closed at once.

import type { Client } from 'pg'
import { reset as resetSocket } from '../runtime/sockets.js'
import type { Internals, Socket } from './internals.js'

const sockets = new WeakMap<Client, Socket>()

/** Before TLS takes over, `stream` is the TCP socket: the only one that can send a reset. Called in the client's constructor. */
export function keepSocket(client: Client): void {
  const stream = (client as unknown as Internals).connection?.stream
  if (stream !== undefined) sockets.set(client, stream)
}

/** Bytes that its server has sent, of TLS too; null: that is not known. */
export function bytesRead(client: Client): number | null {
  return sockets.get(client)?.bytesRead ?? null
}

/** How many bytes were given to its socket. */
export function writtenOn(client: Client): number | undefined {
  return (client as unknown as Internals).connection?.stream?.bytesWritten
}

/** What is sent there goes nowhere. */
export function isGone(client: Client): boolean {
  const { connection, _queryable, _ending } = client as unknown as Internals
  return _queryable === false || _ending === true || connection?.stream?.destroyed === true
}

/** It was told to end. */
export function isEnding(client: Client): boolean {
  return (client as unknown as Internals)._ending
}

/** Closes the socket on this side, whatever the other does. */
export function discard(client: Client): void {
  ;(client as unknown as Internals).connection?.stream?.destroy()
  sockets.get(client)?.destroy()
}

/** Ends the connection so that nothing given up can still reach the server. */
export function reset(client: Client): void {
  const tcp = sockets.get(client)
  resetSocket(tcp, (client as unknown as Internals).connection?.stream ?? tcp)
}
