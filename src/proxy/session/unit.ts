// A unit: what a client sends up to a Sync, or one simple query, or one function call. It is held until the client needs an answer, so
// that one server gets all of it. Here a client's messages become the parts of a unit; what is sent for them depends on the server
// connection, and is said by encode().

import type { Status } from '../wire/write.js'
import type { Named, Prepared, Shelf } from './prepared.js'
import { closeOf, nameless, renamed } from './prepared.js'

/** What a part stands for. raw: bytes as they came. */
export type Part = { /** Answers that a server gives to it. */ count: number } & (
  | { readonly kind: 'raw'; bytes: Buffer }
  /** A Parse under the client's own name. */
  | { readonly kind: 'parse'; readonly named: Named }
  /** A Bind or a Describe of such a statement. `total`: the length of the message, of which `bytes` may be the beginning. */
  | {
      readonly kind: 'use'
      readonly named: Named
      readonly bytes: Buffer
      readonly total: number
      readonly from: number
      readonly to: number
    }
  /** A Parse of the statement without a name, and a Bind or a Describe of it that came without one. */
  | { readonly kind: 'unnamed'; readonly unnamed: Unnamed; readonly bytes: Buffer }
  | { readonly kind: 'reuse'; readonly unnamed: Unnamed; readonly bytes: Buffer }
  /** Answered here: a Close of a client's own name. */
  | { readonly kind: 'own'; readonly answer: Buffer }
  /** A Sync of the proxy's own. */
  | { readonly kind: 'end' }
  /** What only a server can refuse in the right order: it is made to, and the client gets this instead of its words. */
  | { readonly kind: 'refused'; readonly error: Buffer }
)

/** The statement without a name: it lives until the next one, or a simple query. */
export interface Unnamed {
  /** The whole Parse. */
  readonly bytes: Buffer
  readonly text: string
}

/** What the server answers to a message, in order. */
export const Expect = {
  parse: 0,
  bind: 1,
  describeStatement: 2,
  describePortal: 3,
  execute: 4,
  close: 5,
  sync: 6,
  /** A simple query or a function call: anything, up to ReadyForQuery. */
  all: 7,
} as const

export interface Expected {
  readonly what: number
  /** The client did not ask: the answer is not shown. */
  readonly swallowed: boolean
  /** Told to the client instead of an answer, without the server. */
  readonly instead: Buffer | null
  /** Told to the client instead of the server's error. */
  readonly error: Buffer | null
  /** Prepared on the server, or closed there, when this is answered. */
  readonly prepared: Prepared | null
}

function expected(what: number, given: Partial<Expected> = NOTHING): Expected {
  return {
    what,
    swallowed: given.swallowed ?? false,
    instead: given.instead ?? null,
    error: given.error ?? null,
    prepared: given.prepared ?? null,
  }
}
const NOTHING: Partial<Expected> = {}

const PLAIN: readonly Expected[] = Object.values(Expect).map((what) => expected(what))

export class Unit {
  readonly parts: Part[] = []
  /** What stands in it: of Parse, of simple queries, of statements that are used. */
  readonly texts: string[] = []
  /** Letters of the messages in `parts` that a server answers. */
  readonly asked: number[] = []
  /** Bytes that are held of it. */
  bytes = 0
  /** The client is done: a Sync, a simple query, a function call. */
  isComplete = false
  /** A simple query or a function call. */
  isSimple = false
  /** A part of it has left for a server before it was complete, so it cannot be sent again. */
  isTorn = false
  /** It asks a server for something. */
  needsServer = false
  /** An answer is wanted before Sync. */
  flushes = false
  /** The proxy has ended it at a Flush: the client's own Sync is yet to come. */
  isCut = false
  /** It runs, or may run, a statement. */
  executes = false

  /** Nothing of it runs anything, so no server need be kept for what comes behind its Flush. */
  get mayBeCut(): boolean {
    return this.flushes && this.needsServer && !this.executes && !this.isTorn && !this.isComplete
  }

  cut(): void {
    this.isCut = this.isComplete = true
    this.parts.push({ kind: 'end', count: 0 })
  }

  /** `what`: the answer to it; null: there is none. `bytes`: what of it is held. */
  add(part: Part, what: number | null, bytes: number): void {
    this.bytes += bytes
    if (what !== null) this.asked.push(what)
    const last = this.parts.at(-1)
    if (part.kind === 'raw' && last?.kind === 'raw' && isNext(last.bytes, part.bytes)) {
      last.bytes = Buffer.from(last.bytes.buffer, last.bytes.byteOffset, last.bytes.length + part.bytes.length)
      last.count += part.count
    } else this.parts.push(part)
  }
}

/** They lie side by side in one chunk. */
function isNext(first: Buffer, second: Buffer): boolean {
  return first.buffer === second.buffer && first.byteOffset + first.length === second.byteOffset
}

/** What is sent for parts, and what comes back. `expects` null: the answers are the client's as they are. */
export interface Encoded {
  readonly bytes: readonly Buffer[]
  readonly expects: readonly Expected[] | null
}

/** What a server connection has. */
export interface Holds {
  readonly shelf: Shelf
  readonly status: Status
  unnamed: Unnamed | null
}

/** A Bind of a statement that no server has. */
const IMPOSSIBLE = (() => {
  const body = Buffer.from('\0pgherd_none\0\0\0\0\0\0\0', 'latin1')
  const made = Buffer.concat([Buffer.from('B\0\0\0\0', 'latin1'), body])
  made.writeInt32BE(4 + body.length, 1)
  return made
})()

/** For this server connection, which has it from then on. `accounts`: what comes back is said in any case. */
export function encode({ parts, asked, isSimple }: Unit, holds: Holds, accounts: boolean): Encoded {
  if (isSimple) holds.unnamed = null
  const bytes: Buffer[] = []
  // A server that skips passes over a simple query as well, and which of two statements without a name is left must be known.
  const isMixed = (isSimple && asked.length > 1) || asked.lastIndexOf(Expect.parse) > 0
  let special: Expected[] | null = accounts || isMixed ? [] : null
  let next = 0
  /** What is expected in front is copied when something special is met. */
  const begin = (): Expected[] => {
    special ??= asked.slice(0, next).map((what) => PLAIN[what] as Expected)
    return special
  }
  const prepare = (named: Named, isAsked: boolean) => {
    const { prepared } = named
    const expects = begin()
    for (const old of holds.shelf.add(prepared)) {
      bytes.push(closeOf(old.name))
      expects.push(expected(Expect.close, { swallowed: true, prepared: old }))
    }
    bytes.push(prepared.parse)
    expects.push(expected(Expect.parse, { swallowed: !isAsked, prepared }))
  }
  for (const part of parts) {
    let isTold = false
    switch (part.kind) {
      case 'raw':
        bytes.push(part.bytes)
        break
      case 'parse':
        // The same text again: a server that has it need not be asked, unless it refuses all in a transaction that has failed.
        if (!holds.shelf.has(part.named.prepared)) prepare(part.named, true)
        else if (holds.status !== 'E') begin().push(expected(Expect.parse, { instead: PARSED }))
        else {
          begin().push(PLAIN[Expect.parse] as Expected)
          bytes.push(nameless(part.named))
          holds.unnamed = null
        }
        isTold = true
        break
      case 'use':
        if (!holds.shelf.has(part.named.prepared)) prepare(part.named, false)
        bytes.push(renamed(part.bytes, part.total, part.from, part.to, part.named.prepared.name))
        break
      case 'unnamed':
        holds.unnamed = part.unnamed
        bytes.push(part.bytes)
        break
      case 'reuse':
        if (holds.unnamed !== part.unnamed) {
          holds.unnamed = part.unnamed
          bytes.push(part.unnamed.bytes)
          begin().push(expected(Expect.parse, { swallowed: true }))
        }
        bytes.push(part.bytes)
        break
      case 'own':
        begin().push(expected(Expect.close, { instead: part.answer }))
        isTold = true
        break
      case 'end':
        begin().push(expected(Expect.sync, { swallowed: true }))
        bytes.push(SYNC)
        isTold = true
        break
      case 'refused':
        begin().push(expected(Expect.bind, { error: part.error }))
        bytes.push(IMPOSSIBLE)
        isTold = true
        break
      default:
        part satisfies never
    }
    const until = next + part.count
    const expects = special as Expected[] | null
    if (expects !== null && !isTold)
      for (let i = next; i < until; i++) expects.push(PLAIN[asked[i] as number] as Expected)
    next = until
  }
  return { bytes, expects: special }
}

const PARSED = Buffer.from([0x31, 0, 0, 0, 4])

/** In the place of a unit: the server refuses it, in its turn and in its transaction, and the client gets this error. */
export function failing(unit: Unit, error: Buffer): Unit {
  const made = new Unit()
  made.needsServer = true
  made.isComplete = unit.isComplete
  made.isTorn = true
  made.add({ kind: 'refused', error, count: 1 }, Expect.bind, 0)
  if (unit.isCut) made.cut()
  else if (unit.isComplete) made.add({ kind: 'raw', bytes: SYNC, count: 1 }, Expect.sync, SYNC.length)
  return made
}

const SYNC = Buffer.from('S\0\0\0\x04', 'latin1')
