// Which replica follows which claimant, as the replicas themselves say. Rows of pg_stat_replication do not count: an archiver, a
// logical subscriber and a base backup have one, too, and the last answer of a frozen server has rows that are gone.

import type { NodeKey } from './address.js'
import type { Node } from './node.js'
import type { Claimant } from './primary.js'
import type { Topology } from './topology.js'
import { upstreamOf } from './tracing.js'

/** Every replica that is known -> the claimant that it follows; null: it does not say, or says nothing now. */
export function followedBy(topology: Topology, claimants: readonly Claimant[]): ReadonlyMap<NodeKey, NodeKey | null> {
  const found = new Map<NodeKey, NodeKey | null>()
  const claiming = new Set(claimants.map(({ key }) => key))
  for (const node of topology.nodes.values()) {
    // What never answered is known by name only.
    if (node.answeredAt === null || claiming.has(node.key) || node.key === topology.incumbent?.key) continue
    if (node.state.kind === 'alias' || node.state.kind === 'foreign') continue
    if (node.seen !== null && !node.seen.inRecovery) continue
    found.set(node.key, claimantOf(node, topology, claimants))
  }
  return found
}

function claimantOf(node: Node, { nodes, incumbent }: Topology, claimants: readonly Claimant[]): NodeKey | null {
  const { seen, suspect, lineage } = node
  if (seen === null || suspect !== null) return null
  const receiver = seen.receiver ?? null
  const received = receiver?.streaming ? (receiver.timeline ?? null) : null
  const timeline = received ?? seen.detail?.controlTimeline ?? null
  const upstream = lineage.link === null ? undefined : upstreamOf(node, nodes)
  const direct = claimants.find(({ key }) => key === upstream?.key)
  const same = claimants.filter((claimant) => timeline !== null && claimant.timeline === timeline)
  if (direct !== undefined) return same.includes(direct) ? direct.key : null
  const [only] = same
  if (only === undefined || same.length > 1) return null
  // The last primary had the same number, and its replicas show it for as long as they have not noticed that it is gone.
  if (incumbent !== null && incumbent.key !== only.key && incumbent.timeline === timeline) return null
  // A restartpoint is old: a server that sends to none has no follower any more.
  return received === null && only.rows === 0 ? null : only.key
}

/** All of them, and there is one at least, follow this claimant. */
export function desertedFor(followed: ReadonlyMap<NodeKey, NodeKey | null>, incumbent: NodeKey): NodeKey | null {
  const heirs = new Set(followed.values())
  const [heir] = heirs
  return heirs.size === 1 && heir !== undefined && heir !== incumbent ? heir : null
}
