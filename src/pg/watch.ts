// Feeds the session of a connection with what pg.Connection tells of its server's messages, and hands on the facts. Never sends
// anything.

import type { Client } from 'pg'
import { ServerSession, type Texts, type UnderWay } from '../core/session/server-session.js'
import type { Clock } from '../runtime/clock.js'
import type { Internals } from './internals.js'
import { isAside } from './own-query.js'
import { proceed } from './pipeline.js'
import { noteForgotten } from './prepared.js'
import { bytesRead, isGone, keepSocket } from './socket.js'
import { isFree } from './turn.js'

/** What is told of a session while it lives. */
export interface SessionListener {
  /** `facts`: bits of Fact. `text`: of the statement that they are about, if it is known. */
  heard(session: ServerSession, facts: number, text: string | null): void
  /** A notification came: its sender had committed. */
  notified(): void
  /** Its standby state became known or changed. */
  standby(is: boolean): void
  /** It began to read string literals in another way, or stopped doing so. */
  legible(is: boolean): void
}

/** What makes a server forget its prepared statements, by its tag. */
const FORGETS = /^(?:DISCARD ALL|DEALLOCATE)/

interface Message {
  readonly status?: string
  readonly text?: string
  readonly code?: string
  readonly routine?: string
  readonly parameterName?: string
  readonly parameterValue?: string
}

const sessions = new WeakMap<Client, ServerSession>()

/** What pg says of the statement under way. One object for each connection: it is looked at, and never kept. */
class Current implements UnderWay {
  readonly #client: Internals
  constructor(client: Client) {
    this.#client = client as unknown as Internals
  }
  get text(): string | null {
    const text = (this.#client._activeQuery as { readonly text?: unknown } | null | undefined)?.text
    return typeof text === 'string' ? text : null
  }
  get isAside(): boolean {
    return isAside(this.#client._activeQuery)
  }
}

/** Called in the client's constructor: listeners put here run before pg's own, which are attached at connect. */
export function watch(client: Client, clock: Clock, texts: Texts, listener: SessionListener): ServerSession {
  const { connection } = client as unknown as Internals
  const session = new ServerSession(texts, connection !== undefined)
  sessions.set(client, session)
  if (connection === undefined) return session
  keepSocket(client)
  const underWay = new Current(client)
  const now = () => clock.now()
  const tell = (facts: number, text: string | null) => {
    if (facts !== 0) listener.heard(session, facts, text)
  }
  const { exchange, remains } = session
  connection.on('parameterStatus', ({ parameterName = '', parameterValue }: Message) => {
    const before = session.isLegible
    if (!session.parameter(parameterName, parameterValue, now)) return
    if (session.isLegible !== before) listener.legible(!before)
    if (parameterName === 'in_hot_standby') listener.standby(session.standby === true)
  })
  connection.on('bindComplete', () => exchange.bound())
  connection.on('commandComplete', ({ text = '' }: Message) => {
    exchange.complete(text)
    remains.completes(text, underWay)
    if (FORGETS.test(text)) noteForgotten(client, text, underWay.text)
  })
  connection.on('portalSuspended', () => remains.waitsFor('portal'))
  connection.on('copyInResponse', () => remains.waitsFor('copy-in'))
  connection.on('copyOutResponse', () => remains.waitsFor('copy-out'))
  connection.on('copyDone', () => remains.waitsFor(null))
  connection.on('errorMessage', ({ code, routine }: Message) => {
    const { text } = underWay
    tell(session.fails(underWay, code, routine), text)
  })
  connection.on('notification', () => listener.notified())
  // CommandComplete would be too early: the commit of an extended-protocol statement follows it.
  connection.on('readyForQuery', ({ status = '' }: Message) => {
    proceed(client)
    const failed = session.failedText
    const text = failed === undefined ? underWay.text : failed
    tell(session.ready(status, now, underWay), text)
    session.rests(status, isLast(client))
  })
  connection.on('end', () => {
    if (!session.isLegible) {
      session.forgets()
      listener.legible(true)
    }
    tell(session.closes(underWay, (client as unknown as Internals).readyForQuery === true), underWay.text)
  })
  return session
}

export function sessionOf(client: Client): ServerSession | undefined {
  return sessions.get(client)
}

/** Its server has something to say to a caller yet. */
export function owesAnswer(client: Client): boolean {
  const use = sessions.get(client)?.use
  return (use === 'statement' || use === 'lane' || use === 'held') && !isFree(client)
}

/** Bytes that its server has sent; null: the session is not ready, or known to be broken. */
export function receivedOn(client: Client): number | null {
  return sessions.get(client)?.readyAt == null || isGone(client) ? null : bytesRead(client)
}

/** Nothing was sent behind the statement that ends now. */
function isLast(client: Client): boolean {
  const { _queryQueue = [], _sentQueryQueue = [] } = client as unknown as Internals
  return _queryQueue.length === 0 && _sentQueryQueue.length === 0
}
