// Named statements of clients on connections that they share: a client's name stands for a text with its parameter types, and equal
// ones have one name on every server. What a client has named, what a server connection has, and what must be sent so that both agree.

import { behindString, Front } from '../wire/letters.js'

/** So the names on servers begin, which all clients share: none of them may use one as its own. */
const OURS = 'pgherd_'

export function isOurs(name: string): boolean {
  return name.startsWith(OURS)
}

/** A text with its parameter types, under the name that servers know it by. */
export interface Prepared {
  /** On servers. */
  readonly name: string
  readonly text: string
  /** The whole Parse message, under that name. */
  readonly parse: Buffer
  /** In the library. */
  readonly key: string
}

/** The statement that stands first in the body of a Parse; null: it is not well formed. */
export function parseIn(
  bytes: Buffer,
  from: number,
  to: number
): { readonly name: string; readonly text: string; readonly textFrom: number } | null {
  const textFrom = behindString(bytes, from, to)
  const typesFrom = textFrom === -1 ? -1 : behindString(bytes, textFrom, to)
  if (typesFrom === -1 || typesFrom + 2 > to) return null
  const types = bytes.readUInt16BE(typesFrom)
  if (typesFrom + 2 + types * 4 !== to) return null
  return {
    name: bytes.toString('utf8', from, textFrom - 1),
    text: bytes.toString('utf8', textFrom, typesFrom - 1),
    textFrom,
  }
}

/** The names in front of a Bind. */
export function bindIn(
  bytes: Buffer,
  from: number,
  to: number
): { readonly statement: string; readonly statementFrom: number; readonly statementTo: number } | null {
  const statementFrom = behindString(bytes, from, to)
  const behind = statementFrom === -1 ? -1 : behindString(bytes, statementFrom, to)
  if (behind === -1) return null
  // Almost all names are of ASCII, and short.
  return { statement: bytes.toString('utf8', statementFrom, behind - 1), statementFrom, statementTo: behind - 1 }
}

/** `bytes`: a message, or its beginning, of `total` bytes. The name from `from` to `to` gives way to another. */
export function renamed(bytes: Buffer, total: number, from: number, to: number, name: string): Buffer {
  const length = name.length
  const made = Buffer.allocUnsafe(bytes.length - (to - from) + length)
  bytes.copy(made, 0, 0, from)
  made.write(name, from, 'latin1')
  bytes.copy(made, from + length, to)
  made.writeInt32BE(total - 1 - (to - from) + length, 1)
  return made
}

/** All texts that clients have named, each once. Bounded: what is forgotten gets a new name when it comes again. */
export class Library {
  readonly #most: number
  readonly #known = new Map<string, Prepared>()
  #count = 0

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#known.size
  }

  /**
   * `body`: of a Parse, from its text on. `meaning`: the settings that may change what the text means; equal texts under two of them
   * must not share a name.
   */
  of(body: Buffer, text: string, meaning: string): Prepared {
    const key = `${meaning}\0${body.toString('latin1')}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const name = `${OURS}${(++this.#count).toString(36)}`
    const parse = Buffer.allocUnsafe(5 + name.length + 1 + body.length)
    parse[0] = Front.parse
    parse.writeInt32BE(parse.length - 1, 1)
    parse.write(`${name}\0`, 5, 'latin1')
    body.copy(parse, 6 + name.length)
    const made = { name, text, parse, key }
    if (this.#known.size >= this.#most) {
      const [oldest] = this.#known.keys()
      if (oldest !== undefined) this.#known.delete(oldest)
    }
    this.#known.set(key, made)
    return made
  }

  /** Its result type has changed: a client that names the text anew gets another name for it, and one that does not is told so. */
  outdate({ key, name }: Prepared): void {
    if (this.#known.get(key)?.name === name) this.#known.delete(key)
  }
}

/** What one client has named. */
export interface Named {
  /** The body of its Parse, from the text on. */
  readonly body: Buffer
  readonly text: string
  /** Under the settings of the last use. */
  prepared: Prepared
  meaning: string
}

/** The names that one server connection has: the least recently used goes first. */
export class Shelf {
  readonly #most: number
  readonly #names = new Map<string, Prepared>()

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#names.size
  }

  /** True: it is there. Counts as a use. */
  has({ name }: Prepared): boolean {
    const known = this.#names.get(name)
    if (known === undefined) return false
    // Few are used in turn where many are kept.
    if (this.#names.size > this.#most / 2) {
      this.#names.delete(name)
      this.#names.set(name, known)
    }
    return true
  }

  /** Its Parse is sent. Gives those that must be closed for it. */
  add(prepared: Prepared): readonly Prepared[] {
    const closed: Prepared[] = []
    while (this.#names.size >= this.#most) {
      const [oldest] = this.#names.values()
      if (oldest === undefined) break
      this.#names.delete(oldest.name)
      closed.push(oldest)
    }
    this.#names.set(prepared.name, prepared)
    return closed
  }

  remove({ name }: Prepared): boolean {
    return this.#names.delete(name)
  }

  /** Its Close was not carried out. */
  restore(prepared: Prepared): void {
    this.#names.set(prepared.name, prepared)
  }

  clear(): void {
    this.#names.clear()
  }
}

/** Its Parse, without a name. */
export function nameless({ body }: Named): Buffer {
  const made = Buffer.allocUnsafe(6 + body.length)
  made[0] = Front.parse
  made.writeInt32BE(made.length - 1, 1)
  made[5] = 0
  body.copy(made, 6)
  return made
}

/** A Close of a statement. */
export function closeOf(name: string): Buffer {
  const made = Buffer.allocUnsafe(7 + name.length)
  made[0] = Front.close
  made.writeInt32BE(made.length - 1, 1)
  made[5] = 0x53
  made.write(`${name}\0`, 6, 'latin1')
  return made
}
