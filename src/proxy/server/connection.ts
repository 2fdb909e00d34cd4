// One connection to one server, behind its login: exchanges in the order in which they were sent, the session as the router sees it, the
// settings and prepared statements that it has. Bytes of an answer pass in the pieces in which they came. Chooses nothing.

import type { Duplex } from 'node:stream'
import { serialize } from 'pg-protocol'
import type { Source, Spoken } from '../../core/cluster/failure.js'
import type { Node } from '../../core/cluster/node.js'
import { ServerSession, type Texts } from '../../core/session/server-session.js'
import { PgherdError } from '../../errors.js'
import { isWellFormed, spokenIn } from '../../pg/messages.js'
import type { Clock } from '../../runtime/clock.js'
import { type Closable, reset } from '../../runtime/sockets.js'
import { Shelf } from '../session/prepared.js'
import { NO_SETTINGS, type Settings } from '../session/settings.js'
import { Expect, type Expected, type Holds, type Unnamed } from '../session/unit.js'
import { Framer } from '../wire/framer.js'
import { Back, HEADER_BYTES } from '../wire/letters.js'
import { SERVER_RULES } from '../wire/rules.js'
import type { Status } from '../wire/write.js'
import type { Dialed } from './dial.js'
import type { Keeper, Listener } from './listening.js'
import { Outgoing } from './outgoing.js'
import { Question, ServerError } from './question.js'
import { Relay } from './relay.js'
import { shared } from './reported.js'
import type { Exchange } from './traffic.js'

export class ServerConnection implements Holds {
  readonly node: Node
  readonly session: ServerSession
  readonly shelf: Shelf
  readonly pid: number | null
  readonly secret: Buffer
  readonly openedAt: number
  unnamed: Unnamed | null = null
  settings: Settings = NO_SETTINGS
  /** As the server said last; equal ones are one object. */
  reported: ReadonlyMap<string, string>
  /** Of the client that has it, if that keeps it between statements. */
  keeper: Keeper | null = null
  /** A cancel request is on its way: no other client may have it. */
  cancelling: Promise<void> | null = null
  /** What it has may be unusable under the names that it has: they are given up before the next client gets it. */
  isStale = false
  /** What its client has left unseen: it is cleaned before another client gets it. */
  isSoiled = false
  /** To be replaced when it comes back. */
  isOutdated = false
  isDead = false
  bytesReceived = 0
  queries = 0
  lastUsedAt: number
  readonly #socket: Duplex
  readonly #tcp: Closable | undefined
  readonly #outgoing: Outgoing
  readonly #clock: Clock
  readonly #listener: Listener
  readonly #framer = new Framer(SERVER_RULES)
  readonly #relay = new Relay()
  readonly #exchanges: Exchange[] = []
  /** Whose large body is under way. */
  #passing: Exchange | null = null
  #stops = 0
  /** What the server said when it ended the session. */
  #lastWords: ServerError | null = null

  constructor(node: Node, dialed: Dialed, texts: Texts, listener: Listener, clock: Clock, mostPrepared: number) {
    this.node = node
    this.pid = dialed.pid
    this.secret = dialed.secret
    this.#socket = dialed.socket
    this.#tcp = dialed.tcp
    this.#outgoing = new Outgoing(dialed.socket)
    this.#clock = clock
    this.#listener = listener
    this.openedAt = this.lastUsedAt = clock.mono()
    this.shelf = new Shelf(mostPrepared)
    this.session = new ServerSession(texts)
    this.reported = shared(dialed.parameters)
    for (const [name, value] of dialed.parameters) this.#parameter(name, value)
    this.session.ready('I', () => clock.now(), { text: null, isAside: false })
    this.session.rests('I', true)
    this.#socket.on('data', (chunk: Buffer) => this.#data(chunk))
    this.#socket.once('close', () => this.#lost(new Error('Connection terminated unexpectedly'), 'driver'))
    this.#socket.on('error', (error: Error) => this.#lost(error, 'socket'))
    this.#socket.resume()
  }

  get isBusy(): boolean {
    return this.#exchanges.length > 0
  }

  get status(): Status {
    return this.session.exchange.status as Status
  }

  // What is sent.

  /** `exchange` is answered behind all that was sent before. False: the client should wait for drained(). */
  send(exchange: Exchange, bytes: readonly Buffer[]): boolean {
    this.#exchanges.push(exchange)
    return this.write(bytes)
  }

  /** As send(); its bytes go ahead of those that are sent next, in one packet. */
  lead(exchange: Exchange, bytes: Buffer): void {
    this.#exchanges.push(exchange)
    this.#outgoing.lead(bytes)
  }

  /** More of what is under way. */
  write(bytes: readonly Buffer[]): boolean {
    return this.isDead || this.#outgoing.write(bytes)
  }

  drained(then: () => void): void {
    this.#outgoing.drained(then)
  }

  /** A question of the proxy's own, in its turn. `told` is called when the server is ready again. */
  question(
    text: string,
    told: (error: unknown, value: string | null, source: Source) => void
  ): readonly [Question, Buffer] {
    return [new Question(told), serialize.query(text) as Buffer]
  }

  ask(text: string): Promise<string | null> {
    return new Promise((resolve, reject) => {
      if (this.isDead) return reject(new Error('Connection terminated unexpectedly'))
      const [exchange, bytes] = this.question(text, (error, value) => (error ? reject(error) : resolve(value)))
      this.send(exchange, [bytes])
    })
  }

  // What the client does not take is not read.

  stop(): void {
    if (this.#stops++ === 0) this.#socket.pause()
  }

  go(): void {
    if (--this.#stops === 0) this.#socket.resume()
  }

  // What comes.

  #data(chunk: Buffer): void {
    this.bytesReceived += chunk.length
    if (this.isDead) return
    const [framer, relay] = [this.#framer, this.#relay]
    framer.push(chunk)
    while (framer.next()) {
      const of = framer.begins ? (this.#exchanges[0] ?? null) : this.#passing
      const passes = framer.begins ? this.#begins(framer, of) : of?.piece(framer)
      if (passes === null) {
        this.#breaks(`a message '${String.fromCharCode(framer.type)}' that answers nothing`)
        return
      }
      if (this.isDead) return
      this.#passing = framer.ends ? null : of
      if (of === null) continue
      if (passes === true) relay.add(of, framer)
      else relay.flush()
      if (of.inserts.length > 0) {
        relay.flush()
        for (const bytes of of.inserts.splice(0)) of.write(bytes)
      }
      if (framer.begins && framer.ends && framer.type === Back.ready) {
        relay.flush()
        this.#ready(of)
      }
    }
    relay.flush()
    if (framer.fault !== null) this.#breaks(framer.fault)
  }

  /** True: the message is the client's. Null: it must not come now. */
  #begins(framer: Framer, of: Exchange | null): boolean | null {
    const { type, bytes, from, to } = framer
    const body = from + HEADER_BYTES
    const { exchange, remains } = this.session
    switch (type) {
      case Back.bindComplete:
        exchange.bound()
        break
      case Back.commandComplete: {
        if (of === null || !isWellFormed(type, bytes, body, to)) return null
        const tag = bytes.toString('latin1', body, to - 1)
        exchange.complete(tag)
        this.#forgets(tag)
        remains.completes(tag, of.underWay)
        break
      }
      case Back.error: {
        if (!isWellFormed(type, bytes, body, to)) return null
        return this.#error(bytes, body, framer, of)
      }
      case Back.ready:
        if (of === null || !isWellFormed(type, bytes, body, to)) return null
        break
      case Back.parameterStatus: {
        if (!isWellFormed(type, bytes, body, to)) return null
        const [name = '', value = ''] = bytes.toString('utf8', body, to).split('\0')
        this.reported = shared(new Map(this.reported).set(name, value))
        this.#parameter(name, value)
        this.#relay.flush()
        ;(of ?? this.keeper)?.parameter(name, value)
        return false
      }
      case Back.notification:
        if (!isWellFormed(type, bytes, body, to)) return null
        this.#listener.notified()
        this.#relay.flush()
        // Of a connection that is shared it is no client's.
        this.keeper?.unasked(Buffer.from(bytes.subarray(from, to)))
        return false
      case Back.notice:
        if (of === null) this.keeper?.unasked(Buffer.from(bytes.subarray(from, to)))
        break
      case Back.authentication:
      case Back.keyData:
      case Back.negotiate:
        return null
      default:
    }
    if (of === null) return type === Back.notice ? false : null
    return of.piece(framer)
  }

  #error(bytes: Buffer, body: number, framer: Framer, of: Exchange | null): boolean | null {
    const { session } = this
    const begun = session.exchange.completed > 0
    const spoken: Spoken = { ...spokenIn(bytes, body), begun }
    const isLast = spoken.severity === 'FATAL' || spoken.severity === 'PANIC'
    this.unnamed = null
    if (of === null) {
      this.#lastWords = new ServerError('', spoken, [])
      return isLast ? false : null
    }
    this.#told(session.fails(of.underWay, spoken.code ?? undefined, spoken.routine ?? undefined), of.underWay.text)
    if (spoken.code === '0A000' && spoken.routine === 'RevalidateCachedQuery') this.isStale = true
    of.failed(spoken)
    const passes = of.piece(framer)
    // The session's last words end the exchange when the connection closes, and are told then.
    return isLast ? false : passes
  }

  #forgets(tag: string): void {
    if (tag === 'DISCARD ALL' || tag === 'DEALLOCATE ALL') this.shelf.clear()
    if (tag === 'DISCARD ALL') this.settings = NO_SETTINGS
  }

  #parameter(name: string, value: string): void {
    const { session } = this
    const before = session.isLegible
    if (!session.parameter(name, value, () => this.#clock.now())) return
    if (session.isLegible !== before) this.#listener.legible(!before)
    if (name === 'in_hot_standby') this.#listener.standby(session.standby === true)
  }

  #ready(of: Exchange): void {
    const { session } = this
    const status = String.fromCharCode(this.#framer.bytes[this.#framer.from + HEADER_BYTES] as number) as Status
    this.#exchanges.shift()
    const failed = session.failedText
    const text = failed === undefined ? of.underWay.text : failed
    this.#told(
      session.ready(status, () => this.#clock.now(), of.underWay),
      text
    )
    session.rests(status, this.#exchanges.length === 0)
    this.lastUsedAt = this.#clock.mono()
    of.ended(status)
  }

  #told(facts: number, text: string | null): void {
    if (facts !== 0) this.#listener.heard(this.session, facts, text)
  }

  // How it ends.

  #breaks(text: string): void {
    const { host, port } = this.node.address
    this.#lost(new PgherdError('PGHERD_PROTOCOL', `${host}:${port} has sent ${text}`), 'pgherd')
  }

  #lost(error: Error, source: Source): void {
    if (this.isDead) return
    this.isDead = true
    const words = this.#lastWords
    const [first] = this.#exchanges
    // Behind a question of the proxy's own the client's statement may have been sent.
    const of = this.#exchanges.find(({ underWay }) => !underWay.isAside) ?? first
    const { session } = this
    if (!session.isLegible) {
      session.forgets()
      this.#listener.legible(true)
    }
    const underWay = of?.underWay ?? { text: null, isAside: false }
    this.#told(session.closes(underWay, of === undefined && this.status === 'I'), underWay.text)
    const [told, from]: [Error, Source] = words === null ? [error, source] : [words, words.spoken]
    this.#listener.failed(told, from)
    for (const exchange of this.#exchanges.splice(0)) exchange.lost(told, from)
    this.#outgoing.end()
    this.keeper?.lost(told)
    this.#socket.destroy()
  }

  /** Ends it. `reset`: what this machine has not sent yet is dropped, too. */
  end(how: 'politely' | 'reset', error: Error = new Error('Connection terminated'), source: Source = 'driver'): void {
    if (this.isDead) return
    const isIdle = !this.isBusy
    const socket = this.#socket
    if (how === 'politely' && isIdle) {
      this.isDead = true
      this.#endLegible()
      socket.end(serialize.end())
      const alarm = this.#clock.alarm(CLOSE_MILLIS, () => socket.destroy())
      socket.once('close', () => alarm.cancel())
      return
    }
    reset(this.#tcp, socket)
    this.#lost(error, source)
  }

  #endLegible(): void {
    if (this.session.isLegible) return
    this.session.forgets()
    this.#listener.legible(true)
  }

  /** Its prepared statements are given up; `all`: its settings, too. */
  wiped(all: boolean): void {
    this.shelf.clear()
    this.unnamed = null
    this.isStale = this.isSoiled = false
    if (all) this.settings = NO_SETTINGS
  }

  /** A Parse or a Close that was sent has not been carried out. */
  skipped({ what, prepared }: Expected): void {
    if (prepared === null) return
    if (what === Expect.close) this.shelf.restore(prepared)
    else this.shelf.remove(prepared)
  }
}

const CLOSE_MILLIS = 2000
