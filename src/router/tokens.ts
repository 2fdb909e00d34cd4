// The tokens that a session begins with: read, checked, one for each cluster; and what goes on of them.

import type { Lsn } from '../core/cluster/lsn.js'
import { gathered, mergeTokens, parseToken, type Token } from '../core/cluster/token.js'
import type { Topology } from '../core/cluster/topology.js'
import type { Arrival } from '../core/session/causal-scope.js'
import { argumentError, PgherdError } from '../errors.js'

/** One token, several, or none: a cookie may be missing. */
export type Tokens = string | null | undefined | readonly (string | null | undefined)[]

export interface SessionOptions {
  /** What to do with a text that is no token of this cluster: throw PGHERD_TOKEN (the default), or do as if there were none. */
  readonly invalidToken?: 'error' | 'ignore'
}

/** The tokens, one for each cluster that is named. Which cluster this is may not be known yet: each is judged when it is read for. */
export function tokensOf(texts: Tokens, { invalidToken = 'error' }: SessionOptions = {}): readonly Token[] {
  if (invalidToken !== 'error' && invalidToken !== 'ignore') {
    throw argumentError(`option invalidToken must be 'error' or 'ignore', not ${String(invalidToken)}`)
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

/** What covers this position of the primary; null: its timeline is not known. */
export function tokenAt({ systemIdentifier, incumbent }: Topology, lsn: Lsn): Token | null {
  const timeline = incumbent?.timeline ?? null
  return timeline === null ? null : { systemIdentifier: systemIdentifier ?? '', timeline, lsn }
}

/** All tokens of an arrival. */
export function tokensIn(arrival: Arrival | null): readonly Token[] {
  if (arrival === null) return []
  return arrival.strict.length === 0 ? arrival.lenient : [...arrival.strict, ...arrival.lenient]
}

/** They are of several clusters, and which of them this is is not known. */
export function isAmbiguous(tokens: readonly Token[], { systemIdentifier }: Topology): boolean {
  if (systemIdentifier !== null || tokens.length < 2) return false
  return new Set(tokens.map((token) => token.systemIdentifier).filter((each) => each !== '')).size > 1
}

/** Of the tokens that came in, what goes on: those of another cluster do not, as soon as it is known which one this is. */
export function carriedOn(tokens: readonly Token[], { systemIdentifier }: Topology): Token | null {
  let merged: Token | null = null
  for (const token of tokens) {
    if (systemIdentifier && token.systemIdentifier && token.systemIdentifier !== systemIdentifier) continue
    merged = merged === null ? token : (mergeTokens(merged, token) ?? merged)
  }
  return merged
}
