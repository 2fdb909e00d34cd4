// The primary's WAL history, and what a replica that has replayed up to r therefore holds. Pure proof, no estimates.
//
// A sample is (t, p): the local time before a probe of the primary was sent, and the position in its answer. Everything
// acknowledged before t lies at or before p. So a replica that has replayed p holds all that was acknowledged before t.

import { elapsed, type Instant } from './instant.js'
import { type Lsn, WAL_PAGE, withoutPageHeader } from './lsn.js'
import type { Detail, Positions } from './sighting.js'

export interface Sample {
  readonly at: Instant
  /** Covers every commit acknowledged before `at`, asynchronous ones included. */
  readonly insert: Lsn
  /** Covers synchronous commits acknowledged before `at`, and asynchronous ones three WAL-writer periods older. */
  readonly flush: Lsn
  /** False while the WAL writer seems to stand still: then `flush` says nothing about asynchronous commits. */
  readonly flushCounts: boolean
  /** The higher of both, as the primary said them: no replica of this history can have been further before `at`. */
  readonly top: Lsn
}

/** A checkpoint that the primary has made, as any role sees it. */
export interface Checkpoint {
  readonly id: string
  /** The primary surely wrote it later than this; null: that is not known. */
  readonly after: Instant | null
  /** When the primary was last asked and showed it. */
  readonly askedAt: Instant
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
  /** How far the log was on disk, and when that answer came; null before the first sample. */
  readonly reached: { readonly flush: Lsn; readonly arrivedAt: Instant } | null
  /** The highest position that it ever said; null before the first sample. No replica of this history can be further when it said so. */
  readonly top: Lsn | null
  /** The newest last. */
  readonly checkpoints: readonly Checkpoint[]
}

export const emptyWal: Wal = {
  samples: [],
  walWriterDelayMillis: 200,
  asynchronousCommit: false,
  strict: false,
  closeAt: null,
  reached: null,
  top: null,
  checkpoints: [],
}

/** 256 samples are over a minute of background probing. More would only make old bounds finer. */
const MOST_SAMPLES = 256
/** The WAL writer may take this many periods until an asynchronous commit is on disk (PostgreSQL docs, "Asynchronous Commit"). */
const PERIODS = 3

/** Adds what a probe of the primary saw. A sample may be dropped at any time: fewer samples only prove less. */
export function addSample(wal: Wal, at: Instant, seen: Positions, detail: Detail | null, arrivedAt: Instant = at): Wal {
  const { insert: raw, flush } = seen
  if (raw === null || flush === null || detail === null) return wal
  const insert = withoutPageHeader(raw, detail.walSegmentBytes)
  const close = insert - flush <= WAL_PAGE
  const closeAt = close ? at : wal.closeAt
  const patience = PERIODS * detail.walWriterDelayMillis
  const flushCounts = close || (closeAt !== null && elapsed(closeAt, at) < patience)
  const samples = wal.samples.length < MOST_SAMPLES ? wal.samples.slice() : thinned(wal.samples)
  const top = raw > flush ? raw : flush
  samples.splice(placeOf(samples, at), 0, { at, insert, flush, flushCounts, top })
  return {
    ...wal,
    samples,
    walWriterDelayMillis: detail.walWriterDelayMillis,
    asynchronousCommit: detail.asynchronousCommit || seen.asynchronous === true,
    closeAt,
    top: wal.top !== null && wal.top > top ? wal.top : top,
    reached: wal.reached !== null && wal.reached.flush >= flush ? wal.reached : { flush, arrivedAt },
  }
}

/**
 * What is on disk stays there, over crashes too: a primary that had more on disk before it was asked has another history now. Its
 * insert position may step back. The two answers may arrive in either order.
 */
export function stepsBack({ reached, samples }: Wal, at: Instant, { flush }: Positions, arrivedAt: Instant): boolean {
  if (reached === null || flush === null) return false
  if (flush < reached.flush) return at.mono > reached.arrivedAt.mono
  const newest = samples.at(-1)
  return newest !== undefined && newest.flush < flush && newest.at.mono > arrivedAt.mono
}

/** More of them are of no use: a replica's restartpoint is one of the last few. */
const MOST_CHECKPOINTS = 32

/** A full probe of the primary shows its last checkpoint. */
export function withCheckpoint(wal: Wal, id: string | null, askedAt: Instant): Wal {
  const newest = wal.checkpoints.at(-1)
  if (id === null || (newest !== undefined && newest.askedAt.mono > askedAt.mono)) return wal
  const others = newest?.id === id ? wal.checkpoints.slice(0, -1) : wal.checkpoints.slice(1 - MOST_CHECKPOINTS)
  const after = newest?.id === id ? newest.after : (newest?.askedAt ?? null)
  return { ...wal, checkpoints: [...others, { id, after, askedAt }] }
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
 * For so many milliseconds from `now` on, by both clocks, positionOfAge() answers the same of these samples; a sample that comes to be
 * too old may change it. Infinity: for ever.
 */
export function holdsMillis(wal: Wal, millis: number, now: Instant): number {
  const delay = PERIODS * wal.walWriterDelayMillis
  let left = Infinity
  for (let i = wal.samples.length - 1; i >= 0; i--) {
    const sample = wal.samples[i] as Sample
    const age = elapsed(sample.at, now)
    if (age > millis) break
    left = Math.min(left, millis - age)
    if (!wal.strict && sample.flushCounts && age + delay <= millis) left = Math.min(left, millis - delay - age)
  }
  return left
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
