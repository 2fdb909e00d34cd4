// Who may log in, and with what the proxy logs in to servers for each user: a userlist, a query on pg_authid, and the keys that proofs of
// clients have revealed. Keys live in memory only. Prints no secret.

import { createHmac, randomBytes } from 'node:crypto'
import { keysOf, madeUp, type Secret, type Verifier, verifierIn } from './scram.js'

/** What is known of a user's password. */
export type Known =
  | { readonly kind: 'verifier'; readonly verifier: Verifier }
  | { readonly kind: 'password'; readonly password: string }

/** Lines of `"user" "password or verifier"`, as PgBouncer's userlist.txt has them. Throws where a line is neither that nor a comment. */
export function userlistIn(text: string): ReadonlyMap<string, Known> {
  const users = new Map<string, Known>()
  text.split(/\r?\n/).forEach((line, index) => {
    if (/^\s*(?:[;#].*)?$/.test(line)) return
    const [, user, secret] = /^\s*"((?:[^"]|"")+)"\s+"((?:[^"]|"")*)"/.exec(line) ?? []
    if (user === undefined || secret === undefined)
      throw new Error(`line ${index + 1} of the userlist is not "user" "secret"`)
    const known = knownBy(secret.replaceAll('""', '"'))
    if (known === null)
      throw new Error(
        `line ${index + 1} of the userlist has an md5 secret: SCRAM needs a password or a SCRAM-SHA-256 secret`
      )
    users.set(user.replaceAll('""', '"'), known)
  })
  return users
}

/** Null: SCRAM cannot be done with it. */
export function knownBy(secret: string): Known | null {
  if (/^md5[0-9a-f]{32}$/.test(secret)) return null
  const verifier = verifierIn(secret)
  return verifier === null ? { kind: 'password', password: secret } : { kind: 'verifier', verifier }
}

export interface UsersParts {
  readonly list: ReadonlyMap<string, Known>
  /** Asks the servers for the secret of a user; null: there is none, or it has expired. */
  readonly query: (user: string) => Promise<string | null>
  /** False: the list has all users. */
  readonly asks: () => boolean
  readonly now: () => number
  /** Salts are made of it. Processes that serve the same clients share it: else salts would tell who is no user. */
  readonly salting?: Buffer | undefined
}

interface Asked {
  readonly secret: string | null
  readonly at: number
}

/** An answer of the query is taken for true so long. */
const TRUE_MILLIS = 10_000
const MOST_ASKED = 10_000

export class Users {
  #parts: UsersParts
  readonly #processSecret: Buffer
  /** Of clear-text passwords: one PBKDF2 for each user. */
  readonly #derived = new Map<string, Verifier>()
  readonly #asked = new Map<string, Asked>()
  readonly #secrets = new Map<string, Secret>()

  constructor(parts: UsersParts) {
    this.#parts = parts
    this.#processSecret = parts.salting ?? randomBytes(32)
  }

  reload(list: UsersParts['list']): void {
    this.#parts = { ...this.#parts, list }
    this.#derived.clear()
    this.#asked.clear()
  }

  /** What a client of this name must prove to know. `isReal` false: there is no such user, and no proof will do. */
  async verifier(user: string): Promise<{ readonly verifier: Verifier; readonly isReal: boolean }> {
    const known = this.#parts.list.get(user) ?? (await this.#ask(user))
    if (known === null) return { verifier: madeUp(user, this.#processSecret), isReal: false }
    if (known.kind === 'verifier') return { verifier: known.verifier, isReal: true }
    let derived = this.#derived.get(user)
    if (derived === undefined) {
      const salt = createHmac('sha256', this.#processSecret).update(`own ${user}`).digest().subarray(0, 16)
      derived = keysOf(known.password, salt, 4096).verifier
      this.#derived.set(user, derived)
    }
    return { verifier: derived, isReal: true }
  }

  async #ask(user: string): Promise<Known | null> {
    const { query, asks, now } = this.#parts
    if (!asks()) return null
    const asked = this.#asked.get(user)
    if (asked !== undefined && now() - asked.at < TRUE_MILLIS)
      return asked.secret === null ? null : knownBy(asked.secret)
    try {
      const secret = await query(user)
      if (this.#asked.size >= MOST_ASKED) this.#asked.clear()
      this.#asked.set(user, { secret, at: now() })
      return secret === null ? null : knownBy(secret)
    } catch (error) {
      // While no server answers, what was last known lets its user in.
      if (asked !== undefined) return asked.secret === null ? null : knownBy(asked.secret)
      throw error
    }
  }

  /** The next login of this user asks anew: its password may have been changed. */
  doubt(user: string): void {
    this.#asked.delete(user)
  }

  /** A client has proved that it knows the password. */
  proved(user: string, clientKey: Buffer, verifier: Verifier): void {
    const known = this.#parts.list.get(user)
    if (known?.kind === 'password') return
    this.#secrets.set(user, { kind: 'keys', clientKey, verifier })
  }

  /** With what to log in to a server as this user; null: there is nothing. */
  secretOf(user: string): Secret | null {
    const known = this.#parts.list.get(user)
    if (known?.kind === 'password') return known
    return this.#secrets.get(user) ?? null
  }

  /** A server has refused it. */
  forget(user: string): void {
    this.#secrets.delete(user)
    this.#asked.delete(user)
  }
}
