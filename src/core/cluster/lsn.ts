// A position in PostgreSQL's write-ahead log as a 64-bit integer: parse, format, compare, distance, page boundary.
// Never mixes timelines: two positions mean something to each other only within one timeline.

export type Lsn = bigint & { readonly unit: 'lsn' }

/** XLOG_BLCKSZ of every stock build. A server compiled with another page size only makes `normalise` do nothing useful. */
export const WAL_PAGE = 8192n
/** SizeOfXLogShortPHD and SizeOfXLogLongPHD (src/include/access/xlog_internal.h): page headers hold no record. */
const SHORT_HEADER = 24n
const LONG_HEADER = 40n

const TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/

/** Reads `'0/16B3748'` (also zero-padded, as PostgreSQL 19 prints it). Anything else gives null. */
export function parseLsn(text: string | null | undefined): Lsn | null {
  const match = TEXT.exec(text ?? '')
  if (match === null) return null
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn
}

/** Writes the form that `pg_lsn` prints up to PostgreSQL 18. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`.toUpperCase()
}

/** Bytes of WAL from `from` to `to`; negative when `to` lies before it. A number is exact up to 8 PiB. */
export function bytesBetween(from: Lsn, to: Lsn): number {
  return Number(to - from)
}

/**
 * The insert position right behind a page header means that nothing was written on that page yet, so everything written
 * ends at or before the page's first byte. Without this an idle primary's position (0/9000028) is never reached by a
 * replica that has replayed all there is (0/9000000).
 */
export function withoutPageHeader(lsn: Lsn, segmentBytes: bigint): Lsn {
  const header = lsn % segmentBytes < WAL_PAGE ? LONG_HEADER : SHORT_HEADER
  return (lsn % WAL_PAGE === header ? lsn - header : lsn) as Lsn
}
