// The primary's WAL history, and what a replica that has replayed up to r therefore holds. Pure proof, no estimates.
//
// A sample is (t, p): the local time before a probe of the primary was sent, and the position in its answer. Everything
// acknowledged before t lies at or before p. So a replica that has replayed p holds all that was acknowledged before t.

import { bytesBetween, type Lsn, WAL_PAGE, withoutPageHeader } from './lsn.js'
import { elapsed, type Instant, type Sighting } from './node.js'

export interface Sample {
  readonly at: Instant
  /** Covers every commit acknowledged before `at`, asynchronous ones included. */
  readonly insert: Lsn
  /** Covers synchronous commits acknowledged before `at`, and asynchronous ones three WAL-writer periods older. */
  readonly flush: Lsn
  /** False while the WAL writer seems to stand still: then `flush` says nothing about asynchronous commits. */
  readonly flushCounts: boolean
}

export interface Wal {
  /** Oldest first. */
  readonly samples: readonly Sample[]
  readonly walWriterDelayMillis: number
  /** The primary's default is synchronous_commit = off: own writes are looked for at the insert position. */
  readonly asynchronousCommit: boolean
  /** Never use the flush position for the lag bound. */
  readonly strict: boolean
  /** The last moment at which insert and flush were within one page; null before the first sample. */
  readonly closeAt: Instant | null
}

export const emptyWal: Wal = {
  samples: [],
  walWriterDelayMillis: 200,
  asynchronousCommit: false,
  strict: false,
  closeAt: null,
}

/** 256 samples are over a minute of background probing. More would only make old bounds finer. */
const MOST_SAMPLES = 256
/** The WAL writer may take this many periods until an asynchronous commit is on disk (PostgreSQL docs, "Asynchronous Commit"). */
const PERIODS = 3

/** Adds what a probe of the primary saw. A sample may be dropped at any time: fewer samples only prove less. */
export function addSample(wal: Wal, at: Instant, seen: Sighting): Wal {
  const { insert: raw, flush, detail } = seen
  if (raw === null || flush === null || detail === null) return wal
  const insert = withoutPageHeader(raw, detail.walSegmentBytes)
  const close = insert - flush <= WAL_PAGE
  const closeAt = close ? at : wal.closeAt
  const patience = PERIODS * detail.walWriterDelayMillis
  const flushCounts = close || (closeAt !== null && elapsed(closeAt, at) < patience)
  const samples = wal.samples.length < MOST_SAMPLES ? wal.samples.slice() : thinned(wal.samples)
  samples.push({ at, insert, flush, flushCounts })
  return {
    ...wal,
    samples,
    walWriterDelayMillis: detail.walWriterDelayMillis,
    asynchronousCommit: detail.asynchronousCommit,
    closeAt,
  }
}

/** Every second sample of the older half goes: recent history stays fine, old history stays long. */
function thinned(samples: readonly Sample[]): Sample[] {
  const half = samples.length / 2
  return samples.filter((_, i) => i >= half || i % 2 === 0)
}

/** What a read may ask of a replica. */
export interface Need {
  /** Everything acknowledged up to this age ago must be there, in milliseconds; Infinity: no bound. */
  readonly maxLagMillis: number
  /** Everything this process saw acknowledged up to this moment of the monotonic clock must be there; null: nothing. */
  readonly since: number | null
  /** Own writes may have been committed asynchronously, whatever the server's default is. */
  readonly asynchronous: boolean
}

/**
 * The position that a replica must have replayed to satisfy `need`: null when no bound was asked for, 'unproven' when no
 * sample is young enough to tell. `r ≥ required` is the same proof as `horizon ≥ moment`, from the other end.
 */
export function requiredPosition(wal: Wal, need: Need, now: Instant): Lsn | 'unproven' | null {
  const fresh = need.maxLagMillis === Infinity ? null : positionOfAge(wal, need.maxLagMillis, now)
  if (fresh === 'unproven') return fresh
  const own = need.since === null ? null : positionSince(wal, need.since, need.asynchronous)
  if (own === 'unproven' || fresh === null) return own
  return own === null || own < fresh ? fresh : own
}

/** The lag bound: the lowest position that covers every commit acknowledged more than `millis` ago. */
function positionOfAge(wal: Wal, millis: number, now: Instant): Lsn | 'unproven' {
  const delay = PERIODS * wal.walWriterDelayMillis
  let found: Lsn | 'unproven' = 'unproven'
  for (let i = wal.samples.length - 1; i >= 0; i--) {
    const sample = wal.samples[i] as Sample
    const age = elapsed(sample.at, now)
    if (age > millis) break
    found = lower(found, sample.insert)
    if (!wal.strict && sample.flushCounts && age + delay <= millis) found = lower(found, sample.flush)
  }
  return found
}

/** Own writes: the lowest position of a sample whose probe left after `since`. Order of events, so one clock is enough. */
function positionSince(wal: Wal, since: number, asynchronous: boolean): Lsn | 'unproven' {
  const insert = asynchronous || wal.asynchronousCommit
  let found: Lsn | 'unproven' = 'unproven'
  for (let i = wal.samples.length - 1; i >= 0; i--) {
    const sample = wal.samples[i] as Sample
    // Equal times leave the order open: only a probe that left surely later proves anything.
    if (sample.at.mono <= since) break
    found = lower(found, insert ? sample.insert : sample.flush)
  }
  return found
}

function lower(found: Lsn | 'unproven', lsn: Lsn): Lsn {
  return found === 'unproven' || lsn < found ? lsn : found
}

/**
 * How far behind the primary a replica at `replayed` may be, in milliseconds: an upper bound; Infinity when nothing is known.
 * Everything acknowledged longer ago than this is there.
 */
export function lagOf(wal: Wal, replayed: Lsn, now: Instant): number {
  const delay = PERIODS * wal.walWriterDelayMillis
  let lag = Infinity
  for (let i = wal.samples.length - 1; i >= 0; i--) {
    const sample = wal.samples[i] as Sample
    const age = elapsed(sample.at, now)
    if (age >= lag) break
    if (sample.insert <= replayed) lag = age
    else if (!wal.strict && sample.flushCounts && sample.flush <= replayed) lag = Math.min(lag, age + delay)
  }
  return lag
}

/** Bytes of WAL between the newest sample and `replayed`; Infinity before the first sample. */
export function bytesBehind(wal: Wal, replayed: Lsn): number {
  const newest = wal.samples.at(-1)
  return newest === undefined ? Infinity : Math.max(0, bytesBetween(replayed, newest.flush))
}
