// Was every read what it was promised to be? A pure function of the account: the true staleness of each read is the time it
// was called less the time at which the first write that it missed was acknowledged. Estimates nothing, and allows nothing but what
// no position can tell: a replica that shows a commit before its primary does. That is counted.

import type { History, Read, Write } from './account.js'

export interface Violation {
  readonly rule: 'bound' | 'own write' | 'monotonic'
  readonly read: Read
  /** The first write that it missed; for 'monotonic' the newest that an earlier read of the session had seen. */
  readonly writer: number
  readonly value: number
  readonly seen: number
  /** How long before the read that write was acknowledged. */
  readonly staleMillis: number
}

export interface PhaseCount {
  reads: number
  onReplicas: number
}

export interface Verdict {
  readonly reads: number
  readonly onReplicas: number
  /** Reads that directly followed a write of their own flow. */
  readonly pairs: number
  readonly worstMillis: number
  /** The worst share of its bound that a read used up; above 1 it is a violation. */
  readonly worstShare: number
  readonly phases: ReadonlyMap<string, PhaseCount>
  readonly violations: readonly Violation[]
  /** A session saw a commit on a replica, and then read on the primary, which did not show it yet. */
  readonly ahead: number
}

export function judge(history: History): Verdict {
  const byWriter = ordered(history.writes.filter(({ doubt }) => doubt === undefined))
  const inDoubt = history.writes.filter(({ doubt }) => doubt !== undefined)
  const violations: Violation[] = []
  const phases = new Map<string, PhaseCount>()
  const tally = { onReplicas: 0, pairs: 0, worstMillis: 0, worstShare: 0 }
  for (const read of history.reads) {
    const phase = phases.get(read.phase) ?? { reads: 0, onReplicas: 0 }
    phases.set(read.phase, phase)
    phase.reads++
    if (read.onReplica) phase.onReplicas++
    if (read.onReplica) tally.onReplicas++
    if (read.paired) tally.pairs++
    for (const [writer, writes] of byWriter) {
      const missed = firstMissed(writes, read, writer)
      if (missed === undefined || missed.ackedAt >= read.calledAt) continue
      const staleMillis = read.calledAt - missed.ackedAt
      tally.worstMillis = Math.max(tally.worstMillis, staleMillis)
      tally.worstShare = Math.max(tally.worstShare, staleMillis / read.boundMillis)
      const found = { read, writer, value: missed.value, seen: read.values[writer] ?? 0, staleMillis }
      if (staleMillis > read.boundMillis) violations.push({ rule: 'bound', ...found })
      if (mustSee(history.scope, read, missed)) violations.push({ rule: 'own write', ...found })
    }
    for (const write of inDoubt) {
      const { writer, value } = write
      const seen = read.values[writer] ?? 0
      if (seen >= value || !mustSeeLost(history.scope, read, write)) continue
      violations.push({ rule: 'own write', read, writer, value, seen, staleMillis: read.calledAt - write.ackedAt })
    }
  }
  const receding = backwards(history)
  const isAhead = (violation: Violation) => isUnshown(violation, byWriter.get(violation.writer) ?? [])
  violations.push(...receding.filter((each) => !isAhead(each)))
  const ahead = receding.filter(isAhead).length
  return { reads: history.reads.length, ...tally, phases, violations, ahead }
}

/** The primary itself had not told anybody of that commit when it was asked. */
function isUnshown({ read, value }: Violation, writes: readonly Write[]): boolean {
  const write = writes.find((each) => each.value === value)
  return !read.onReplica && (write === undefined || write.ackedAt >= read.calledAt)
}

function ordered(writes: readonly Write[]): Map<number, Write[]> {
  const byWriter = new Map<number, Write[]>()
  for (const write of writes) {
    const known = byWriter.get(write.writer)
    if (known === undefined) byWriter.set(write.writer, [write])
    else known.push(write)
  }
  // One writer writes one after another, so the order of values is the order of acknowledgements.
  for (const own of byWriter.values()) own.sort((a, b) => a.value - b.value)
  return byWriter
}

/** The earliest acknowledged write beyond what the read saw, unless it was lost before the read was answered. */
function firstMissed(writes: readonly Write[], read: Read, writer: number): Write | undefined {
  const seen = read.values[writer] ?? 0
  let low = 0
  let high = writes.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((writes[middle] as Write).value > seen) high = middle
    else low = middle + 1
  }
  while (low < writes.length) {
    const write = writes[low] as Write
    if (write.lostAt === null || write.lostAt >= read.answeredAt) return write
    low++
  }
  return undefined
}

function mustSee(scope: History['scope'], read: Read, { through, session }: Write): boolean {
  if (through === 'foreign' || scope === 'off') return false
  return scope === 'pool' || (session !== null && session === read.session)
}

/**
 * A write whose outcome is unknown, and that happened: its session must see it from the loss on, the pool from the moment on when
 * there is a primary that can tell. Nobody else, and nothing before.
 */
function mustSeeLost(scope: History['scope'], read: Read, { ackedAt, lostAt, session, doubt }: Write): boolean {
  if (scope === 'off' || (lostAt !== null && lostAt < read.answeredAt)) return false
  if (session !== null && session === read.session) return read.calledAt > ackedAt
  const settledAt = doubt?.settledAt ?? null
  return scope === 'pool' && settledAt !== null && read.calledAt > settledAt
}

interface Seen {
  readonly value: number
  readonly answeredAt: number
}

/** Within a session no read shows less than one that was answered before it was called. */
function backwards({ reads, writes }: History): Violation[] {
  const found: Violation[] = []
  const breaks = [...new Set(writes.map(({ lostAt }) => lostAt).filter((at) => at !== null))]
  const sessions = new Map<string, Read[]>()
  for (const read of reads) {
    if (read.session === null) continue
    const own = sessions.get(read.session)
    if (own === undefined) sessions.set(read.session, [read])
    else own.push(read)
  }
  for (const own of sessions.values()) {
    own.sort((a, b) => a.calledAt - b.calledAt)
    const newest = new Map<number, Seen>()
    let before: Read | undefined
    for (const read of own) {
      // What died with its primary may be missing afterwards.
      const apart = before !== undefined && breaks.some((at) => at >= (before as Read).calledAt && at < read.answeredAt)
      if (apart) newest.clear()
      found.push(...receded(read, newest))
      before = read
    }
  }
  return found
}

function receded(read: Read, newest: Map<number, Seen>): Violation[] {
  const found: Violation[] = []
  read.values.forEach((seen, writer) => {
    const best = newest.get(writer)
    if (best !== undefined && best.value > seen && best.answeredAt < read.calledAt) {
      const staleMillis = read.calledAt - best.answeredAt
      found.push({ rule: 'monotonic', read, writer, value: best.value, seen, staleMillis })
    }
    if (best === undefined || best.value < seen) newest.set(writer, { value: seen, answeredAt: read.answeredAt })
  })
  return found
}

/** One line for a person. */
export function told({ rule, read, writer, value, seen, staleMillis }: Violation): string {
  const where = `n${read.server}${read.onReplica ? '' : ' (primary)'}`
  const millis = Math.round(staleMillis)
  return `${rule}: in '${read.phase}' ${where} showed ${seen} of writer ${writer}, whose ${value} was known for ${millis} ms (bound ${read.boundMillis})`
}
