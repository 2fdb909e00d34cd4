// Derives roles from observations: which cluster is ours, which node is the primary, which replicas follow it.
// A pure function of the topology and the time of the newest event. Keeps nothing, waits for nothing.

import type { NodeKey } from './address.js'
import { failureOf } from './failure.js'
import { desertedFor, followedBy } from './followers.js'
import { replicaState, withEpoch } from './histories.js'
import { isBalanced } from './identity.js'
import { elapsed, type Instant } from './instant.js'
import { isUp, type Node, type NodeState } from './node.js'
import { type Claimant, choosePrimary, type PrimaryVerdict } from './primary.js'
import type { Sighting } from './sighting.js'
import type { Topology } from './topology.js'

/** Every reachable seed must show one other system identifier for this long before it is believed to be ours now. */
const NEW_CLUSTER_MILLIS = 30_000

/** `before` is the last settled topology, `draft` the same with the newest event folded in. */
export function settle(before: Topology, draft: Topology, at: Instant): Topology {
  const named = identified(draft, at)
  const servers = serversOf(named, at)
  const claimants = claimantsOf(named, servers)
  const judge = (topology: Topology) =>
    topology.systemIdentifier === null ? UNDECIDED : decide(topology, claimants, at)
  const asked = questioned(named, judge(named), claimants, at)
  const ruled = installed(asked, judge(asked), claimants, at)
  const nodes = new Map<NodeKey, Node>()
  for (const node of ruled.nodes.values()) {
    const next = { ...node, state: stateOf(ruled, node, servers) }
    nodes.set(node.key, { ...next, generation: generationOf(ruled, before.nodes.get(node.key), next, at) })
  }
  return { ...ruled, nodes, plural: ruled.plural || servers.size > 1 }
}

const UNDECIDED: PrimaryVerdict = { kind: 'none' }

/** The identifier that a hidden one counts as: pg_control_system() may be forbidden. */
const HIDDEN = ''

function identifierOf(seen: Sighting | null): string | null {
  return seen === null ? null : (seen.detail?.systemIdentifier ?? HIDDEN)
}

/** Which cluster is ours. Before the first answer of every configured node nothing is decided: a second cluster may hide there. */
function identified(topology: Topology, at: Instant): Topology {
  const shown = new Map<NodeKey, string>()
  let waiting = false
  for (const node of topology.nodes.values()) {
    if (node.address.origin !== 'configured') continue
    const identifier = identifierOf(node.seen)
    if (identifier !== null && identifier !== HIDDEN) shown.set(node.key, identifier)
    waiting ||= node.probedAt === null
  }
  const distinct = new Set(shown.values())
  const [only] = distinct
  if (topology.systemIdentifier === null) {
    if (distinct.size > 1) return { ...topology, mixed: shown }
    if (waiting || ![...topology.nodes.values()].some((node) => node.seen !== null)) return topology
    return { ...topology, mixed: null, systemIdentifier: only ?? HIDDEN }
  }
  if (distinct.size !== 1 || only === undefined || only === topology.systemIdentifier) {
    return topology.newcomer === null ? topology : { ...topology, newcomer: null }
  }
  const newcomer =
    topology.newcomer?.systemIdentifier === only ? topology.newcomer : { systemIdentifier: only, since: at }
  if (elapsed(newcomer.since, at) < NEW_CLUSTER_MILLIS) return { ...topology, newcomer }
  // A restore or a major upgrade: another cluster under the same names, so nothing remembered of the old one holds.
  const forgotten = { newcomer: null, incumbent: null, highest: null, primary: null, refused: new Set<NodeKey>() }
  return { ...topology, ...forgotten, systemIdentifier: only }
}

function isForeign(topology: Topology, seen: Sighting): boolean {
  const identifier = identifierOf(seen)
  const ours = topology.systemIdentifier
  return ours !== null && ours !== HIDDEN && identifier !== HIDDEN && identifier !== ours
}

/** One server under two addresses is one node: identifier and start time name a server, whatever it is called. */
function serverOf(node: Node): string | null {
  const detail = node.seen?.detail
  if (detail === undefined || detail === null || detail.startedAt === '') return null
  return `${detail.systemIdentifier ?? HIDDEN}/${detail.startedAt}`
}

/** Server -> the node that stands for it: the primary, then the configured, then the first; last an address that others share. */
function serversOf(topology: Topology, at: Instant): Map<string, NodeKey> {
  const found = new Map<string, NodeKey>()
  const rank = (node: Node) =>
    (isBalanced(node.identity, at) ? -4 : 0) +
    (node.key === topology.incumbent?.key ? 2 : 0) +
    (node.address.origin === 'configured' ? 1 : 0)
  const ordered = [...topology.nodes.values()].sort((a, b) => rank(b) - rank(a))
  for (const node of ordered) {
    const server = serverOf(node)
    if (server !== null && !found.has(server)) found.set(server, node.key)
  }
  return found
}

function claimantsOf(topology: Topology, servers: ReadonlyMap<string, NodeKey>): Claimant[] {
  const found: Claimant[] = []
  for (const node of topology.nodes.values()) {
    const { key, seen } = node
    if (seen === null || seen.inRecovery || isForeign(topology, seen)) continue
    const server = serverOf(node)
    if (server !== null && servers.get(server) !== key) continue
    found.push({
      key,
      timeline: seen.timeline,
      // A plain role sees no state. A base backup alone keeps no node primary.
      rows: seen.detail?.senders.filter(({ state }) => state === null || state === 'streaming').length ?? 0,
      followers: 0,
      configured: node.address.origin === 'configured',
      refusedBefore: topology.refused.has(key),
    })
  }
  const followed = [...followedBy(topology, found).values()]
  return found.map((one) => ({ ...one, followers: followed.filter((key) => key === one.key).length }))
}

function decide(topology: Topology, claimants: readonly Claimant[], at: Instant): PrimaryVerdict {
  const { incumbent, highest } = topology
  return choosePrimary(
    claimants,
    incumbent && {
      key: incumbent.key,
      timeline: incumbent.timeline,
      standing: standingOf(topology, claimants),
      goneMillis: elapsed(incumbent.lastLive, at),
      deserted: desertedFor(followedBy(topology, claimants), incumbent.key),
    },
    highest && { timeline: highest.timeline, goneMillis: elapsed(highest.lastSeen, at) }
  )
}

/**
 * Followers decide, and the incumbent is asked about them only now and then: when it became the primary it had none. So it is asked
 * again before a claim takes anything from a live incumbent. New statements wait for that; statements in flight go on.
 */
function questioned(
  topology: Topology,
  verdict: PrimaryVerdict,
  claimants: readonly Claimant[],
  at: Instant
): Topology {
  const { incumbent, nodes } = topology
  const present = incumbent === null ? undefined : nodes.get(incumbent.key)
  if (present === undefined || verdict.kind === 'none' || standingOf(topology, claimants) !== 'live') return topology
  if (verdict.kind === 'primary' && verdict.key === present.key) return topology
  const countedAt = present.countedAt?.mono ?? -Infinity
  const isNew = (key: NodeKey) => (nodes.get(key)?.claimsSince?.mono ?? -Infinity) > countedAt
  const rival = claimants.find(({ key }) => key !== present.key && isNew(key))
  if (rival === undefined) return topology
  const failure = failureOf(new Error(`${rival.key} says that it is the primary`), 'idle')
  return { ...topology, nodes: new Map(nodes).set(present.key, { ...present, suspect: { since: at, failure } }) }
}

/** An incumbent whose server now answers under another address has moved there: it is gone here. */
function standingOf(topology: Topology, claimants: readonly Claimant[]): 'live' | 'suspect' | 'gone' {
  const node = topology.incumbent === null ? undefined : topology.nodes.get(topology.incumbent.key)
  // An incumbent stays one through a contest or an open verdict: only a node that is down, or says so itself, is gone.
  if (node === undefined || !claimants.some(({ key }) => key === node.key)) return 'gone'
  return node.suspect === null ? 'live' : 'suspect'
}

/** Writes the verdict down: primary, epoch, and what must be remembered to judge the next claim. */
function installed(topology: Topology, verdict: PrimaryVerdict, claimants: readonly Claimant[], at: Instant): Topology {
  const refused = refusedOf(topology, verdict, claimants)
  const highest = stillShown(topology, claimants, at)
  switch (verdict.kind) {
    case 'none':
      return { ...topology, primary: null, contested: null, refused, highest }
    case 'contested': {
      const since = topology.contested?.since ?? at
      return { ...topology, primary: null, contested: { since, claimants: verdict.claimants }, refused, highest }
    }
    case 'primary':
      return crowned({ ...topology, contested: null, refused, highest }, verdict.key, at)
    default:
      return verdict satisfies never
  }
}

function crowned(topology: Topology, key: NodeKey, at: Instant): Topology {
  const { incumbent, highest } = topology
  const timeline = topology.nodes.get(key)?.seen?.timeline ?? null
  const same = incumbent?.key === key && incumbent.timeline === timeline
  const top = timeline !== null && timeline >= (highest?.timeline ?? 0) ? { timeline, lastSeen: at } : highest
  // After a crash a server shows the end of its recovery there: what was seen first is where the timeline began.
  const begun = (same ? incumbent.begun : null) ?? topology.nodes.get(key)?.seen?.replay ?? null
  const heir = { ...topology, primary: key, incumbent: { key, timeline, lastLive: at, begun }, highest: top }
  if (same) return heir
  // The same number proves nothing, unless it is the same server under another name.
  const sameNumber = timeline === null || incumbent?.timeline === null || incumbent?.timeline === timeline
  const moved = incumbent !== null && isSameServer(topology, incumbent.key, key)
  return withEpoch(heir, sameNumber && !moved, topology.nodes.get(key)?.probedAt ?? at)
}

function isSameServer({ nodes }: Topology, a: NodeKey, b: NodeKey): boolean {
  const [one, other] = [nodes.get(a), nodes.get(b)].map((node) => (node === undefined ? null : serverOf(node)))
  return a !== b && one !== null && one !== undefined && one === other
}

function stillShown(topology: Topology, claimants: readonly Claimant[], at: Instant): Topology['highest'] {
  const { highest } = topology
  if (highest === null || !claimants.some(({ timeline }) => timeline === highest.timeline)) return highest
  return { ...highest, lastSeen: at }
}

function refusedOf(topology: Topology, verdict: PrimaryVerdict, claimants: readonly Claimant[]): ReadonlySet<NodeKey> {
  const next = new Set([...topology.refused].filter((key) => topology.nodes.get(key)?.seen?.inRecovery !== true))
  const incumbent = topology.incumbent === null ? undefined : topology.nodes.get(topology.incumbent.key)
  if (verdict.kind !== 'primary' || verdict.key !== incumbent?.key || incumbent.suspect !== null) return next
  for (const { key } of claimants) {
    // Only an incumbent that has answered since the claim stands beside it: a frozen one does not.
    const claimedAt = topology.nodes.get(key)?.claimsSince ?? null
    if (claimedAt !== null && incumbent.probedAt !== null && incumbent.probedAt.mono > claimedAt.mono) next.add(key)
  }
  next.delete(verdict.key)
  return next
}

function stateOf(topology: Topology, node: Node, servers: ReadonlyMap<string, NodeKey>): NodeState {
  const { seen } = node
  if (seen === null) return node.state.kind === 'unknown' || node.state.kind === 'down' ? node.state : UNSEEN
  if (isForeign(topology, seen)) return { kind: 'foreign', systemIdentifier: identifierOf(seen) ?? HIDDEN }
  const server = serverOf(node)
  const first = server === null ? undefined : servers.get(server)
  if (first !== undefined && first !== node.key) return { kind: 'alias', of: first }
  const { detail } = seen
  if (detail === null) return UNSEEN
  if (!seen.inRecovery) {
    return { kind: topology.primary === node.key ? 'primary' : 'claimant', timeline: seen.timeline, detail }
  }
  return replicaState(detail, node)
}

const UNSEEN: NodeState = { kind: 'unknown', failure: null }

/**
 * +1 when every connection opened before must go: the node went down, is not ours, or is no longer the primary; or its address leads
 * to another server now, and they may be the last that still reach a demoted one. With one server there is nowhere else to go,
 * and connections end one by one, as with pg; but an end() does not wait for a server that is not there.
 */
function generationOf({ plural, ended }: Topology, old: Node | undefined, node: Node, at: Instant): number {
  if (old === undefined || !(plural || ended)) return node.generation
  const [was, is] = [old.seen?.detail?.startedAt ?? '', node.seen?.detail?.startedAt ?? '']
  if (was !== '' && is !== '' && was !== is && !isBalanced(node.identity, at)) return old.generation + 1
  const gone = isUp(old) && !isUp(node)
  const demoted = old.state.kind === 'primary' && node.state.kind !== 'primary'
  return old.generation + (gone || demoted ? 1 : 0)
}
