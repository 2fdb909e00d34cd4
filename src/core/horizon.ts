// The primary's WAL history, and what a replica that has replayed up to r therefore holds. Pure proof, no estimates.
//
// A sample is (t, p): the local time before a probe of the primary was sent, and the position in its answer. Everything
// acknowledged before t lies at or before p. So a replica that has replayed p holds all that was acknowledged before t.

import { type Lsn, WAL_PAGE, withoutPageHeader } from './lsn.js'
import { type Detail, elapsed, type Instant, type Positions } from './node.js'

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
  /** Never use the flush position. */
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
export function addSample(wal: Wal, at: Instant, seen: Positions, detail: Detail | null): Wal {
  const { insert: raw, flush } = seen
  if (raw === null || flush === null || detail === null) return wal
  const insert = withoutPageHeader(raw, detail.walSegmentBytes)
  const close = insert - flush <= WAL_PAGE
  const closeAt = close ? at : wal.closeAt
  const patience = PERIODS * detail.walWriterDelayMillis
  const flushCounts = close || (closeAt !== null && elapsed(closeAt, at) < patience)
  const samples = wal.samples.length < MOST_SAMPLES ? wal.samples.slice() : thinned(wal.samples)
  samples.splice(placeOf(samples, at), 0, { at, insert, flush, flushCounts })
  return {
    ...wal,
    samples,
    walWriterDelayMillis: detail.walWriterDelayMillis,
    asynchronousCommit: detail.asynchronousCommit || seen.asynchronous === true,
    closeAt,
  }
}

/** Answers that travel over two connections may overtake each other; the history is in the order of asking. */
function placeOf(samples: readonly Sample[], at: Instant): number {
  let place = samples.length
  while (place > 0 && (samples[place - 1] as Sample).at.mono > at.mono) place--
  return place
}

/** Every second sample of the older half goes: recent history stays fine, old history stays long. */
function thinned(samples: readonly Sample[]): Sample[] {
  const half = samples.length / 2
  return samples.filter((_, i) => i >= half || i % 2 === 0)
}

/** A position that a replica must have replayed, and when the primary had it. */
export interface Required {
  readonly lsn: Lsn
  readonly takenAt: Instant
}

/** The lag bound: the lowest position that covers every commit acknowledged more than `millis` ago; null: no sample is young enough. */
export function positionOfAge(wal: Wal, millis: number, now: Instant): Required | null {
  const delay = PERIODS * wal.walWriterDelayMillis
  let found: Required | null = null
  for (let i = wal.samples.length - 1; i >= 0; i--) {
    const sample = wal.samples[i] as Sample
    const age = elapsed(sample.at, now)
    if (age > millis) break
    found = lower(found, sample.insert, sample)
    if (!wal.strict && sample.flushCounts && age + delay <= millis) found = lower(found, sample.flush, sample)
  }
  return found
}

/**
 * Own writes: the lowest position of a sample whose probe left after `since`, on the monotonic clock; null: there is none.
 * Order of events, so one clock is enough.
 */
export function positionSince(wal: Wal, since: number, asynchronous: boolean): Required | null {
  // Strict: what was seen on the primary may have been committed by others, asynchronously.
  const insert = asynchronous || wal.asynchronousCommit || wal.strict
  let found: Required | null = null
  for (let i = wal.samples.length - 1; i >= 0; i--) {
    const sample = wal.samples[i] as Sample
    // Equal times leave the order open: only a probe that left surely later proves anything.
    if (sample.at.mono <= since) break
    found = lower(found, insert ? sample.insert : sample.flush, sample)
  }
  return found
}

function lower(found: Required | null, lsn: Lsn, { at }: Sample): Required {
  return found === null || lsn < found.lsn ? { lsn, takenAt: at } : found
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
