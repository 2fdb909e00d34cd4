// Decides whether a read may go to a replica: the replica is proven to have what the read must see, or it can prove that together
// with the rows, or not yet. choose() is the whole policy, a pure function of what is known. It sends no query and does not wait.
// bench/consistency.ts measures the policy under load.

import type { NodeKey } from './address.js'
import { positionOfAge, positionSince, type Required, type Wal } from './horizon.js'
import { elapsed, type Instant } from './instant.js'
import type { Lsn } from './lsn.js'

/** Positions that were read on the primary right behind acknowledged writes. */
export interface Captured {
  /** The highest. */
  readonly lsn: Lsn
  /** When it was read. */
  readonly takenAt: Instant
  /** Positions mean nothing in another epoch. There every write is looked for by its time. */
  readonly epoch: number
  /** The newest acknowledgement of any write, captured or not, on the monotonic clock. */
  readonly newest: number
}

/** What another process saw, as far as this primary's history goes. */
export interface Carried {
  /** Null: its history is another; whatever of it survived was there when the token came. */
  readonly lsn: Lsn | null
  /** When the token came, on the monotonic clock: all that it stands for was acknowledged before. */
  readonly arrivedAt: number
}

/** What a read asks of a replica. */
export interface Need {
  /** Everything acknowledged up to this age ago must be there, in milliseconds; Infinity: no bound. */
  readonly maxLagMillis: number
  /** Everything that this process saw acknowledged up to this moment of the monotonic clock must be there; null: nothing. */
  readonly since: number | null
  /**
   * The newest write outside of sessions whose outcome is unknown was lost at this moment of the monotonic clock. It counts while
   * there is a primary, which can tell; without one it binds no read.
   */
  readonly doubt?: number | null | undefined
  /** Own writes may have been committed asynchronously, whatever the server's default is. */
  readonly asynchronous: boolean
  /** There is no primary: what it had last is all there is. */
  readonly orphaned?: boolean | undefined
  readonly captured?: Captured | null | undefined
  readonly carried?: Carried | null | undefined
}

/** A replica that only its position could keep from the read. */
export interface Candidate {
  readonly key: NodeKey
  readonly replayed: Lsn | null
  /** Positions younger than this it probably has not reached, in milliseconds: what its guards have taught. */
  readonly behindMillis: number
}

export interface Circumstances {
  readonly now: Instant
  /** A position of the primary that was asked for after this moment is on its way, or can be asked for. */
  isComing(since: number): boolean
  /** From the primary and back, in milliseconds. */
  readonly tripMillis: number
  /** The read may wait for a position once, and be tried on a replica that is not proven once. */
  readonly mayAwait: boolean
  readonly mayGuard: boolean
}

export type Freshness =
  /** These have it; a null position means that nothing was asked. */
  | { readonly go: 'proven'; readonly keys: readonly NodeKey[]; readonly required: Required | null }
  /** These are the likeliest to have it. The one that serves must show so together with the rows. */
  | { readonly go: 'guarded'; readonly keys: readonly NodeKey[]; readonly required: Required }
  /** The position will be known before long. */
  | { readonly go: 'wait' }
  | { readonly go: 'primary'; readonly why: 'unproven' | 'too-far-behind' }

export function choose(
  need: Need,
  maxLagBytes: number,
  wal: Wal,
  epoch: number,
  candidates: readonly Candidate[],
  moment: Circumstances
): Freshness {
  const required = requiredOf(need, maxLagBytes, wal, epoch, moment.now)
  if (required === null) return { go: 'proven', keys: candidates.map(({ key }) => key), required }
  if (required === 'unproven') {
    // A read does not wait for a position that no replica will have reached.
    const hopeful = moment.mayAwait && candidates.some(({ behindMillis }) => behindMillis <= 2 * moment.tripMillis)
    const soon = hopeful && moment.isComing(awaitedSince(need, epoch))
    return soon ? { go: 'wait' } : { go: 'primary', why: 'unproven' }
  }
  const proven = candidates.filter(({ replayed }) => replayed !== null && replayed >= required.lsn)
  if (proven.length > 0) return { go: 'proven', keys: proven.map(({ key }) => key), required }
  const keys = moment.mayGuard ? likeliest(candidates, elapsed(required.takenAt, moment.now)) : []
  return keys.length === 0 ? { go: 'primary', why: 'too-far-behind' } : { go: 'guarded', keys, required }
}

/** A replica without a position has just failed a probe: it is no candidate. */
function likeliest(candidates: readonly Candidate[], ageMillis: number): readonly NodeKey[] {
  let keys: NodeKey[] = []
  let least = ageMillis
  for (const { key, replayed, behindMillis } of candidates) {
    if (replayed === null || behindMillis > least) continue
    if (behindMillis < least) keys = []
    least = behindMillis
    keys.push(key)
  }
  return keys
}

/** The position that a replica must have replayed to satisfy `need`: null when nothing was asked, 'unproven' when no sample can tell. */
export function requiredOf(
  need: Need,
  maxLagBytes: number,
  wal: Wal,
  epoch: number,
  now: Instant
): Required | 'unproven' | null {
  let required: Required | null = null
  const add = (found: Required | null) => {
    if (found === null) return false
    if (required === null || found.lsn > required.lsn) required = found
    return true
  }
  const { maxLagMillis, asynchronous, captured, carried } = need
  if (maxLagMillis !== Infinity && !add(positionOfAge(wal, maxLagMillis, now))) return 'unproven'
  const since = sinceOf(need, epoch)
  if (since !== null && !add(positionSince(wal, since, asynchronous))) return 'unproven'
  if (captured && captured.epoch === epoch) add({ lsn: captured.lsn, takenAt: captured.takenAt })
  if (carried && !add(carriedOf(carried, wal))) return 'unproven'
  if (maxLagBytes !== Infinity && !add(bytesOf(maxLagBytes, wal, need.orphaned === true, now))) return 'unproven'
  return required
}

/** Of what moment the position must be that `need` lacks: asked for later than this. */
export function awaitedSince(need: Need, epoch: number): number {
  return Math.max(sinceOf(need, epoch) ?? -Infinity, need.carried?.arrivedAt ?? -Infinity)
}

function sinceOf({ since, doubt, captured, orphaned }: Need, epoch: number): number | null {
  let newest = since
  if (doubt != null && orphaned !== true) newest = Math.max(doubt, newest ?? doubt)
  return captured && captured.epoch !== epoch ? Math.max(captured.newest, newest ?? captured.newest) : newest
}

/** The position of the token, if the primary is known to have reached it. */
export function reachedOf({ lsn }: Carried, wal: Wal): Required | null {
  if (lsn === null) return null
  const sample = wal.samples.find(({ insert, flush }) => insert >= lsn || flush >= lsn)
  return sample === undefined ? null : { lsn, takenAt: sample.at }
}

/**
 * A position that the primary has not reached is wrong or forged, and must not keep reads from replicas: what the primary had
 * when the token came is all that the token can stand for.
 */
function carriedOf(carried: Carried, wal: Wal): Required | null {
  const reached = reachedOf(carried, wal)
  if (reached !== null) return reached
  const { lsn, arrivedAt } = carried
  // Asynchronous commits of the other process are in no flush position.
  const ceiling = positionSince(wal, arrivedAt, true)
  if (ceiling === null || lsn === null || lsn >= ceiling.lsn) return ceiling
  return { lsn, takenAt: ceiling.takenAt }
}

/** Nothing bounds what the primary has written since it was last asked, as before a rest. */
const MOST_BYTES_AGE_MILLIS = 1000

function bytesOf(maxLagBytes: number, wal: Wal, orphaned: boolean, now: Instant): Required | null {
  const newest = wal.samples.at(-1)
  if (newest === undefined || (!orphaned && elapsed(newest.at, now) > MOST_BYTES_AGE_MILLIS)) return null
  const lsn = newest.flush - BigInt(Math.floor(maxLagBytes))
  return { lsn: (lsn > 0n ? lsn : 0n) as Lsn, takenAt: newest.at }
}

/** What guards have taught of one replica: the age of positions that it had not reached, and when that was seen. */
export interface Behind {
  readonly millis: number
  readonly at: number
  /** The last one failed. */
  readonly failed: boolean
}

/** Fades by half in this time: the past says little about a replica that is not tried again. */
const HALF_LIFE_MILLIS = 250
/**
 * After a guard that failed the replica is left alone for this part of the age that was too young, and no longer than it takes
 * to fade: a position grows old by itself, and every read would try again.
 */
const PAUSE = 0.25
/** A guard that passed says that less would have done. */
const SHRINK = 0.8

export function behindOf(behind: Behind | undefined, now: number): number {
  return behind === undefined ? 0 : behind.millis * 0.5 ** ((now - behind.at) / HALF_LIFE_MILLIS)
}

/** Returns true while a replica whose guard has just failed is not to be tried again. */
export function isPaused(behind: Behind | undefined, now: number): boolean {
  return behind?.failed === true && now - behind.at < Math.min(PAUSE * behind.millis, HALF_LIFE_MILLIS)
}

/** After a guard for a position of this age. Undefined: nothing worth remembering. */
export function behindAfter(
  behind: Behind | undefined,
  passed: boolean,
  ageMillis: number,
  now: number
): Behind | undefined {
  if (!passed) return { millis: ageMillis, at: now, failed: true }
  const millis = behindOf(behind, now) * SHRINK
  return millis < 0.1 ? undefined : { millis, at: now, failed: false }
}
