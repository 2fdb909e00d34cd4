// One trip to a server and back: a question of the proxy's own, or a unit of a client. Says of each message of the answer whether it
// is the client's, and holds the beginning of an answer back as long as the unit may still run elsewhere. Does no I/O.

import type { Source, Spoken } from '../../core/cluster/failure.js'
import type { UnderWay } from '../../core/session/server-session.js'
import { Expect, type Expected } from '../session/unit.js'
import { Back } from '../wire/letters.js'
import type { Status } from '../wire/write.js'
import { messageIn, ServerError } from './question.js'
import type { Exchange, Piece } from './traffic.js'

/** What a client of the proxy gets. */
export interface Sink {
  write(bytes: Buffer): void
  /** The server asks for the data of a COPY. */
  copies(): void
  /** A setting that servers report has another value in this session. */
  parameter(name: string, value: string): void
}

/** How a unit has ended. */
export interface Ended {
  readonly status: Status
  /** The error in its answer, which the client has been told. */
  readonly failed: Spoken | null
}

export interface UnitEnds {
  readonly resolve: (ended: Ended) => void
  /** Nothing of the answer was told to the client. */
  readonly reject: (error: unknown, source: Source) => void
  /** The server has not carried it out. */
  readonly skipped: (expected: Expected) => void
  /** A server that skips has passed over what would have ended the unit: it goes on, up to a Sync that is yet to come. */
  readonly goesOn: () => void
}

/** Beginnings of answers: they do not say yet whether the statement succeeds. */
const PRELIMINARY = new Uint8Array(256)
for (const letter of '123tTnNE') PRELIMINARY[letter.charCodeAt(0)] = 1

export class UnitExchange implements Exchange {
  readonly underWay: UnderWay
  readonly inserts: Buffer[] = []
  readonly #sink: Sink
  readonly #ends: UnitEnds
  #expects: Expected[] | null = null
  #next = 0
  /** Messages of the client that were carried out. Where answers are not accounted for: whether the first was. */
  #reached = 0
  /** Behind an error: up to a Sync. */
  #isSkipping = false
  /** The beginning of the answer; null: the client is being told. */
  #held: Buffer[] | null
  #isOver = false
  #isDropped = false
  #passes = true
  /** Until it says yes nothing is told. */
  #gate: 'none' | 'shut' | 'open' = 'none'
  #wantsOut = false
  #spoken: Spoken | null = null
  #message = ''
  #end: Status | null = null
  /** The server has asked for a COPY: a Sync that was sent before is ignored there. */
  hasCopied = false

  /** `mayHold`: the client waits for no answer before the whole unit is done. */
  constructor(text: string | null, mayHold: boolean, sink: Sink, ends: UnitEnds) {
    this.underWay = { text, isAside: false }
    this.#held = mayHold ? [] : null
    this.#sink = sink
    this.#ends = ends
  }

  /** Null: the answers are the client's as they come. What is answered without the server in front of them is told now. */
  begin(expects: readonly Expected[] | null): void {
    if (expects === null) return
    this.#expects = [...expects]
    this.#insert()
    for (const bytes of this.inserts.splice(0)) this.write(bytes)
  }

  /** More of the unit is sent. */
  extend(expects: readonly Expected[]): void {
    const begun = this.#expects
    if (begun === null) throw new Error('a unit goes on that is not accounted for')
    const isWaiting = this.#next === begun.length
    begun.push(...expects)
    if (!isWaiting) return
    if (this.#isSkipping) this.#skips()
    else {
      this.#insert()
      for (const bytes of this.inserts.splice(0)) this.write(bytes)
    }
  }

  get isTold(): boolean {
    return this.#held === null
  }

  /** So many messages of the client were carried out. */
  get reached(): number {
    return this.#reached
  }

  /** Nothing of the answer is told; the connection reads on to its end. True: the client had not been told anything. */
  drop(): void {
    this.#isDropped = true
    this.#isOver = true
    this.#held = []
  }

  /** What the answer shows is not proven yet. */
  shut(): void {
    this.#gate = 'shut'
  }

  /** It is. */
  open(): void {
    this.#gate = 'open'
    if (this.#wantsOut) this.#release()
    if (this.#end !== null) this.#finish(this.#end)
  }

  get isShut(): boolean {
    return this.#gate === 'shut' && this.#wantsOut
  }

  piece(piece: Piece): boolean | null {
    const { type, begins } = piece
    if (!begins) return this.#passes && !this.#isDropped
    if (PRELIMINARY[type] === 0 && this.#held !== null && type !== Back.ready) this.#release()
    if (type === Back.copyIn) this.#copies()
    if (type === Back.error) this.#message = messageIn(piece.bytes, piece.from + 5, piece.to)
    if (this.#reached === 0 && this.#expects === null && this.#spoken === null && type !== Back.notice)
      this.#reached = 1
    const passes = this.#expects === null ? true : this.#accounted(type)
    this.#passes = passes === true
    return passes === null ? null : passes && !this.#isDropped
  }

  #copies(): void {
    this.hasCopied = true
    this.#sink.copies()
  }

  /** A message of the server's beside what is expected. Null: it is not. */
  #accounted(type: number): boolean | null {
    const expects = this.#expects as Expected[]
    if (type === Back.notice) return true
    const head = expects[this.#next]
    if (head === undefined) return type === Back.error ? true : null
    if (type === Back.error) return this.#skip(head)
    const step = STEPS[head.what]?.[type]
    if (step === undefined) return null
    if (step === DONE) this.#advance(head)
    return !head.swallowed
  }

  #advance(head: Expected): void {
    this.#next++
    if (!head.swallowed && this.#spoken === null) this.#reached++
    this.#insert()
  }

  #insert(): void {
    const expects = this.#expects as Expected[]
    for (let head = expects[this.#next]; head?.instead; head = expects[this.#next]) {
      this.inserts.push(head.instead)
      this.#next++
      this.#reached++
    }
  }

  /** As the server does: all up to Sync is skipped. */
  #skip(head: Expected): boolean {
    // Behind a simple query nothing is skipped.
    if (head.what === Expect.all) return true
    const own = head.error
    this.#skips()
    if (own === null) return true
    this.inserts.push(own)
    this.#ownError = own
    return false
  }

  #skips(): void {
    const expects = this.#expects as Expected[]
    const first = this.#next
    const sync = expects.findIndex(({ what }, at) => at >= first && what === Expect.sync)
    this.#isSkipping = sync === -1
    const until = this.#isSkipping ? expects.length : sync
    // What was done last is undone first.
    for (let at = until - 1; at >= first; at--) this.#ends.skipped(expects[at] as Expected)
    this.#next = until
    if (!this.#isSkipping || until === first || expects[until - 1]?.what !== Expect.all) return
    this.#release()
    this.#ends.goesOn()
  }

  #ownError: Buffer | null = null

  failed(spoken: Spoken): void {
    this.#spoken ??= spoken
  }

  write(bytes: Buffer): void {
    if (this.#isDropped) return
    if (this.#held === null) this.#sink.write(bytes)
    else this.#held.push(bytes)
  }

  parameter(name: string, value: string): void {
    if (!this.#isDropped) this.#sink.parameter(name, value)
  }

  #release(): void {
    if (this.#gate === 'shut') {
      this.#wantsOut = true
      return
    }
    const held = this.#held
    this.#held = null
    if (held !== null && !this.#isDropped) for (const bytes of held) this.#sink.write(bytes)
  }

  ended(status: Status): void {
    if (this.#gate === 'shut') {
      this.#end = status
      this.#wantsOut = true
      return
    }
    this.#finish(status)
  }

  #finish(status: Status): void {
    if (this.#isOver) return
    this.#isOver = true
    const [spoken, held] = [this.#spoken, this.#held]
    if (spoken !== null && held !== null && status === 'I') {
      // What the proxy has refused itself is no word of a server's about anything.
      const source: Source = this.#ownError === null ? spoken : 'pgherd'
      this.#ends.reject(new ServerError(this.#message, spoken, held), source)
      return
    }
    this.#release()
    if (spoken === null) this.#reached = Infinity
    this.#ends.resolve({ status, failed: spoken })
  }

  lost(error: Error, source: Source): void {
    if (this.#isOver) return
    this.#isOver = true
    const spoken = this.#spoken
    if (spoken === null) this.#ends.reject(error, source)
    else this.#ends.reject(new ServerError(this.#message, spoken, []), spoken)
  }
}

const DONE = 1
const GOES_ON = 0

/** What is expected -> letters of its answer, and whether the answer is done with it. */
const STEPS: readonly Readonly<Record<number, number>>[] = [
  steps(Expect.parse, '1', ''),
  steps(Expect.bind, '2', ''),
  steps(Expect.describeStatement, 'Tn', 't'),
  steps(Expect.describePortal, 'Tn', ''),
  steps(Expect.execute, 'CIs', 'DGHWdc'),
  steps(Expect.close, '3', ''),
  steps(Expect.sync, 'Z', ''),
  steps(Expect.all, 'Z', 'TDCIGHWdcVns'),
]

function steps(_: number, done: string, goesOn: string): Readonly<Record<number, number>> {
  const found: Record<number, number> = {}
  for (const letter of done) found[letter.charCodeAt(0)] = DONE
  for (const letter of goesOn) found[letter.charCodeAt(0)] = GOES_ON
  return found
}
