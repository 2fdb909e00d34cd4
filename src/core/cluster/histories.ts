// What an event says about the history of every replica: which replicas are proven to follow the primary, which proofs wait for
// another node, which are lost. Applies tracing.ts to every node of the topology. Does not decide which node is the primary.

import type { NodeKey } from './address.js'
import { addSample, emptyWal, stepsBack, withCheckpoint } from './horizon.js'
import type { Instant } from './instant.js'
import type { Lineage } from './lineage.js'
import type { Lsn } from './lsn.js'
import type { Node, NodeState } from './node.js'
import type { Positions, Sighting } from './sighting.js'
import type { Topology } from './topology.js'
import {
  advanced,
  clearedOf,
  confirmed,
  disputed,
  doubted,
  inEpoch,
  isRefuted,
  type Reign,
  standingBy,
  suspectsOf,
} from './tracing.js'

/** The node as belief.ts and selection.ts need it. */
export function withLineage(node: Node, lineage: Lineage): Node {
  if (node.lineage === lineage) return node
  const { state } = node
  return {
    ...node,
    lineage,
    state: state.kind === 'replica' ? replicaState(state.detail, { ...node, lineage }) : state,
  }
}

/** A position of an unknown history is shown, and serves no read. */
export function replicaState(detail: Extract<NodeState, { kind: 'replica' }>['detail'], node: Node): NodeState {
  const { follows, direct } = standingBy(node.lineage)
  const position = follows ? node.lineage.proven : node.shown
  return { kind: 'replica', position: node.shown === null ? null : position, follows, direct, detail }
}

/** While there is no primary, what the last one wrote is all there is. */
function reignOf({ incumbent, primary, epoch, wal, nodes }: Topology): Reign | null {
  if (incumbent === null || incumbent.timeline === null) return null
  return { epoch, primary: incumbent.key, timeline: incumbent.timeline, present: primary !== null, wal, nodes }
}

function changed(topology: Topology, next: (node: Node) => Lineage): Topology {
  let nodes: Map<NodeKey, Node> | null = null
  for (const node of topology.nodes.values()) {
    const after = withLineage(node, next(node))
    if (after === node) continue
    nodes ??= new Map(topology.nodes)
    nodes.set(node.key, after)
  }
  return nodes === null ? topology : { ...topology, nodes }
}

/** Another history begins: positions of two do not compare. */
export function withEpoch(topology: Topology, sameNumber: boolean, at: Instant): Topology {
  const epoch = topology.epoch + 1
  const primary = topology.incumbent?.key as NodeKey
  const wal = { ...emptyWal, strict: topology.rules.strictAsyncCommit }
  // The first primary takes nothing over from another.
  const doubtful = sameNumber && topology.epoch > 0
  return changed({ ...topology, epoch, wal }, ({ lineage }) => inEpoch(lineage, epoch, doubtful, primary, at))
}

/** A node was probed: `before` is the topology without that probe, `settled` the one that belief.ts has made of it. */
export function traced(before: Topology, settled: Topology, key: NodeKey, at: Instant): Topology {
  const node = settled.nodes.get(key)
  const old = before.nodes.get(key)
  if (node === undefined || old === undefined) return settled
  const reign = reignOf(settled)
  if (reign === null) return settled
  const lost = hasLeft(old, node)
  const told = changed(settled, (other) => {
    if (other.key === key || other.state.kind !== 'replica') return other.lineage
    const lineage = lost && isSuspect(other, key, reign) ? disputed(other.lineage, at, key) : other.lineage
    return isIdle(node) ? clearedOf(lineage, key, node.probedAt as Instant, node.seen?.inRecovery === true) : lineage
  })
  const anew = settled.epoch !== before.epoch
  const now = reignOf(told) as Reign
  return changed(told, (other) => {
    if (other.state.kind !== 'replica') return other.lineage
    const own = anew || (other.key === key && node.seen !== null && node.shown !== null)
    const lineage = own ? advanced(other, now) : other.lineage
    return confirmed(lineage === other.lineage ? other : { ...other, lineage }, now)
  })
}

function isSuspect(node: Node, key: NodeKey, reign: Reign): boolean {
  return suspectsOf(node, reign).some((other) => other.key === key)
}

/** It may have been promoted and taken back: it went down, or another incarnation answers. */
function hasLeft(old: Node, node: Node): boolean {
  if (old.state.kind !== 'down' && node.state.kind === 'down') return true
  return old.identity !== null && node.identity !== null && old.identity.current !== node.identity.current
}

/** It cannot be an upstream: it sends to no server, or nothing runs there. */
function isIdle({ seen, state, probedAt }: Node): boolean {
  if (probedAt === null) return false
  if (seen !== null) return seen.feeds === 0
  return state.kind === 'down' && state.failure.kind === 'unreachable' && state.failure.code === 'ECONNREFUSED'
}

/** A position of the primary: it may refute what its replicas seemed to be, and its own history. */
export function withSample(
  topology: Topology,
  startedAt: Instant,
  at: Instant,
  positions: Positions,
  seen: Sighting | null
): Topology {
  const back = stepsBack(topology.wal, startedAt, positions, at)
  // What the primary shows from then on is of the new history.
  const ruled = back ? withEpoch(topology, true, startedAt) : topology
  const detail = seen?.detail ?? null
  return refuted({ ...ruled, wal: addSample(ruled.wal, startedAt, positions, detail, at) }, at)
}

export function withLastCheckpoint(topology: Topology, { detail }: Sighting, startedAt: Instant): Topology {
  const wal = withCheckpoint(topology.wal, detail?.checkpoint ?? null, startedAt)
  return wal === topology.wal ? topology : { ...topology, wal }
}

function refuted(topology: Topology, at: Instant): Topology {
  const { wal } = topology
  const reign = reignOf(topology)
  return changed(topology, (node) => {
    if (isRefuted(node.lineage, wal)) return doubted(node.lineage, at, null)
    return reign === null || node.lineage.pending.length === 0 ? node.lineage : confirmed(node, reign)
  })
}

/** A replica has shown a position outside of a probe. `known`: the primary is known to have reached it. */
export function afterShown(topology: Topology, node: Node, known: Lsn | null): Topology {
  const at = node.lineage.last?.arrivedAt
  const nodes = new Map(topology.nodes).set(node.key, node)
  const reign = reignOf(topology)
  if (at === undefined || reign === null || node.state.kind !== 'replica') return { ...topology, nodes }
  const { wal } = topology
  const lineage = isRefuted(node.lineage, wal) ? doubted(node.lineage, at, null) : advanced(node, reign, known)
  return { ...topology, nodes: nodes.set(node.key, withLineage(node, lineage)) }
}
