// Decides which node is the primary: one verdict over all nodes that say they are not in recovery. Reads no clock, keeps no state.
//
// The danger is never a late verdict, always a wrong one: a replica promoted for a test, a thawed old primary, a fork.

import type { NodeKey } from './address.js'

/** A node of our cluster that says it is not in recovery. */
export interface Claimant {
  readonly key: NodeKey
  /** null: the role may not see it; then only incumbency decides. */
  readonly timeline: number | null
  /** Its rows in pg_stat_replication, which any role may count. An archiver has one, too: a row can keep a primary, not make one. */
  readonly rows: number
  /** Known nodes in recovery that say themselves that they follow it. */
  readonly followers: number
  readonly configured: boolean
  /** It has been refused beside a live incumbent, and has not been a replica since. */
  readonly refusedBefore: boolean
}

export interface Incumbent {
  readonly key: NodeKey
  readonly timeline: number | null
  /** live: it answers and claims. suspect: it does not answer, nothing is proven. gone: down, in recovery or removed. */
  readonly standing: 'live' | 'suspect' | 'gone'
  /** Milliseconds since it was last known to be the primary; 0 while live. */
  readonly goneMillis: number
  /** The other node that every known replica says it follows; null: some do not, or there is no replica. */
  readonly deserted: NodeKey | null
}

/** The highest timeline ever seen on a node that was not in recovery, and for how long no node has shown it. */
export interface Highest {
  readonly timeline: number
  readonly goneMillis: number
}

export type PrimaryVerdict =
  | { readonly kind: 'primary'; readonly key: NodeKey }
  /** The incumbent keeps its place, but nothing may be sent to it until it has answered. */
  | { readonly kind: 'none' }
  | { readonly kind: 'contested'; readonly claimants: readonly NodeKey[] }

/** How long a higher timeline must have been gone before a lower one, or a claimant once refused, is believed. */
export const PATIENCE_MILLIS = 10_000

const NONE: PrimaryVerdict = { kind: 'none' }

export function choosePrimary(
  claimants: readonly Claimant[],
  incumbent: Incumbent | null,
  highest: Highest | null
): PrimaryVerdict {
  if (incumbent !== null && incumbent.standing !== 'gone') return besideIncumbent(claimants, incumbent)
  const entitled = claimants.filter(
    (claimant) => !outdated(claimant, highest) && !(claimant.refusedBefore && mustWait(claimant, incumbent))
  )
  return amongEquals(entitled)
}

/** A stale fork comes back with the timeline it had. It is believed only when no node has shown a higher one for long. */
function outdated(claimant: Claimant, highest: Highest | null): boolean {
  if (highest === null || claimant.timeline === null) return false
  return claimant.timeline < highest.timeline && highest.goneMillis < PATIENCE_MILLIS
}

/** A replica promoted for a test must not take over because the primary restarts, unless a replica follows it by now. */
function mustWait(claimant: Claimant, incumbent: Incumbent | null): boolean {
  return claimant.followers === 0 && incumbent !== null && incumbent.goneMillis < PATIENCE_MILLIS
}

function besideIncumbent(claimants: readonly Claimant[], incumbent: Incumbent): PrimaryVerdict {
  const { key, standing, deserted } = incumbent
  const present = claimants.find((claimant) => claimant.key === key)
  if (present === undefined) return NONE
  // A lower timeline is an old fork, whatever follows it. A node merely found never displaces one that the user named.
  const rivals = claimants.filter(
    (rival) =>
      rival.key !== key &&
      (rival.configured || !present.configured) &&
      !(rival.timeline !== null && present.timeline !== null && rival.timeline < present.timeline)
  )
  const heir = rivals.find((rival) => rival.key === deserted)
  if (heir !== undefined && isHigher(heir, present)) return { kind: 'primary', key: heir.key }
  // A frozen node cannot be compared, and its last word may be old. It is convicted after silentMillis, or it answers.
  if (standing === 'suspect') return { kind: 'primary', key }
  // Any row keeps a live primary: a claimant with some of the followers is a test, or a fork.
  const serious = present.rows > 0 ? [] : rivals.filter(({ followers }) => followers > 0)
  const [rival] = serious
  if (rival === undefined) return { kind: 'primary', key }
  if (serious.length === 1 && isHigher(rival, present)) return { kind: 'primary', key: rival.key }
  return { kind: 'contested', claimants: [key, ...serious.map((each) => each.key)] }
}

function isHigher(rival: Claimant, present: Claimant): boolean {
  return rival.timeline !== null && present.timeline !== null && rival.timeline > present.timeline
}

/** There is no incumbent: the highest timeline wins, unless two nodes have it or replicas follow a lower one. */
function amongEquals(entitled: readonly Claimant[]): PrimaryVerdict {
  const named = entitled.filter((claimant) => claimant.configured)
  const candidates = named.length > 0 ? named : entitled
  const [first] = candidates
  if (first === undefined) return NONE
  if (candidates.length === 1) return { kind: 'primary', key: first.key }
  const top = Math.max(...candidates.map(({ timeline }) => timeline ?? 0))
  const leaders = candidates.filter(({ timeline }) => (timeline ?? 0) === top)
  const [leader] = leaders
  const followedElsewhere =
    leader?.followers === 0 &&
    candidates.some((other) => other.key !== leader.key && (other.followers > 0 || other.rows > 0))
  if (leader !== undefined && leaders.length === 1 && !followedElsewhere) return { kind: 'primary', key: leader.key }
  return { kind: 'contested', claimants: candidates.map(({ key }) => key) }
}
