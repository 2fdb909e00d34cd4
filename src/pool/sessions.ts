// pool.session(): which session the code that runs now belongs to, however deep, and how it begins. AsyncLocalStorage tells;
// nothing is switched on before the first session.

import { AsyncLocalStorage } from 'node:async_hooks'
import { gathered, parseToken, type Token } from '../core/token.js'
import { PgherdError } from '../errors.js'
import type { Scope } from './scope.js'

/** One token, several, or none: a cookie may be missing. */
export type Tokens = string | null | undefined | readonly (string | null | undefined)[]

export interface SessionOptions {
  /** What to do with a text that is no token of this cluster: throw PGHERD_TOKEN (the default), or do as if there were none. */
  readonly invalidToken?: 'error' | 'ignore'
}

/** The sessions around the code that runs now, of all pools, from the inside out. */
interface Around {
  readonly of: Sessions
  readonly scope: Scope
  readonly outer: Around | undefined
}

/** One for all pools: a storage that was used once costs every promise of the process from then on (Node 20), ended pool or not. */
const storage = new AsyncLocalStorage<Around>()

export class Sessions {
  #used = false

  /** The innermost session around the code that runs now. */
  get current(): Scope | undefined {
    if (!this.#used) return undefined
    let around = storage.getStore()
    while (around !== undefined && around.of !== this) around = around.outer
    return around?.scope
  }

  run<T>(scope: Scope, work: () => T): T {
    this.#used = true
    return storage.run({ of: this, scope, outer: storage.getStore() }, work)
  }
}

/** The tokens, one for each cluster that is named. Which cluster this is may not be known yet: each is judged when it is read for. */
export function tokensOf(texts: Tokens, { invalidToken = 'error' }: SessionOptions = {}): readonly Token[] {
  if (invalidToken !== 'error' && invalidToken !== 'ignore') {
    throw new TypeError(`option invalidToken must be 'error' or 'ignore', not ${String(invalidToken)}`)
  }
  const tokens: Token[] = []
  for (const text of Array.isArray(texts) ? texts : [texts]) {
    if (text === null || text === undefined || text === '') continue
    const token = parseToken(text)
    if (token !== null) tokens.push(token)
    else if (invalidToken === 'error') throw badToken('it is no token')
  }
  const found = gathered(tokens)
  if (invalidToken === 'error') demandOneCluster(found, 'it is of another cluster than the one before it')
  return found
}

/** Two named clusters cannot both be this one. */
export function demandOneCluster(tokens: readonly Token[], why: string): void {
  if (tokens.filter(({ systemIdentifier }) => systemIdentifier !== '').length > 1) throw badToken(why)
}

/** The text itself is not shown: it came from outside. */
export function badToken(why: string): PgherdError {
  return new PgherdError(
    'PGHERD_TOKEN',
    `the token given to session() cannot be used: ${why}. Pass what token() gave, or { invalidToken: 'ignore' }.`
  )
}
