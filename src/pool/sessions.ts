// pool.session(): which session the code that runs now belongs to, however deep, and how it begins. AsyncLocalStorage tells;
// nothing is switched on before the first session.

import { AsyncLocalStorage } from 'node:async_hooks'
import { mergeTokens, parseToken, type Token } from '../core/token.js'
import { PgherdError } from '../errors.js'
import type { Scope } from './scope.js'

/** One token, several, or none: a cookie may be missing. */
export type Tokens = string | null | undefined | readonly (string | null | undefined)[]

export interface SessionOptions {
  /** What to do with a text that is no token of this cluster: throw PGHERD_TOKEN (the default), or do as if there were none. */
  readonly invalidToken?: 'error' | 'ignore'
}

export class Sessions {
  readonly #storage = new AsyncLocalStorage<Scope>()
  #used = false

  /** The innermost session around the code that runs now. */
  get current(): Scope | undefined {
    return this.#used ? this.#storage.getStore() : undefined
  }

  run<T>(scope: Scope, work: () => T): T {
    this.#used = true
    return this.#storage.run(scope, work)
  }
}

/** What the tokens stand for together; null: nothing. */
export function tokenOf(tokens: Tokens, { invalidToken = 'error' }: SessionOptions = {}): Token | null {
  if (invalidToken !== 'error' && invalidToken !== 'ignore') {
    throw new TypeError(`option invalidToken must be 'error' or 'ignore', not ${String(invalidToken)}`)
  }
  let merged: Token | null = null
  for (const text of Array.isArray(tokens) ? tokens : [tokens]) {
    if (text === null || text === undefined || text === '') continue
    const token = parseToken(text)
    const both: Token | null = token === null || merged === null ? token : mergeTokens(merged, token)
    if (both !== null) merged = both
    else if (invalidToken === 'error')
      throw badToken(token === null ? 'it is no token' : 'it is of another cluster than the one before it')
  }
  return merged
}

/** The text itself is not shown: it came from outside. */
export function badToken(why: string): PgherdError {
  return new PgherdError(
    'PGHERD_TOKEN',
    `the token given to session() cannot be used: ${why}. Pass what token() gave, or { invalidToken: 'ignore' }.`
  )
}
