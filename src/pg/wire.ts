// What is known of one physical connection beyond what pg tells: when it became ready, whether its session is on a standby,
// whether the statement under way had completed, and the TCP socket beneath TLS. Watches; never sends anything.

import type { EventEmitter } from 'node:events'
import type { Client } from 'pg'
import type { Instant } from '../core/cluster/instant.js'
import type { Lsn } from '../core/cluster/lsn.js'
import type { Node } from '../core/cluster/node.js'
import type { Scope } from '../core/session/causal-scope.js'
import { type Ending, Exchange } from '../core/session/commit.js'
import { onlyShapes } from '../core/sql/effects.js'
import { actsOutside, isUndone, type Undone } from '../core/undone.js'
import type { Clock } from '../runtime/clock.js'
import { isAside } from './own-query.js'
import { proceed } from './pipeline.js'

export interface Wire {
  /** Its messages are seen; those of a native client are not. */
  readonly isWatched: boolean
  /** When the session became ready: a replica's position counts for it only if it was asked for later. */
  readyAt: Instant | null
  /** `in_hot_standby`, sent by PostgreSQL 14 and later at connect and with the reply after a change; null on older servers. */
  standby: boolean | null
  /** When it was sent: a session that was opened before its server was promoted still says `on`. */
  standbyAt: Instant | null
  /** Its holder asked for a replica, whatever this is. */
  insists: boolean
  /** The caller holds it as a client of a replica. On loan the borrowing client judges what the server says. */
  ofReplica: boolean
  /** Of the transaction under way: REPEATABLE READ was asked for; `taken`: with a snapshot from before any promotion. */
  snapshot: 'wanted' | 'taken' | null
  /** What the server has said of the statement under way, and of its transaction. */
  readonly exchange: Exchange
  /** How often something was committed here, or may have been: counted on, never reset. */
  landed: number
  /** The error whose outcome was last told to the holder of the client. */
  told: unknown
  /** How the statement whose rows could not be read had ended, when that is told. */
  ending: Ending | null
  /** What the pool said of what runs now: that it only reads, or that it may not; null: it is not the pool's. */
  reading: boolean | null
  /** The pool itself is sending; what else is sent to a replica comes from the holder of the client, or from a hook. */
  sending: boolean
  /** Somebody holds the client. */
  held: boolean
  /** Somebody held it last, and may have left something under way. */
  released: boolean
  /** A statement of pool.query() is under way: a caller's own, not a question of ours before it. */
  handed: boolean
  /** The statement that query_timeout gave up while somebody held the client, as pg knows it. It may go on. */
  overdue: unknown
  /** Its holder has left state in the session of a replica. */
  tainted: boolean
  /** Definitions were changed in the transaction under way. */
  defined: boolean
  /** Something may have been written in the transaction under way. */
  wrote: boolean
  /** The server has answered the statement under way with an error; its text then, if it is known. */
  failed: { readonly text: string | null } | null
  /** Behind the statement under way a question for the position follows, or that is what is under way; null: neither. */
  capturing: 'statement' | 'position' | null
  /** The statement has ended, and the question behind it has not: what is to be done then, and whether the connection broke. */
  trailing: ((broken: boolean) => void) | null
  /** Whose statements run here, and ran in the transaction under way; null: those of nobody's session. */
  scopes: Set<Scope> | null
  /** When the write before the question for the position was acknowledged. */
  acked: { readonly at: Instant; readonly epoch: number } | null
  /** Its server has said which one it is. */
  identified: boolean
  /** When a write of its holder was last acknowledged, on the monotonic clock. */
  wroteAt: number | null
  /** The session that took the client. */
  holder: Scope | null
  /** The node as it was when the client was handed out. */
  node: Node | null
  /** String literals end where the lexer thinks they do. */
  legible: boolean
  /** The highest replay position that this very connection has shown. */
  proven: Lsn | null
}

export interface WireEvents {
  /** A statement has ended, whatever the session's state: its text may say how later commits behave. */
  ended(text: string): void
  /** What may have been written is acknowledged now. */
  acknowledged(wire: Wire): void
  /** What may have been written has an unknown fate: its reply was lost, or a part of it may have been committed. */
  doubted(wire: Wire): void
  /** A notification came: whoever sent it had committed. */
  notified(): void
  /** May a statement with this text write? `read`: it was sent as something that may. Null: nobody knows the text. */
  writes(text: string | null, sentAsWrite: boolean): boolean
  /** What the server takes back of this text when it refuses it. */
  undone(text: string): Undone
  /** What this wire's sessions sent has shown them something. */
  read(wire: Wire): void
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
  readonly text?: string
  readonly parameterName?: string
  readonly parameterValue?: string
}

interface Socket {
  readonly connecting?: boolean
  readonly bytesRead?: number
  readonly writableEnded?: boolean
  readonly destroyed?: boolean
  destroy(): void
  resetAndDestroy?(): void
}

/** What pg has and its published types do not name. The native client has no `connection`. */
interface Internals {
  readonly connection?: EventEmitter & { readonly stream?: Socket }
  readonly _activeQuery?: { readonly text?: unknown } | null
  readonly _queryQueue?: readonly unknown[]
  readonly _sentQueryQueue?: readonly unknown[]
  readonly readyForQuery?: boolean
  readonly _queryable?: boolean
  readonly _ending?: boolean
}

const wires = new WeakMap<Client, Wire>()
const sockets = new WeakMap<Client, Socket>()

/** Called in the client's constructor: listeners put here run before pg's own, which are attached at connect. */
export function watch(client: Client, clock: Clock, events: WireEvents): Wire {
  const exchange = new Exchange()
  const wire: Wire = {
    isWatched: (client as unknown as Internals).connection !== undefined,
    readyAt: null,
    standby: null,
    insists: false,
    ofReplica: false,
    snapshot: null,
    standbyAt: null,
    exchange,
    landed: 0,
    told: null,
    ending: null,
    reading: null,
    sending: false,
    held: false,
    released: false,
    handed: false,
    overdue: null,
    tainted: false,
    defined: false,
    wrote: false,
    failed: null,
    capturing: null,
    trailing: null,
    identified: false,
    scopes: null,
    acked: null,
    wroteAt: null,
    holder: null,
    node: null,
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
  const activeText = () => {
    const text = (client as unknown as Internals)._activeQuery?.text
    return typeof text === 'string' ? text : null
  }
  /** What is under way is a question of a probe, and nothing of the application's. */
  const isProbed = () => isAside((client as unknown as Internals)._activeQuery)
  connection.on('bindComplete', () => exchange.bound())
  connection.on('commandComplete', ({ text = '' }: Message) => exchange.complete(text))
  // pg forgets the statement with its error, and tells it before the server is ready: what a part of the text has committed
  // must be found by whoever reads then.
  connection.on('errorMessage', () => {
    exchange.fail()
    if (wire.failed !== null) return
    const text = activeText()
    if (isProbed()) {
      wire.failed = PROBED
      return
    }
    const ours = wire.standby === true || wire.reading || wire.capturing === 'position'
    const told = !ours && text !== null && leaves(wire, text, events) && events.writes(text, wire.reading === false)
    wire.failed = { text }
    if (told) {
      wire.landed++
      events.doubted(wire)
    }
  })
  // Whoever notified had committed: what it wrote must be there when the listener reads.
  connection.on('notification', () => events.notified())
  // CommandComplete would be too early: the commit of an extended-protocol statement follows it.
  connection.on('readyForQuery', ({ status = '' }: Message) => {
    proceed(client)
    const { tag, status: before } = exchange
    const ending = exchange.ready(status)
    wire.ending = ending
    const probed = isProbed() || wire.failed === PROBED
    if (wire.readyAt === null) wire.readyAt = clock.now()
    else if (wire.standby === true && !probed) shown(wire, activeText(), events)
    else if (!probed && !wire.reading && wire.capturing !== 'position') {
      ended(wire, { ending, tag, before }, activeText(), events)
    }
    wire.capturing &&= 'position'
    if (status !== 'T') wire.snapshot = null
    // Held for long, a client serves any number of sessions.
    if ((wire.held || wire.released) && status === 'I' && isLast(client)) wire.scopes = null
    wire.failed = null
  })
  connection.on('end', () => {
    const { readyForQuery } = client as unknown as Internals
    // Its last statement may have been committed, or be committed yet: who looks for it must be able to find it.
    if (wire.readyAt === null || readyForQuery || wire.reading || wire.standby === true) return
    if (wire.capturing === 'position' || isProbed()) return
    wire.capturing = null
    if (wire.wrote || events.writes(activeText(), wire.reading === false)) events.doubted(wire)
  })
  return wire
}

/** A server that was chosen as a replica has said in this session that it is none any more. */
export function isPromoted(node: Node | null, { standby }: Wire): boolean {
  return standby === false && node?.state.kind === 'replica'
}

/** What a probe's question has met in an idle session is no failure of a statement. */
const PROBED: Wire['failed'] = { text: null }

const RETURNING = /\breturning\b/i

/** Nothing was sent behind the statement that ends now. */
function isLast(client: Client): boolean {
  const { _queryQueue = [], _sentQueryQueue = [] } = client as unknown as Internals
  return _queryQueue.length === 0 && _sentQueryQueue.length === 0
}

/** A statement of whoever holds a client of a replica has ended. */
function shown(wire: Wire, text: string | null, events: WireEvents): void {
  if ((wire.held || wire.released) && shows(wire, text)) events.read(wire)
}

function shows({ failed, scopes }: Wire, text: string | null): boolean {
  return failed === null && scopes !== null && (text === null || !onlyShapes(text))
}

/** The server has refused this text, and something of it stays all the same. */
function leaves({ exchange }: Wire, text: string, events: WireEvents): boolean {
  return exchange.commits > 0 || !isUndone(events.undone(text), exchange.status !== 'I')
}

function landed(wire: Wire, events: WireEvents): void {
  wire.landed++
  events.acknowledged(wire)
}

/** How a statement left its transaction, what the server called its last command, and the status before. */
interface Ended {
  readonly ending: Ending
  readonly tag: string
  readonly before: string
}

/** A statement that was not sent as a read has ended, and the server is ready for the next. */
function ended(wire: Wire, { ending, tag, before }: Ended, active: string | null, events: WireEvents): void {
  const { failed } = wire
  const text = failed === null ? active : failed.text
  if (text !== null) {
    events.ended(text)
    if (events.defines(text)) wire.defined = true
  }
  const wrote = events.writes(text, wire.reading === false)
  // What has written may have shown rows, too, and be rolled back.
  const open = ending === 'open' || ending === 'chained'
  const rows = !wrote || (open && (/^(?:SELECT|FETCH|CALL)\b/.test(tag) || RETURNING.test(text ?? 'returning')))
  if (rows && shows(wire, text)) events.read(wire)
  const committed = ending === 'committed' || ending === 'chained'
  const undone = failed !== null && !committed && text !== null && isUndone(events.undone(text), before !== 'I')
  if (wrote && !undone) wire.wrote = true
  // What acts outside of the block has done so, whatever becomes of that.
  const acts = ending === 'open' && wrote && failed === null && text !== null ? events.undone(text) : 'whole'
  if (acts === 'outside' || (committed && wire.wrote)) landed(wire, events)
  else if (actsOutside(acts) || (open && text !== null && LOCKS.test(text))) events.acknowledged(wire)
  // Refused, and a part of it may stay: the server lives, so that part is there.
  else if (!committed && failed !== null && wrote && !undone) events.acknowledged(wire)
  if (committed && wire.defined) events.defined()
  if (ending === 'open') return
  // Behind COMMIT; BEGIN; INSERT the next block has written already.
  wire.wrote = ending === 'chained' && wrote
  wire.defined = false
}

/** Who gets a lock sees from then on what its last holder has committed. */
const LOCKS = /\block\b|advisory|\bfor\s+(?:no\s+key\s+|key\s+)?(?:update|share)\b/i

/** Encodings of clients only, in which a backslash or a letter can be the second half of a character. */
const DOUBLE_BYTE = /^(?:SJIS|SHIFT_JIS_2004|BIG5|GBK|GB18030|UHC|JOHAB)$/i

function isLegible(name: string, value: string | undefined): boolean {
  return name === 'client_encoding' ? !DOUBLE_BYTE.test(value ?? '') : value !== 'off'
}

/** A statement of whoever holds the client is sent, in this session. */
export function noteScope(wire: Wire, scope: Scope | undefined): void {
  if (!wire.held && !wire.released) return
  for (const each of [scope, wire.holder]) if (each) wire.scopes = (wire.scopes ?? new Set()).add(each)
}

/** Bytes that its server has sent, of TLS too; null: the session is not ready, or known to be broken. */
export function receivedOn(client: Client): number | null {
  const socket = sockets.get(client)
  if (socket === undefined || wires.get(client)?.readyAt === null || isGone(client)) return null
  return socket.bytesRead ?? null
}

export function wireOf(client: Client): Wire | undefined {
  return wires.get(client)
}

/** What is sent there goes nowhere. */
export function isGone(client: Client): boolean {
  const { connection, _queryable, _ending } = client as unknown as Internals
  return _queryable === false || _ending === true || connection?.stream?.destroyed === true
}

/** Closes the socket on this side, whatever the other does. */
export function discard(client: Client): void {
  ;(client as unknown as Internals).connection?.stream?.destroy()
  sockets.get(client)?.destroy()
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
