// What a session is left with when its connection is given back: state that its user has set, and what the server waits for. Decides
// whether the next user may get it. Fed by the effects of the texts that were sent, and by what the server said of them.

import type { Effect } from '../sql/effects.js'

interface Reader {
  effect(text: string): Effect
  readonly reads: boolean
}

/** Texts of the time before the second server was known are kept, to be read when it matters; more than these are not. */
const MOST_UNREAD = 50

/** pg waits for the server only: a portal with rows left, or a COPY, waits for its reader or writer. */
export type Wait = 'portal' | 'copy-in' | 'copy-out'

export class Remains {
  readonly #reader: Reader
  #isTainted = false
  /** A statement of query() has left state, or may have: as with pg, it stays for the next user of the connection. */
  #isShared = false
  /** A hook has set something up here, as on every connection: DISCARD ALL would undo that here alone. */
  #isHooked = false
  /** What hooks have sent: a RESET of something in it undoes that, too. */
  #hooked = ''
  #isWiped = false
  #waits: Wait | null = null
  /** A portal was opened, and none of it asked for yet. */
  #isBound = false
  /** The transaction under way may only read. */
  #mayOnlyRead = false
  /** Why the connection is not kept, whatever becomes of it. */
  #spoilt: 'stale plan' | 'read only' | null = null
  #unread: string[] = []

  constructor(reader: Reader) {
    this.#reader = reader
  }

  /** State is left behind, or may be. */
  get isTainted(): boolean {
    for (const text of this.#unread.splice(0)) this.#note(text)
    return this.#isTainted
  }

  /** query() has left state that the next user of the connection gets. */
  get isShared(): boolean {
    return this.#isShared && this.isTainted
  }

  /** A connection hook has set something up here. */
  get isHooked(): boolean {
    return this.#isHooked
  }

  /** What the server waits for; null: nothing. */
  get waits(): Wait | null {
    return this.#waits ?? (this.#isBound ? 'portal' : null)
  }

  /** A text is sent; null: it is not known. */
  sends(text: string | null): void {
    if (this.#isTainted) return
    // With one server nothing can be borrowed, and nothing is read.
    if (text === null) this.#isTainted = true
    else if (this.#reader.reads) this.#note(text)
    else if (this.#unread.length < MOST_UNREAD) this.#unread.push(text)
    else this.#isTainted = true
  }

  /** What was sent by query() leaves state, or may do so. */
  shares(): void {
    this.#isTainted = this.#isShared = true
  }

  /** A hook sends this. */
  hooks(text: string | null): void {
    if (text !== null && this.#reader.effect(text) === 'none') return
    this.#isHooked = true
    this.#hooked = `${this.#hooked} ${text ?? ''}`.slice(-MOST_HOOKED).toLowerCase()
  }

  /** A DISCARD ALL of its own has succeeded. */
  discards(): void {
    this.#isTainted = this.#isHooked
    this.#isShared = false
    this.#unread = []
  }

  #note(text: string): void {
    if (!this.#isTainted) this.#isTainted = this.#reader.effect(text) === 'taints'
  }

  /** A portal is opened by what is sent. */
  binds(): void {
    this.#isBound = true
  }

  /** Rows of it are asked for. */
  executes(): void {
    this.#isBound = false
    this.#waits = null
  }

  /** Sync: a portal is over, and the server will say that it is ready. */
  syncs(): void {
    this.#isBound = false
    if (this.#waits === 'portal') this.#waits = null
  }

  // What the server says.

  /** CommandComplete. */
  completes(tag: string, underWay: { readonly text: string | null }): void {
    this.#waits = null
    if (tag === 'DISCARD ALL') this.#isWiped = true
    else if (tag === 'RESET' || (tag === 'SET' && DEFAULT.test(underWay.text ?? ''))) {
      if (this.#undoesHook(underWay.text)) this.#isWiped = true
    }
    if (tag === 'BEGIN' || tag === 'START TRANSACTION' || tag === 'SET') {
      if (READ_ONLY.test(underWay.text ?? '')) this.#mayOnlyRead = true
    }
  }

  #undoesHook(text: string | null): boolean {
    const name = (RESET.exec(text ?? '')?.[1] ?? 'all').toLowerCase().replace(/\s+/g, ' ')
    // A new session authorization takes its role along; a setting may be set by a function, with its name as a value.
    if (name === 'all' || name === 'session authorization' || this.#hooked.includes('set_config')) return this.#isHooked
    return this.#hooked.includes(name) || (/^time ?zone$/.test(name) && /\btime\s*zone\b/.test(this.#hooked))
  }

  waitsFor(wait: Wait | null): void {
    this.#waits = wait
  }

  failed(code: string | undefined, routine: string | undefined): void {
    // A prepared statement whose result type has changed: prepared once more under its name it would fail again, for ever.
    if (code === '0A000' && routine === 'RevalidateCachedQuery') this.#spoilt ??= 'stale plan'
    // The server has become a standby, or the session reads only by default.
    if (code === '25006' && !this.#mayOnlyRead) this.#spoilt ??= 'read only'
  }

  ready(status: string): void {
    this.#waits = null
    this.#isBound = false
    if (status === 'I') this.#mayOnlyRead = false
  }

  /** May the next user have the connection, as far as its session is concerned? The state of a replica's session is no user's. */
  mayStay(isReplica: boolean): boolean {
    if (this.#spoilt !== null || this.waits !== null || (this.#isWiped && this.#isHooked)) return false
    return !isReplica || !this.isTainted
  }
}

/** What a hook sets up is short. */
const MOST_HOOKED = 2000

/** RESET a, SET a TO DEFAULT. */
const RESET =
  /\b(?:reset|set)\s+(?:session\s+(?!authorization)|local\s+)?"?(time\s+zone|session\s+authorization|[\w.]+)/i

const DEFAULT = /(?:=|\bto|\bzone|\bauthorization)\s*(?:default|local)\b/i

const READ_ONLY = /\bread\s+only\b|\btransaction_read_only\b/i
