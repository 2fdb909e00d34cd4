// A client's messages -> units. Knows what the client has named and what it prepared without a name; knows no server. What is not well
// formed is a fault, which ends the client.

import { behindString, Front, HEADER_BYTES } from '../wire/letters.js'
import { CLOSE_COMPLETE, Code, errorResponse } from '../wire/write.js'
import { bindIn, isOurs, type Library, type Named, parseIn } from './prepared.js'
import { Expect, type Part, Unit, type Unnamed } from './unit.js'

/** A piece of a client's message, as a Framer has it. */
export interface Piece {
  readonly type: number
  readonly bytes: Buffer
  readonly from: number
  readonly to: number
  readonly begins: boolean
  readonly ends: boolean
  readonly total: number
}

/** more: the unit goes on. due: a server is to be asked now. copy: a piece of a COPY. body: a long message goes on. end: Terminate. */
export type Taken = 'more' | 'due' | 'copy' | 'body' | 'end' | 'fault'

/** What a message does to a name, '' for none: what stood under it before. */
interface Change {
  readonly at: number
  readonly name: string
  readonly before: Named | Unnamed | null
}

/** So much of a unit is held before it is sent as far as it is there. */
const MOST_HELD_BYTES = 64 << 10
const STATEMENT = 0x53

export class Intake {
  readonly #library: Library
  readonly #names = new Map<string, Named>()
  #unnamed: Unnamed | null = null
  /** What the unit under way does to names, in order; a server that skips does none of it. */
  readonly #changes: Change[] = []
  /** Messages of the unit under way that a server answers. */
  #asked = 0
  #unit: Unit | null = null
  /** What the settings make of a text. */
  meaning = ''
  fault = ''

  constructor(library: Library) {
    this.#library = library
  }

  get named(): number {
    return this.#names.size
  }

  has(name: string): boolean {
    return this.#names.has(name)
  }

  /** The unit that is due; the next message begins another, unless it is to be continued. */
  unit(): Unit {
    const unit = this.#unit ?? new Unit()
    if (unit.isComplete) this.#unit = null
    return unit
  }

  /** The unit was ended by a Sync that a server has ignored, or by an error: what comes next begins another. */
  drop(): void {
    this.#unit = null
  }

  /** A unit that was sent in part, and goes on: what was sent of it is not sent again. */
  continued(): Unit {
    const unit = new Unit()
    unit.isTorn = true
    this.#unit = unit
    return unit
  }

  take(piece: Piece): Taken {
    if (!piece.begins) return 'body'
    const { type, bytes, from, to } = piece
    switch (type) {
      case Front.copyData:
      case Front.copyDone:
      case Front.copyFail:
        return 'copy'
      case Front.terminate:
        return 'end'
      case Front.query: {
        if (bytes[to - 1] !== 0) return this.#bad('invalid message format')
        this.#leaves(null)
        const unit = this.#simple(piece)
        unit.texts.push(bytes.toString('utf8', from + HEADER_BYTES, to - 1))
        return 'due'
      }
      case Front.functionCall:
        this.#simple(piece)
        return 'due'
      case Front.parse:
        return this.#parse(piece)
      case Front.bind:
        return this.#bind(piece)
      case Front.describe:
        return this.#describe(piece)
      case Front.close:
        return this.#close(piece)
      case Front.execute:
        this.#current.executes = true
        return this.#raw(piece, Expect.execute)
      case Front.flush: {
        const unit = this.#current
        this.#raw(piece, null)
        unit.flushes = true
        return unit.needsServer ? 'due' : 'more'
      }
      case Front.sync: {
        const unit = this.#current
        this.#raw(piece, Expect.sync)
        unit.isComplete = true
        return 'due'
      }
      default:
        return this.#bad(`invalid frontend message type ${type}`)
    }
  }

  /** The unit is answered: so many of its messages were carried out, and where there are more, the next one failed. */
  settle(reached: number): void {
    this.#asked = 0
    for (let change = this.#changes.pop(); change !== undefined; change = this.#changes.pop()) {
      const { at, name, before } = change
      if (at < reached) continue
      // A statement without a name is given up before the next is read.
      if (name === '') this.#unnamed = at === reached ? null : (before as Unnamed | null)
      else if (before === null) this.#names.delete(name)
      else this.#names.set(name, before as Named)
    }
  }

  #changed(name: string, before: Named | Unnamed | null): void {
    this.#changes.push({ at: this.#asked, name, before })
  }

  /** The statement without a name from here on. */
  #leaves(unnamed: Unnamed | null): void {
    if (unnamed === this.#unnamed) return
    this.#changed('', this.#unnamed)
    this.#unnamed = unnamed
  }

  /** DEALLOCATE; null: all. */
  forget(name: string | null): void {
    if (name === null) this.#names.clear()
    else this.#names.delete(name)
  }

  get #current(): Unit {
    this.#unit ??= new Unit()
    return this.#unit
  }

  /** A simple query ends the unit by itself, also where parts of another stand before it. */
  #simple(piece: Piece): Unit {
    const unit = this.#current
    unit.isSimple = true
    unit.executes = true
    unit.needsServer = true
    unit.isComplete = true
    this.#put(unit, piece, Expect.all)
    return unit
  }

  #raw(piece: Piece, what: number | null): Taken {
    const unit = this.#current
    if (what !== Expect.sync && what !== null) unit.needsServer = true
    this.#put(unit, piece, what)
    return this.#held(unit)
  }

  #put(unit: Unit, { bytes, from, to }: Piece, what: number | null): void {
    if (what !== null) this.#asked++
    unit.add({ kind: 'raw', bytes: bytes.subarray(from, to), count: what === null ? 0 : 1 }, what, to - from)
  }

  #held(unit: Unit): Taken {
    return unit.bytes > MOST_HELD_BYTES ? 'due' : 'more'
  }

  #parse({ bytes, from, to }: Piece): Taken {
    const body = from + HEADER_BYTES
    const found = parseIn(bytes, body, to)
    if (found === null) return this.#bad('invalid Parse message')
    const unit = this.#current
    const { name, text, textFrom } = found
    unit.needsServer = true
    if (name === '') {
      const unnamed = { bytes: Buffer.from(bytes.subarray(from, to)), text }
      this.#leaves(unnamed)
      unit.texts.push(text)
      return this.#add(
        unit,
        { kind: 'unnamed', unnamed, bytes: bytes.subarray(from, to), count: 1 },
        Expect.parse,
        to - from
      )
    }
    if (this.#names.has(name)) {
      const message = `prepared statement "${name}" already exists`
      const error = errorResponse({ code: Code.duplicateStatement, message })
      return this.#add(unit, { kind: 'refused', error, count: 1 }, Expect.bind, to - from)
    }
    unit.texts.push(text)
    const kept = Buffer.from(bytes.subarray(textFrom, to))
    const prepared = this.#library.of(kept, text, this.meaning)
    const named: Named = { body: kept, text, prepared, meaning: this.meaning }
    this.#changed(name, null)
    this.#names.set(name, named)
    return this.#add(unit, { kind: 'parse', named, count: 1 }, Expect.parse, to - from)
  }

  /** Under the settings of now. */
  #find(name: string): Named | undefined {
    const named = this.#names.get(name)
    if (named !== undefined && named.meaning !== this.meaning) {
      named.meaning = this.meaning
      named.prepared = this.#library.of(named.body, named.text, this.meaning)
    }
    return named
  }

  #bind({ bytes, from, to, total }: Piece): Taken {
    const found = bindIn(bytes, from + HEADER_BYTES, to)
    if (found === null) return this.#bad('invalid Bind message')
    const unit = this.#current
    unit.executes = true
    const { statement, statementFrom, statementTo } = found
    return this.#use(unit, bytes, from, to, total, statement, statementFrom, statementTo, Expect.bind)
  }

  #describe(piece: Piece): Taken {
    const { bytes, from, to, total } = piece
    const [kind, nameFrom] = [bytes[from + HEADER_BYTES], from + HEADER_BYTES + 1]
    if (behindString(bytes, nameFrom, to) !== to) return this.#bad('invalid Describe message')
    if (kind !== STATEMENT) return this.#raw(piece, Expect.describePortal)
    const name = bytes.toString('utf8', nameFrom, to - 1)
    return this.#use(this.#current, bytes, from, to, total, name, nameFrom, to - 1, Expect.describeStatement)
  }

  #use(
    unit: Unit,
    bytes: Buffer,
    from: number,
    to: number,
    total: number,
    name: string,
    nameFrom: number,
    nameTo: number,
    what: number
  ): Taken {
    unit.needsServer = true
    const held = bytes.subarray(from, to)
    if (name === '') {
      const unnamed = this.#unnamed
      // The server may have one of another client's.
      if (unnamed === null) return this.#unknown(unit, 'unnamed prepared statement', held.length)
      if (!unit.texts.includes(unnamed.text)) unit.texts.push(unnamed.text)
      return this.#add(unit, { kind: 'reuse', unnamed, bytes: held, count: 1 }, what, held.length)
    }
    const named = this.#find(name)
    if (named === undefined) {
      if (isOurs(name)) return this.#unknown(unit, `prepared statement "${name}"`, held.length)
      // It may be one of PREPARE, in a session of the client's own; else the server says so in its turn.
      return this.#add(unit, { kind: 'raw', bytes: held, count: 1 }, what, held.length)
    }
    if (unit.texts.at(-1) !== named.text) unit.texts.push(named.text)
    const part: Part = { kind: 'use', named, bytes: held, total, from: nameFrom - from, to: nameTo - from, count: 1 }
    return this.#add(unit, part, what, held.length)
  }

  #close(piece: Piece): Taken {
    const { bytes, from, to } = piece
    const [kind, nameFrom] = [bytes[from + HEADER_BYTES], from + HEADER_BYTES + 1]
    if (behindString(bytes, nameFrom, to) !== to) return this.#bad('invalid Close message')
    const name = bytes.toString('utf8', nameFrom, to - 1)
    const named = this.#names.get(name)
    if (kind !== STATEMENT || (name !== '' && named === undefined && !isOurs(name)))
      return this.#raw(piece, Expect.close)
    if (name === '') this.#leaves(null)
    else if (named !== undefined) {
      this.#changed(name, named)
      this.#names.delete(name)
    }
    return this.#add(this.#current, { kind: 'own', answer: CLOSE_COMPLETE, count: 1 }, Expect.close, to - from)
  }

  #unknown(unit: Unit, which: string, bytes: number): Taken {
    const error = errorResponse({ code: Code.invalidStatement, message: `${which} does not exist` })
    return this.#add(unit, { kind: 'refused', error, count: 1 }, Expect.bind, bytes)
  }

  #add(unit: Unit, part: Part, what: number, bytes: number): Taken {
    this.#asked++
    unit.add(part, what, bytes)
    return this.#held(unit)
  }

  #bad(text: string): 'fault' {
    this.fault = text
    return 'fault'
  }
}
