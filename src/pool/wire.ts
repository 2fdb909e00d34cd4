// What is known of one physical connection beyond what pg tells: when it became ready, whether its session is on a standby,
// whether the statement under way had completed, and the TCP socket beneath TLS. Watches; never sends anything.

import type { EventEmitter } from 'node:events'
import type { Client } from 'pg'
import type { Clock } from '../clock.js'
import type { Lsn } from '../core/lsn.js'
import type { Instant } from '../core/node.js'
import { closingOf } from '../core/session.js'

export interface Wire {
  /** When the session became ready: a replica's position counts for it only if it was asked for later. */
  readyAt: Instant | null
  /** `in_hot_standby`, sent by PostgreSQL 14 and later at connect and with the reply after a change; null on older servers. */
  standby: boolean | null
  /** When it was sent: a session that was opened before its server was promoted still says `on`. */
  standbyAt: Instant | null
  /** CommandComplete has come for the statement under way. In the extended protocol the commit comes after it. */
  completed: boolean
  /** What the pool said of what runs now: that it only reads, or that it may not; null: it is not the pool's. */
  reading: boolean | null
  /** The pool itself is sending; what else is sent to a replica comes from the holder of the client, or from a hook. */
  sending: boolean
  /** Somebody holds the client. */
  held: boolean
  /** Somebody held it last, and may have left something under way. */
  released: boolean
  /** Its holder has left state in the session of a replica. */
  tainted: boolean
  /** Definitions were changed in the transaction under way. */
  defined: boolean
  /** String literals end where the lexer thinks they do. */
  legible: boolean
  /** The highest replay position that this very connection has shown. */
  proven: Lsn | null
}

export interface WireEvents {
  /** A statement has ended, whatever the session's state: its text may say how later commits behave. */
  ended(text: string): void
  /** With the session idle, something that may have written has ended: what it wrote is acknowledged now. */
  acknowledged(text: string | null): void
  /** Does this text change definitions? Told as `defined` when that is committed. */
  defines(text: string): boolean
  defined(): void
  /** The session's standby state became known or changed. */
  standby(is: boolean): void
  /** The session began to read string literals in another way, or stopped doing so. */
  legible(is: boolean): void
}

interface Message {
  readonly status?: string
  readonly parameterName?: string
  readonly parameterValue?: string
}

interface Socket {
  readonly connecting?: boolean
  readonly writableEnded?: boolean
  readonly destroyed?: boolean
  destroy(): void
  resetAndDestroy?(): void
}

/** What pg has and its published types do not name. The native client has no `connection`. */
interface Internals {
  readonly connection?: EventEmitter & { readonly stream?: Socket }
  readonly _activeQuery?: { readonly text?: unknown } | null
}

const wires = new WeakMap<Client, Wire>()
const sockets = new WeakMap<Client, Socket>()

/** Called in the client's constructor: listeners put here run before pg's own, which are attached at connect. */
export function watch(client: Client, clock: Clock, events: WireEvents): Wire {
  const wire: Wire = {
    readyAt: null,
    standby: null,
    standbyAt: null,
    completed: false,
    reading: null,
    sending: false,
    held: false,
    released: false,
    tainted: false,
    defined: false,
    legible: true,
    proven: null,
  }
  wires.set(client, wire)
  const { connection } = client as unknown as Internals
  if (connection === undefined) return wire
  const odd = new Set<string>()
  const tellLegible = (is: boolean) => {
    if (is !== wire.legible) events.legible(is)
    wire.legible = is
  }
  connection.on('end', () => tellLegible(true))
  // Before TLS takes over, `stream` is the TCP socket: the only one that can send a reset.
  if (connection.stream !== undefined) sockets.set(client, connection.stream)
  connection.on('parameterStatus', ({ parameterName, parameterValue }: Message) => {
    if (parameterName === 'standard_conforming_strings' || parameterName === 'client_encoding') {
      if (isLegible(parameterName, parameterValue)) odd.delete(parameterName)
      else odd.add(parameterName)
      tellLegible(odd.size === 0)
    }
    if (parameterName !== 'in_hot_standby') return
    wire.standby = parameterValue === 'on'
    wire.standbyAt = clock.now()
    events.standby(wire.standby)
  })
  connection.on('commandComplete', () => {
    wire.completed = true
  })
  // Whoever notified had committed: what it wrote must be there when the listener reads.
  connection.on('notification', () => events.acknowledged(null))
  // CommandComplete would be too early: the commit of an extended-protocol statement follows it.
  connection.on('readyForQuery', ({ status }: Message) => {
    wire.completed = false
    if (wire.readyAt === null) wire.readyAt = clock.now()
    else if (!wire.reading && wire.standby !== true) {
      const active = (client as unknown as Internals)._activeQuery?.text
      const text = typeof active === 'string' ? active : null
      if (text !== null) {
        events.ended(text)
        if (events.defines(text)) wire.defined = true
      }
      if (status === 'I') {
        events.acknowledged(wire.reading === false ? null : text)
        // What a ROLLBACK took back has changed nothing.
        if (wire.defined && closingOf(text ?? '')?.commits !== false) events.defined()
        wire.defined = false
      }
    }
  })
  return wire
}

/** Encodings of clients only, in which a backslash or a letter can be the second half of a character. */
const DOUBLE_BYTE = /^(?:SJIS|SHIFT_JIS_2004|BIG5|GBK|GB18030|UHC|JOHAB)$/i

function isLegible(name: string, value: string | undefined): boolean {
  return name === 'client_encoding' ? !DOUBLE_BYTE.test(value ?? '') : value !== 'off'
}

export function wireOf(client: Client): Wire | undefined {
  return wires.get(client)
}

/**
 * Ends the connection so that nothing given up can still reach the server. After `end()` or `destroy()` the kernel goes on
 * delivering what was written, and a write that was reported as lost happens later. A reset drops it.
 */
export function reset(client: Client): void {
  const socket = sockets.get(client)
  const stream = (client as unknown as Internals).connection?.stream ?? socket
  // Still connecting: a reset would wait for the connection. Already ending, by us or because the server hung up: libuv
  // refuses a reset during a shutdown (EINVAL), and Node then never closes the handle (nodejs/node, net.Socket#_destroy).
  const gone = socket?.connecting === true || socket?.writableEnded === true || stream?.writableEnded === true
  if (gone || stream?.destroyed === true || socket?.resetAndDestroy === undefined) {
    stream?.destroy()
    socket?.destroy()
    return
  }
  try {
    socket.resetAndDestroy()
  } catch {
    // A Unix socket cannot be reset (ERR_INVALID_HANDLE_TYPE); its server is on this machine, and sees the close at once.
    stream?.destroy()
  }
}
