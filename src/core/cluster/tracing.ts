// Decides whether a replica follows the primary's history, and up to which position that is proven. An equal timeline number proves
// nothing: a fork may carry the same. Folds each piece of evidence into the lineage of one replica. Values only; reads no clock.

import type { NodeKey } from './address.js'
import type { Checkpoint, Wal } from './horizon.js'
import type { Instant } from './instant.js'
import type { Arrived, Doubt, Lineage, Link } from './lineage.js'
import type { Lsn } from './lsn.js'
import type { Node } from './node.js'
import type { Position, Receiver } from './sighting.js'

/** The part of the topology by which a replica is judged. */
export interface Reign {
  readonly epoch: number
  readonly primary: NodeKey
  readonly timeline: number
  /** True: it is the primary now. False: it was the last one. */
  readonly present: boolean
  readonly wal: Wal
  readonly nodes: ReadonlyMap<NodeKey, Node>
}

const MOST_CLIMBED = 16

/** Any answer of a server in recovery. */
export function shownBy(lineage: Lineage, startedAt: string, shown: Arrived, receiver: Receiver | null): Lineage {
  const same = startedAt === '' || lineage.startedAt === '' || lineage.startedAt === startedAt
  const begun = same ? lineage : { ...lineage, climb: [], link: null, proven: null, pending: [], direct: false }
  const link = linkAfter(begun.link, receiver, shown)
  const climb = climbed(begun.climb, shown)
  const next = { ...begun, startedAt: startedAt || begun.startedAt, climb, last: shown, receiver, link }
  const isOpen = lineage.link?.disputed === true && link?.pid !== lineage.link.pid
  return isOpen ? { ...doubted(next, shown.arrivedAt, null), proven: next.proven } : next
}

function linkAfter(link: Link | null, receiver: Receiver | null, { lsn, arrivedAt }: Arrived): Link | null {
  if (receiver === null) return null
  const { pid, received } = receiver
  if (link?.pid !== pid) return { pid, since: arrivedAt, received, flows: false, cleared: new Set(), disputed: false }
  if (link.flows || received === null) return link
  if (link.received === null) return { ...link, received }
  // A new timeline begins at the start of a segment, which lies behind what was received of the old one.
  if (received < link.received) return { ...link, received }
  // An upstream sends the old timeline again up to where its own branched off, though the replica has gone on beyond that.
  return received > link.received && received >= lsn ? { ...link, flows: true } : link
}

function climbed(climb: readonly Arrived[], shown: Arrived): readonly Arrived[] {
  const kept = climb.filter(({ lsn, arrivedAt }) => lsn < shown.lsn || arrivedAt.mono < shown.arrivedAt.mono)
  // Late news, or no news: something that came earlier is as high.
  if (kept.some(({ lsn, arrivedAt }) => lsn >= shown.lsn && arrivedAt.mono <= shown.arrivedAt.mono)) return climb
  const place = kept.findIndex(({ lsn }) => lsn > shown.lsn)
  const next = place < 0 ? [...kept, shown] : [...kept.slice(0, place), shown, ...kept.slice(place)]
  if (next.length <= MOST_CLIMBED) return next
  // The newest stay fine, and the oldest go: a sample that is on its way was sent lately.
  return next.filter((_, i) => i >= next.length / 2 || i % 2 === 0)
}

/** Returns true if it was ahead of what the primary said later: then it does not follow. The answers may come in either order. */
export function isRefuted({ climb, doubt }: Lineage, { samples }: Wal): boolean {
  const highest = climb.at(-1)
  if (highest === undefined) return false
  for (let i = samples.length - 1; i >= 0; i--) {
    const sample = samples[i]
    if (sample === undefined || sample.at.mono <= (climb[0] as Arrived).arrivedAt.mono) break
    if (sample.top >= highest.lsn || (doubt !== null && sample.at.mono <= doubt.until.mono)) continue
    if (climb.some(({ lsn, arrivedAt }) => lsn > sample.top && arrivedAt.mono < sample.at.mono)) return true
  }
  return false
}

/** The positions that were proven are not the primary's, or that is no longer known. */
export function doubted(lineage: Lineage, at: Instant, of: NodeKey | null): Lineage {
  const top = lineage.climb.at(-1)?.lsn ?? null
  const { doubt } = lineage
  const before = doubt?.floor ?? null
  const floor = top === null || (before !== null && before >= top) ? before : top
  // It has not moved: this is the doubt that there was.
  const same = doubt !== null && of === null && floor === before
  const next = same ? { ...doubt, until: at } : { at, until: at, floor, of }
  return { ...lineage, doubt: next, proven: null, pending: [], direct: false }
}

/** Another history begins. `sameNumber`: under the number that the one before had, so that the number proves nothing. */
export function inEpoch(lineage: Lineage, epoch: number, sameNumber: boolean, primary: NodeKey, at: Instant): Lineage {
  const { doubt } = lineage
  const anew = { ...lineage, epoch, proven: null, pending: [], direct: false }
  if (sameNumber) return doubted(anew, at, null)
  // What it may have followed is the primary now.
  return doubt?.of === primary ? { ...anew, doubt: null } : anew
}

/**
 * The node feeds no server, or does not run: it is not the upstream of a link that was seen before and is seen again. What was
 * received before that is not said: it counts when the link shows itself again.
 */
export function clearedOf(lineage: Lineage, key: NodeKey, askedAt: Instant, inRecovery: boolean): Lineage {
  const { link } = lineage
  if (link === null || link.cleared.has(key) || askedAt.mono <= link.since.mono) return lineage
  const next = { ...lineage, link: { ...link, cleared: new Set(link.cleared).add(key) } }
  return inRecovery ? next : { ...next, pending: [] }
}

/** A node that may have fed it was promoted, restarted or lost sight of: what it showed since is not proven. */
export function disputed(lineage: Lineage, at: Instant, of: NodeKey): Lineage {
  const { link, pending, proven } = lineage
  if (pending.length === 0) return lineage
  if (link !== null) return { ...lineage, pending: [], link: { ...link, disputed: true } }
  return { ...doubted(lineage, at, of), proven }
}

/** Nodes other than the primary that may feed this replica. */
export function suspectsOf(node: Node, reign: Reign): readonly Node[] {
  const upstream = upstreamOf(node, reign.nodes)
  if (upstream?.key === reign.primary) return []
  if (upstream !== undefined) return [upstream]
  const cleared = node.lineage.link?.cleared
  return [...reign.nodes.values()].filter(
    ({ key, answeredAt, state }) =>
      key !== node.key &&
      key !== reign.primary &&
      answeredAt !== null &&
      state.kind !== 'alias' &&
      state.kind !== 'foreign' &&
      cleared?.has(key) !== true
  )
}

/** Where the role may see it, and where the name that the replica uses is one that we know. */
export function upstreamOf({ seen, address, lineage }: Node, nodes: ReadonlyMap<NodeKey, Node>): Node | undefined {
  const sender = seen?.detail?.sender ?? null
  if (sender === null || sender.host === null || lineage.link?.pid !== sender.pid) return undefined
  // A loopback address is the replica's own machine: that is ours only if we reach the replica by one, too.
  if (isLoopback(sender.host) && !isLoopback(address.host)) return undefined
  for (const node of nodes.values()) {
    if (node.address.port !== sender.port || !isSameHost(node.address.host, sender.host)) continue
    return node.state.kind === 'alias' ? nodes.get(node.state.of) : node
  }
  return undefined
}

function isSameHost(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase() || (isLoopback(a) && isLoopback(b))
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

/** Its history up to where it is was the primary's, when that was last seen. */
function isBased(node: Node, reign: Reign, suspects: readonly Node[]): boolean {
  const { lineage, seen } = node
  const { doubt, link, receiver } = lineage
  const detail = seen?.detail ?? null
  if (detail === null) return false
  const received = receiver?.timeline ?? detail.receivedTimeline
  if (doubt !== null) {
    const made = reign.wal.checkpoints.find(({ id }) => id === detail.checkpoint)
    return (made !== undefined && isAfter(made, doubt)) || fits(node, reign, doubt)
  }
  if (Math.max(detail.controlTimeline ?? 0, received ?? 0) === reign.timeline) return true
  // Hidden from a plain role: the primary has accepted it and sends, as no other server can be the one that does.
  return received === null && link !== null && link.flows && suspects.length === 0
}

/** It receives from the primary itself. That this fits what it had before, only replaying more of it shows. */
function fits(node: Node, { primary, timeline, nodes }: Reign, { floor }: Doubt): boolean {
  const { last, receiver } = node.lineage
  if (receiver === null || !receiver.streaming || receiver.timeline !== timeline || last === null) return false
  return upstreamOf(node, nodes)?.key === primary && (floor === null || last.lsn > floor)
}

/** The primary still showed an earlier one after the doubt arose. */
function isAfter({ after }: Checkpoint, { at }: Doubt): boolean {
  return after !== null && after.mono >= at.mono
}

/**
 * It is not known from whom it receives, not even on which timeline: a server that is not known may feed it. Then a position counts
 * up to where the primary is known to have been, or when a later sample has not refuted it.
 */
function isUnsure(node: Node, reign: Reign): boolean {
  return reign.present && node.lineage.receiver?.timeline == null && upstreamOf(node, reign.nodes) === undefined
}

/** What the newest position of this replica is worth. `known`: the primary is known to have reached that. */
export function advanced(node: Node, reign: Reign, known: Lsn | null = null): Lineage {
  const { lineage } = node
  const shown = lineage.last
  if (shown === null) return lineage
  const suspects = suspectsOf(node, reign)
  // A server that crashed shows less than before: no more than that counts.
  const proven = lineage.proven !== null && shown.lsn <= lineage.proven.lsn ? shown : lineage.proven
  const stuck = { ...lineage, proven, pending: [], direct: false }
  if (!isBased(node, reign, suspects)) return lineage.doubt === null ? { ...stuck, proven: null } : stuck
  // Its earlier positions no longer refute anything.
  const settled = lineage.doubt === null ? lineage : { ...lineage, doubt: null, climb: [shown] }
  const timeline = lineage.receiver?.timeline ?? null
  // What it had it still has, but nothing that came since counts.
  if (timeline !== null && timeline !== reign.timeline) return { ...stuck, doubt: settled.doubt }
  const open = isVouched(node, reign) ? [] : suspects.filter((other) => !isOutdated(other, reign))
  const direct = open.length === 0
  const within = !isUnsure(node, reign) || (known !== null && shown.lsn <= known) || isReached(shown, reign)
  if (proven === shown || (direct && within)) return { ...settled, proven: shown, pending: [], direct }
  const [first] = settled.pending
  return { ...settled, pending: first === undefined ? [shown] : [first, shown], direct }
}

function isReached({ lsn }: Position, { wal }: Reign): boolean {
  return wal.top !== null && lsn <= wal.top
}

/**
 * The timeline came with the position, so its upstream had not been promoted. To leave recovery without a new timeline that must
 * restart, and the link with it.
 */
function isVouched(node: Node, { nodes, timeline }: Reign): boolean {
  const { link, receiver } = node.lineage
  const upstream = upstreamOf(node, nodes)
  if (upstream === undefined || link === null || receiver?.timeline !== timeline) return false
  return isInRecoverySince(upstream, link.since)
}

/** A replica that has reached the primary's timeline never follows a server on a lower one. */
function isOutdated({ seen }: Node, { timeline }: Reign): boolean {
  return seen !== null && !seen.inRecovery && seen.timeline !== null && seen.timeline < timeline
}

/** Returns the lineage of this replica after another node, or the primary, has answered. */
export function confirmed(node: Node, reign: Reign): Lineage {
  let { lineage } = node
  const suspects = suspectsOf(node, reign).filter((other) => !isOutdated(other, reign))
  for (const other of suspects) if (other.claimsSince !== null) lineage = besideClaim(lineage, other, other.claimsSince)
  for (let first = lineage.pending[0]; first !== undefined; first = lineage.pending[0]) {
    const { arrivedAt } = first
    if (!suspects.every((other) => isInRecoverySince(other, arrivedAt))) break
    if (isUnsure(node, reign) && !isReached(first, reign)) break
    lineage = { ...lineage, proven: first, pending: lineage.pending.slice(1) }
  }
  return lineage
}

/** A node that may be its upstream has left recovery: what it had proven before stays, as it went on from there. */
function besideClaim(lineage: Lineage, { key, seen }: Node, since: Instant): Lineage {
  const { doubt, proven } = lineage
  if (seen?.feeds === 0) return disputed(lineage, since, key)
  if (doubt !== null && (doubt.of === key || doubt.at.mono >= since.mono)) return lineage
  return { ...doubted(lineage, since, key), proven }
}

function isInRecoverySince({ seen, probedAt }: Node, arrivedAt: Instant): boolean {
  return seen?.inRecovery === true && probedAt !== null && probedAt.mono > arrivedAt.mono
}

/** Returns what selection needs of a lineage. */
export function standingBy({ proven, pending, direct }: Lineage): {
  readonly follows: boolean
  readonly direct: boolean
} {
  return { follows: direct || proven !== null || pending.length > 0, direct }
}
