// A causal token: what one process wrote or saw, as text that another can carry. Parse, format, merge, and what it still means.
// It names a cluster, a timeline and a position; no clock and no secret.

import type { Carried } from './freshness.js'
import type { Lsn } from './lsn.js'

export interface Token {
  /** As pg_control_system() prints it; empty where the role may not ask. */
  readonly systemIdentifier: string
  readonly timeline: number
  readonly lsn: Lsn
}

/** Version, system identifier, timeline, position; the last three to the base of 36. Fit for a cookie, a URL and a header. */
const FORM = /^1\.([0-9a-z]{1,13})\.([0-9a-z]{1,7})\.([0-9a-z]{1,13})$/
const MOST = 0xffff_ffff_ffff_ffffn
const MOST_TIMELINES = 0xffff_ffffn

export function formatToken({ systemIdentifier, timeline, lsn }: Token): string {
  return `1.${BigInt(systemIdentifier || 0).toString(36)}.${timeline.toString(36)}.${lsn.toString(36)}`
}

/** Null: it is no token, or of a version that is not known here. */
export function parseToken(text: unknown): Token | null {
  const match = typeof text === 'string' ? FORM.exec(text) : null
  if (match === null) return null
  const [system, timeline, lsn] = match.slice(1).map(fromBase36) as [bigint, bigint, bigint]
  if (system > MOST || lsn > MOST || timeline > MOST_TIMELINES || timeline === 0n) return null
  // One spelling: a token can be compared as text.
  const systemIdentifier = system === 0n ? '' : String(system)
  const token = { systemIdentifier, timeline: Number(timeline), lsn: lsn as Lsn }
  return formatToken(token) === text ? token : null
}

function fromBase36(digits: string): bigint {
  let value = 0n
  for (const digit of digits) value = value * 36n + BigInt(Number.parseInt(digit, 36))
  return value
}

/**
 * What covers both. On two timelines the later one does: all that has survived of the earlier lies before it branched off.
 * Null: they are of two clusters.
 */
export function mergeTokens(a: Token, b: Token): Token | null {
  if (a.systemIdentifier !== b.systemIdentifier && a.systemIdentifier !== '' && b.systemIdentifier !== '') return null
  if (a.timeline !== b.timeline) return a.timeline > b.timeline ? a : b
  return a.lsn >= b.lsn ? a : b
}

/** One token for each cluster that is named: each is judged alone, so a token of another cluster hides none of this one. */
export function gathered(tokens: readonly Token[]): readonly Token[] {
  const byCluster = new Map<string, Token>()
  for (const token of tokens) {
    const known = byCluster.get(token.systemIdentifier)
    byCluster.set(token.systemIdentifier, known === undefined ? token : (mergeTokens(known, token) ?? token))
  }
  return [...byCluster.values()]
}

/** The history that a token is judged by. */
export interface Present {
  readonly systemIdentifier: string | null
  /** The primary's; null while none is known. */
  readonly timeline: number | null
  /** Where that timeline branched off; null: not known. */
  readonly begun: Lsn | null
}

/**
 * 'lost': it stands for WAL that the present timeline does not have, as after the failover of an asynchronous primary.
 * 'foreign': it is of another cluster.
 */
export type Fate = 'lost' | 'foreign' | Carried

export function fateOf(token: Token, arrivedAt: number, present: Present): Fate {
  const { systemIdentifier, timeline, begun } = present
  if (systemIdentifier && token.systemIdentifier && systemIdentifier !== token.systemIdentifier) return 'foreign'
  if (timeline === null || token.timeline === timeline) return { lsn: token.lsn, arrivedAt }
  // A later timeline than that of the primary we see: all that can be asked for is what that had when the token came.
  if (token.timeline > timeline || begun === null) return { lsn: null, arrivedAt }
  return token.lsn <= begun ? { lsn: token.lsn, arrivedAt } : 'lost'
}

/** What several tokens ask for together. */
export interface Fates {
  /** What a read must see for all that are of this cluster; null: nothing. */
  readonly carried: Carried | null
  /** The first that stands for WAL which the present timeline does not have. */
  readonly lost: Token | null
  /** The first that is of another cluster. */
  readonly foreign: Token | null
}

export function fatesOf(tokens: readonly Token[], arrivedAt: number, present: Present): Fates {
  let carried: Carried | null = null
  let lost: Token | null = null
  let foreign: Token | null = null
  for (const token of tokens) {
    const fate = fateOf(token, arrivedAt, present)
    if (fate === 'foreign') foreign ??= token
    else if (fate === 'lost') lost ??= token
    else carried = stricter(carried, fate)
  }
  return { carried, lost, foreign }
}

/** Without a position all that the primary had at the arrival is asked for, and any position lies before that. */
function stricter(a: Carried | null, b: Carried): Carried {
  if (a === null) return b
  if (a.lsn === null || b.lsn === null) return { lsn: null, arrivedAt: Math.max(a.arrivedAt, b.arrivedAt) }
  return a.lsn >= b.lsn ? a : b
}
