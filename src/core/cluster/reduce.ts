// The one function that changes the topology: reduce(topology, event). It takes in what was discovered, probed or accused.
// belief.ts turns that into roles. It reads no clock.

import { keyOf, type NodeAddress, type NodeKey, traitsOf } from './address.js'
import { areAlone } from './alone.js'
import { settle } from './belief.js'
import { returned, struck } from './breaker.js'
import { type Failure, verdictBeside } from './failure.js'
import { afterShown, traced, withLastCheckpoint, withLineage, withSample } from './histories.js'
import { observed } from './identity.js'
import { elapsed, type Instant } from './instant.js'
import { type Arrived, NO_LINEAGE } from './lineage.js'
import { isUp, type Node, type ProbeResult } from './node.js'
import type { Position, Sighting } from './sighting.js'
import type { Topology, TopologyEvent } from './topology.js'
import { shownBy } from './tracing.js'

/** The same reference comes back when the event is late news or changes nothing. */
export function reduce(topology: Topology, event: TopologyEvent): Topology {
  const after = folded(topology, event)
  const alone = areAlone(after)
  return alone === after.alone ? after : { ...after, alone }
}

function folded(topology: Topology, event: TopologyEvent): Topology {
  switch (event.kind) {
    case 'discovered':
      return discovered(topology, event.source, event.addresses, event.at)
    case 'discovery-failed':
      return { ...topology, blind: new Map(topology.blind).set(event.source, event.failure) }
    case 'probed':
      return probed(topology, event)
    case 'accused':
      return accused(topology, event)
    case 'sampled':
      return sampled(topology, event)
    case 'shown':
      return shown(topology, event)
    case 'identified':
      return identified(topology, event)
    case 'ended':
      return { ...topology, ended: true }
    case 'drained':
    case 'resumed':
      return marked(topology, event.key, event.kind === 'drained')
    default:
      return event satisfies never
  }
}

/** Of the same address from several sources: what was named is used before what was found, and that before what is only shown. */
const RANK: Readonly<Record<NodeAddress['origin'], number>> = { configured: 2, discovered: 1, shown: 0 }

/** An empty list is an outage of the source, not of the cluster: the last list stands. */
function discovered(topology: Topology, source: string, addresses: readonly NodeAddress[], at: Instant): Topology {
  if (addresses.length === 0) return topology
  const blind = new Map(topology.blind)
  blind.delete(source)
  const sources = new Map(topology.sources).set(source, [...addresses, ...attached(topology, source, addresses)])
  const listed = new Map<NodeKey, NodeAddress>()
  for (const address of [...sources.values()].flat()) {
    const known = listed.get(keyOf(address))
    listed.set(keyOf(address), known === undefined ? address : merged(known, address))
  }
  const nodes = new Map<NodeKey, Node>()
  for (const [key, address] of listed) nodes.set(key, named(topology.nodes.get(key), key, address))
  // A name may forget its primary while that still serves: it goes when it stops.
  const present = topology.primary === null ? undefined : topology.nodes.get(topology.primary)
  if (present !== undefined && !nodes.has(present.key)) nodes.set(present.key, present)
  if (sameNodes(nodes, topology.nodes) && topology.blind.size === blind.size) return topology
  return settle(topology, { ...topology, blind, sources, nodes }, at)
}

/** What the stronger source does not say of the server, the weaker may. */
function merged(known: NodeAddress, other: NodeAddress): NodeAddress {
  const [strong, weak] = RANK[other.origin] > RANK[known.origin] ? [other, known] : [known, other]
  if (strong.origin === weak.origin) return strong
  return { ...strong, ...traitsOf({ weight: strong.weight ?? weak.weight, zone: strong.zone ?? weak.zone }) }
}

/** pg_stat_replication lists the replicas that stream now: a replica that it lost is still a node while it answers. */
function attached(topology: Topology, source: string, addresses: readonly NodeAddress[]): NodeAddress[] {
  if (source !== 'replication') return []
  const fresh = new Set(addresses.map(keyOf))
  return (topology.sources.get(source) ?? []).filter((address) => {
    const node = topology.nodes.get(keyOf(address))
    return !fresh.has(keyOf(address)) && node !== undefined && isUp(node)
  })
}

/** The primary may list a replica before its configured name is resolved: what the user named is used, in either order. */
function named(known: Node | undefined, key: NodeKey, address: NodeAddress): Node {
  if (known === undefined) return stranger(key, address)
  const { origin, weight, zone } = known.address
  if (RANK[address.origin] > RANK[origin]) return { ...known, address }
  if (address.origin !== origin || (address.weight === weight && address.zone === zone)) return known
  return { ...known, address: { ...known.address, weight: address.weight, zone: address.zone } }
}

function stranger(key: NodeKey, address: NodeAddress): Node {
  const state = { kind: 'unknown', failure: null } as const
  return {
    key,
    address,
    generation: 0,
    state,
    suspect: null,
    seen: null,
    probedAt: null,
    countedAt: null,
    claimsSince: null,
    shown: null,
    lineage: NO_LINEAGE,
    identity: null,
    draining: false,
    breaker: null,
    losses: 0,
    answeredAt: null,
    missedAt: null,
  }
}

function sameNodes(a: ReadonlyMap<NodeKey, Node>, b: ReadonlyMap<NodeKey, Node>): boolean {
  return a.size === b.size && [...a].every(([key, node]) => b.get(key) === node)
}

type Probed = Extract<TopologyEvent, { kind: 'probed' }>

function probed(topology: Topology, event: Probed): Topology {
  const node = topology.nodes.get(event.key)
  if (node === undefined) return topology
  if (node.probedAt !== null && event.startedAt.mono < node.probedAt.mono) return topology
  const next =
    event.result.kind === 'answer'
      ? answered(node, event, event.result.sighting)
      : unanswered(node, event, event.result, topology)
  const nodes = new Map(topology.nodes).set(event.key, next)
  const draft = { ...topology, nodes }
  const settled = traced(topology, settle(topology, draft, event.at), event.key, event.at)
  const { seen } = next
  if (event.result.kind !== 'answer' || settled.primary !== event.key || seen === null) return settled
  const { sighting } = event.result
  return withLastCheckpoint(withSample(settled, event.startedAt, event.at, seen, seen), sighting, event.startedAt)
}

function answered(node: Node, event: Probed, sighting: Sighting): Node {
  const seen = { ...sighting, detail: sighting.detail ?? node.seen?.detail ?? null }
  const suspect = remaining(node, event.startedAt)
  const position = sighting.replay === null ? null : { lsn: sighting.replay, askedAt: event.startedAt }
  const late = later(node.shown, position)
  const shown = late ? node.shown : position
  const arrived = position === null || !sighting.inRecovery ? null : { ...position, arrivedAt: event.at }
  const startedAt = sighting.detail?.startedAt ?? ''
  const breaker = returned(node.breaker, event.at)
  const identity = observed(node.identity, startedAt, event.at)
  return {
    ...node,
    seen,
    shown,
    lineage:
      arrived === null || late ? node.lineage : shownBy(node.lineage, startedAt, arrived, sighting.receiver ?? null),
    breaker,
    identity,
    probedAt: event.startedAt,
    countedAt: sighting.detail === null ? node.countedAt : event.startedAt,
    claimsSince: sighting.inRecovery ? null : (node.claimsSince ?? event.at),
    answeredAt: event.at,
    missedAt: null,
    suspect,
  }
}

/** What was asked for later is the newer: a server that crashed may have gone backwards meanwhile. */
function later(a: Position | null, b: Position | null): boolean {
  return a !== null && b !== null && a.askedAt.mono > b.askedAt.mono
}

/** Only a probe that left after the accusation answers it. */
function remaining(node: Node, startedAt: Instant): Node['suspect'] {
  return node.suspect !== null && startedAt.mono < node.suspect.since.mono ? node.suspect : null
}

type Missed = Extract<ProbeResult, { kind: 'failure' }>

/** A failed probe takes the position with it: the next connection may find a server that crashed and went backwards. */
function unanswered(node: Node, event: Probed, { failure, answers = 'none' }: Missed, topology: Topology): Node {
  const { rules, plural, ended } = topology
  const seen = node.seen === null ? null : { ...node.seen, replay: null }
  const kept = { ...node, probedAt: event.startedAt, seen, shown: null, lineage: unproven(node) }
  switch (verdictBeside(failure, answers)) {
    case 'down':
      return convicted(kept, failure, event.at)
    case 'alive': {
      const state = isUp(node) ? node.state : ({ kind: 'unknown', failure } as const)
      return { ...kept, state, answeredAt: event.at, missedAt: null, suspect: remaining(node, event.startedAt) }
    }
    case 'undecided':
      return { ...kept, state: stillOf(node, failure) }
    case 'suspect': {
      if (!isUp(node)) return { ...kept, state: stillOf(node, failure) }
      // Counted from the first probe that went unanswered: while no query was sent, silence proves nothing.
      const missedAt = answers === 'before' ? event.startedAt : (node.missedAt ?? event.startedAt)
      // Giving up the only server would help no statement, and cut one that merely takes long. At its end the pool gives it up.
      if ((plural || ended) && elapsed(missedAt, event.at) >= rules.silentMillis)
        return convicted(kept, failure, event.at)
      return { ...kept, missedAt, suspect: node.suspect ?? { since: event.at, failure } }
    }
  }
}

/** Returns the state that the node had, with the newest failure if nothing was known of it. */
function stillOf(node: Node, failure: Failure): Node['state'] {
  return isUp(node) || node.state.kind === 'down' ? node.state : { kind: 'unknown', failure }
}

/** The next connection may find a server that has crashed. What was shown before still refutes. */
function unproven({ lineage }: Node): Node['lineage'] {
  return { ...lineage, proven: null, direct: false }
}

function convicted(node: Node, failure: Failure, at: Instant): Node {
  const since = node.state.kind === 'down' ? node.state.since : at
  const breaker = isUp(node) ? struck(node.breaker, at) : node.breaker
  const state = { kind: 'down', since, failure } as const
  return { ...node, state, breaker, seen: null, shown: null, claimsSince: null, suspect: null, missedAt: null }
}

type Accused = Extract<TopologyEvent, { kind: 'accused' }>

function accused(topology: Topology, event: Accused): Topology {
  const node = topology.nodes.get(event.key)
  if (node === undefined || node.generation !== event.generation) return topology
  const lost = { ...node, losses: node.losses + 1 }
  const nodes = new Map(topology.nodes)
  if (node.suspect !== null || !isUp(node)) return { ...topology, nodes: nodes.set(event.key, lost) }
  const suspect = { since: event.at, failure: event.failure }
  return settle(topology, { ...topology, nodes: nodes.set(event.key, { ...lost, suspect }) }, event.at)
}

/** Only for the current primary: positions of two timelines do not compare. */
function sampled(topology: Topology, event: Extract<TopologyEvent, { kind: 'sampled' }>): Topology {
  const { incumbent, primary, nodes } = topology
  if (primary !== event.key || incumbent?.timeline !== event.timeline || event.timeline === null) return topology
  return withSample(topology, event.startedAt, event.at, event.positions, nodes.get(primary)?.seen ?? null)
}

/** The role of the node is decided by its next probe: the caller that met another server there asks for one. */
function identified(topology: Topology, event: Extract<TopologyEvent, { kind: 'identified' }>): Topology {
  const node = topology.nodes.get(event.key)
  const identity = node === undefined ? null : observed(node.identity, event.startedAt, event.at)
  if (node === undefined || identity === node.identity) return topology
  return { ...topology, nodes: new Map(topology.nodes).set(event.key, { ...node, identity }) }
}

function marked(topology: Topology, key: NodeKey, draining: boolean): Topology {
  const node = topology.nodes.get(key)
  if (node === undefined || node.draining === draining) return topology
  return { ...topology, nodes: new Map(topology.nodes).set(key, { ...node, draining }) }
}

/** Nothing but its history is judged by that, so nothing has to be settled. */
function shown(topology: Topology, event: Extract<TopologyEvent, { kind: 'shown' }>): Topology {
  const node = topology.nodes.get(event.key)
  const { position, receiver, known, at } = event
  if (node === undefined || node.generation !== event.generation) return topology
  const arrived: Arrived = { ...position, arrivedAt: at }
  // A position that a failed probe has taken away comes back with a probe. It may refute all the same.
  if (node.state.kind !== 'replica' || node.shown === null || later(node.shown, position)) {
    const { climb } = shownBy(node.lineage, '', arrived, node.lineage.receiver)
    return climb === node.lineage.climb
      ? topology
      : afterShown(topology, withLineage(node, { ...node.lineage, climb }), known)
  }
  const lineage = shownBy(node.lineage, '', arrived, receiver)
  return afterShown(topology, withLineage({ ...node, shown: position }, lineage), known)
}
