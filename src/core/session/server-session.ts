// Tracks the session of one physical connection: protocol messages in, facts out. What was acknowledged, what is in doubt, what was
// shown, what the session is left with when its connection is released. Sends nothing, and allocates nothing for a message.
// https://www.postgresql.org/docs/current/protocol-flow.html

import type { Instant } from '../cluster/instant.js'
import type { Lsn } from '../cluster/lsn.js'
import type { Node } from '../cluster/node.js'
import { type Effect, onlyShapes } from '../sql/effects.js'
import { actsOutside, isUndone, type Undone } from '../undone.js'
import { type Ending, Exchange } from './commit.js'
import { Remains } from './remains.js'
import { Usage } from './usage.js'

/** What texts do, under all that is known of names. */
export interface Texts {
  /** True if it may write. Null: the text is not known. */
  writes(text: string | null, sentAsWrite: boolean): boolean
  /** What the server takes back of it when it refuses it. */
  undone(text: string): Undone
  /** True if it changes definitions. */
  defines(text: string): boolean
  effect(text: string): Effect
  /** There is more than one server: texts are to be read. */
  readonly reads: boolean
}

/** What one message has made known: bits. */
export const Fact = {
  /** A statement has ended, whatever the session's state: its text may say how later commits behave. */
  ended: 1,
  /** What the sessions of this connection sent has shown them something. */
  read: 2,
  /** What may have been written is acknowledged now. */
  acknowledged: 4,
  /** Definitions that were changed are committed. */
  defined: 8,
  /** What may have been written has an unknown fate: its reply was lost, or a part of it may have been committed. */
  doubted: 16,
} as const

/** The statement under way, as far as the connection knows it. */
export interface UnderWay {
  /** Its text; null: it is not known, or nothing is under way. */
  readonly text: string | null
  /** It is a question aside, of a probe. */
  readonly isAside: boolean
}

/** The question for a position that follows a write. */
type Trailing = (isBroken: boolean) => void

export class ServerSession extends Usage {
  readonly exchange = new Exchange()
  readonly remains: Remains
  /** True if pgherd reads its messages; a native client shows none. */
  readonly isWatched: boolean
  readonly #texts: Texts
  #readyAt: Instant | null = null
  #standby: boolean | null = null
  #standbyAt: Instant | null = null
  #odd = 0
  #wrote = false
  #defined = false
  #failed: { readonly text: string | null } | null = null
  #ending: Ending | null = null
  #capturing: 'statement' | 'position' | null = null
  #trailing: Trailing | null = null
  #acked: { readonly at: Instant; readonly epoch: number } | null = null
  #landed = 0
  #told: unknown = null
  #isIdentified = false
  #isPooled = false
  #proven: Lsn | null = null
  #restMillis = 0
  #restsSince = 0

  constructor(texts: Texts, isWatched = true) {
    super()
    this.#texts = texts
    this.isWatched = isWatched
    this.remains = new Remains(texts)
  }

  /** When the session became ready: a replica's position counts for it only if it was asked for later. */
  get readyAt(): Instant | null {
    return this.#readyAt
  }
  /** `in_hot_standby`, sent by PostgreSQL 14 and later at connect and with the reply after a change; null on older servers. */
  get standby(): boolean | null {
    return this.#standby
  }
  /** When that was sent: a session that was opened before its server was promoted still says `on`. */
  get standbyAt(): Instant | null {
    return this.#standbyAt
  }
  /** String literals end where the lexer thinks they do. */
  get isLegible(): boolean {
    return this.#odd === 0
  }
  /** How often something was committed here, or may have been: counted on, never reset. */
  get landed(): number {
    return this.#landed
  }
  /** The error whose outcome was last told to the holder. */
  get told(): unknown {
    return this.#told
  }
  /** How the statement whose answer is complete has left its transaction. */
  get ending(): Ending | null {
    return this.#ending
  }
  /** The server has answered the statement under way with an error. */
  get hasFailed(): boolean {
    return this.#failed !== null
  }
  /** The text of the statement that has failed, which pg forgets; undefined: none has. */
  get failedText(): string | null | undefined {
    return this.#failed?.text
  }
  /** A question for the position follows the statement under way, or is what is under way; null: neither. */
  get capturing(): 'statement' | 'position' | null {
    return this.#capturing
  }
  /** When the write before the question for the position was acknowledged. */
  get acked(): { readonly at: Instant; readonly epoch: number } | null {
    return this.#acked
  }
  /** Its server has said which one it is. */
  get isIdentified(): boolean {
    return this.#isIdentified
  }
  /** Another process of the server answers than the one that took the login: a pooler shares its sessions. */
  get isPooled(): boolean {
    return this.#isPooled
  }
  /** The highest replay position that this very connection has shown. */
  get proven(): Lsn | null {
    return this.#proven
  }
  /** The server ends a session that rests so long (`idle_session_timeout`), in milliseconds; 0: it ends none. */
  get restMillis(): number {
    return this.#restMillis
  }
  /** Since when it rests, on the monotonic clock; known where the server ends sessions that do. */
  get restsSince(): number {
    return this.#restsSince
  }
  identified(inRecovery: boolean, replayed: Lsn | null, isPooled = false, restMillis = 0, now = 0): void {
    this.#isPooled = isPooled
    this.#isIdentified = true
    this.#proven = replayed
    this.#restMillis = restMillis
    this.#restsSince = now
    if (!inRecovery) this.#standby = false
  }
  /** The server was asked, and did not answer. */
  unidentified(): void {
    this.#isIdentified = true
  }
  shows(lsn: Lsn | null): void {
    this.#proven = lsn
  }

  /** A question for the position was sent behind the statement. */
  captures(): void {
    this.#capturing = 'statement'
  }
  /** The caller of the statement gets its result when that question is answered. */
  trails(then: Trailing): void {
    this.#trailing = then
  }
  /** The question was answered, or never will be. Gives what waits for it. */
  captured(): Trailing | null {
    const then = this.#trailing
    this.#trailing = null
    this.#capturing = null
    return then
  }
  acks(acked: { readonly at: Instant; readonly epoch: number } | null): void {
    this.#acked = acked
  }
  /** Something that is not known to have been undone may have been committed. */
  mayHaveLanded(): void {
    this.#landed++
  }
  tells(error: unknown): void {
    this.#told = error
  }

  // What the server sends. Each call returns bits of Fact.

  /** ParameterStatus. True: whether the session is legible, or on a standby, may have changed. */
  parameter(name: string, value: string | undefined, at: () => Instant): boolean {
    const bit = name === 'standard_conforming_strings' ? 1 : name === 'client_encoding' ? 2 : 0
    if (bit !== 0) this.#odd = isLegible(name, value) ? this.#odd & ~bit : this.#odd | bit
    if (name !== 'in_hot_standby') return bit !== 0
    this.#standby = value === 'on'
    this.#standbyAt = at()
    return true
  }

  /** The session is over: it reads nothing in any way. */
  forgets(): void {
    this.#odd = 0
  }

  /**
   * ErrorResponse. pg forgets the statement with its error, and tells it before the server is ready: what a part of the text has
   * committed must be found by a caller that reads then.
   */
  fails({ text, isAside }: UnderWay, code: string | undefined, routine: string | undefined): number {
    this.exchange.fail()
    this.remains.failed(code, routine)
    if (this.#failed !== null) return 0
    if (isAside) {
      this.#failed = ASIDE
      return 0
    }
    const isOwn = this.#standby === true || this.reading === true || this.#capturing === 'position'
    const isTold = !isOwn && text !== null && this.#leaves(text) && this.#texts.writes(text, this.reading === false)
    this.#failed = { text }
    if (!isTold) return 0
    this.#landed++
    return Fact.doubted
  }

  /** ReadyForQuery. `rests()` follows, when the facts were told. */
  ready(status: string, at: () => Instant, underWay: UnderWay): number {
    const { tag, status: before } = this.exchange
    const ending = this.exchange.ready(status)
    this.#ending = ending
    this.remains.ready(status)
    if (this.#restMillis > 0) this.#restsSince = at().mono
    const isAside = underWay.isAside || this.#failed === ASIDE
    if (this.#readyAt === null) {
      this.#readyAt = at()
      return 0
    }
    if (this.#standby === true && !isAside) return this.isCallers && this.#shows(underWay.text) ? Fact.read : 0
    if (isAside || this.reading === true || this.#capturing === 'position') return 0
    return this.#ended(ending, tag, before, underWay.text)
  }

  /** `isLast`: nothing was sent behind the statement that has ended. */
  rests(status: string, isLast: boolean): void {
    this.#capturing &&= 'position'
    this.rest(status, isLast)
    this.#failed = null
  }

  /** The connection has ended. `isReady`: nothing was under way. */
  closes(underWay: UnderWay, isReady: boolean): number {
    // Its last statement may have been committed, or be committed yet: a caller that looks for it must be able to find it.
    if (this.#readyAt === null || isReady || this.reading === true || this.#standby === true) return 0
    if (this.#capturing === 'position' || underWay.isAside) return 0
    this.#capturing = null
    return this.#wrote || this.#texts.writes(underWay.text, this.reading === false) ? Fact.doubted : 0
  }

  /** A statement that was not sent as a read has ended, and the server is ready for the next. */
  #ended(ending: Ending, tag: string, before: string, active: string | null): number {
    const failed = this.#failed
    const text = failed === null ? active : failed.text
    let facts = 0
    if (text !== null) {
      facts |= Fact.ended
      if (this.#texts.defines(text)) this.#defined = true
    }
    const wrote = this.#texts.writes(text, this.reading === false)
    // What has written may have shown rows, too, and be rolled back.
    const open = ending === 'open' || ending === 'chained'
    const rows = !wrote || (open && (/^(?:SELECT|FETCH|CALL)\b/.test(tag) || RETURNING.test(text ?? 'returning')))
    if (rows && this.#shows(text)) facts |= Fact.read
    const committed = ending === 'committed' || ending === 'chained'
    const undone = failed !== null && !committed && text !== null && isUndone(this.#texts.undone(text), before !== 'I')
    if (wrote && !undone) this.#wrote = true
    // What acts outside of the block has done so, whatever becomes of that.
    const acts = ending === 'open' && wrote && failed === null && text !== null ? this.#texts.undone(text) : 'whole'
    const landed = acts === 'outside' || (committed && this.#wrote)
    if (landed) this.#landed++
    const locks = open && text !== null && LOCKS.test(text)
    // Refused, and a part of it may stay: the server lives, so that part is there.
    const partly = !committed && failed !== null && wrote && !undone
    if (landed || actsOutside(acts) || locks || partly) facts |= Fact.acknowledged
    if (committed && this.#defined) facts |= Fact.defined
    if (ending === 'open') return facts
    // Behind COMMIT; BEGIN; INSERT the next block has written already.
    this.#wrote = ending === 'chained' && wrote
    this.#defined = false
    return facts
  }

  #shows(text: string | null): boolean {
    return this.#failed === null && this.scopes !== null && (text === null || !onlyShapes(text))
  }

  /** The server has refused this text, and something of it stays all the same. */
  #leaves(text: string): boolean {
    return this.exchange.commits > 0 || !isUndone(this.#texts.undone(text), this.exchange.status !== 'I')
  }
}

/** A server that was chosen as a replica has said in this session that it is no longer in recovery. */
export function isPromoted(node: Node | null, { standby }: Pick<ServerSession, 'standby'>): boolean {
  return standby === false && node?.state.kind === 'replica'
}

/** What a probe's question has met in an idle session is no failure of a statement. */
const ASIDE: { readonly text: null } = { text: null }

const RETURNING = /\breturning\b/i

/** A session that gets a lock sees from then on what the lock's last holder has committed. */
const LOCKS = /\block\b|advisory|\bfor\s+(?:no\s+key\s+|key\s+)?(?:update|share)\b/i

/** Encodings of clients only, in which a backslash or a letter can be the second half of a character. */
const DOUBLE_BYTE = /^(?:SJIS|SHIFT_JIS_2004|BIG5|GBK|GB18030|UHC|JOHAB)$/i

/** Whether a setting of this name and value leaves string literals to end where the lexer thinks they do. */
export function isLegible(name: string, value: string | undefined): boolean {
  if (name === 'client_encoding') return !DOUBLE_BYTE.test(value ?? '')
  return name !== 'standard_conforming_strings' || value !== 'off'
}
