// Whether a statement that has no node may go on waiting. And the error where it may not, with the state of every node, why the node
// was refused, and what the reader can do. Decides from the picture alone.

import type { Config } from '../config/config.js'
import type { NodeKey } from '../core/cluster/address.js'
import { type Failure, verdictOf } from '../core/cluster/failure.js'
import { elapsed, type Instant } from '../core/cluster/instant.js'
import { isUp, type Node } from '../core/cluster/node.js'
import type { Choice, Refusal, Target } from '../core/cluster/selection.js'
import type { Topology } from '../core/cluster/topology.js'
import { printable } from '../core/words.js'
import { type NodeReport, PgherdError, type PgherdErrorCode, withOutcome } from '../errors.js'

/** A statement, or a caller of ready(), that has no node yet. */
export interface Waiting {
  readonly target: Target
  readonly refused: () => ReadonlyMap<NodeKey, Refusal>
  /** The newest failure of this statement. */
  readonly newest: Failure | null
  readonly waitedMillis: number
  readonly now: Instant
}

/** The error to throw at once, `outcome` included. It may be any value. Null: waiting may help. */
export function hopeless(topology: Topology, config: Config, waiting: Waiting): Hopeless | null {
  const error = despair(topology, config, waiting)
  return error === null ? null : { error: withOutcome(error, 'not-sent') }
}

export interface Hopeless {
  readonly error: unknown
}

function despair(topology: Topology, config: Config, waiting: Waiting): unknown {
  const { target, refused, newest, waitedMillis, now } = waiting
  if (topology.mixed !== null) return refusal('PGHERD_MIXED_CLUSTERS', topology, refused(), config, null)
  const { contested } = topology
  if (contested !== null && elapsed(contested.since, now) >= config.silentMillis) {
    return refusal('PGHERD_CONTESTED_PRIMARY', topology, refused(), config, null)
  }
  const early = unreached(topology, config, newest)
  if (early !== null) return early
  if (topology.alone && target.role === 'replica' && (target.alone !== 'serve' || target.need.carried)) {
    return refusal('PGHERD_NO_REPLICA', topology, refused(), config, newest, UNPROVABLE)
  }
  if (target.role !== 'replica' || target.otherwise !== 'refuse' || !settled(topology)) return null
  const nodes = refused()
  // Evidence has been asked for and is on its way. It decides.
  const patience = Math.max(...[...nodes.values()].map((refusal) => EVIDENCE_MILLIS[refusal] ?? 0))
  if (target.need.maxLagMillis > 0 && waitedMillis < patience) return null
  return refusal('PGHERD_NO_REPLICA', topology, nodes, config, newest)
}

const UNPROVABLE =
  ' All named hosts are in recovery, and no primary was ever seen, so nothing proves how old they are: name a host that leads ' +
  'to the primary, or set maxLagMillis: Infinity.'

/** For how long evidence on its way may lift a refusal: the time of a look, or of a look and of replay. */
const EVIDENCE_MILLIS: Partial<Record<Refusal, number>> = { unproven: 1000, 'no-position': 1000, 'too-far-behind': 100 }

/** Errors that no waiting cures: a wrong password everywhere, the only server refuses, or the only name does not resolve. */
function unreached(topology: Topology, config: Config, newest: Failure | null): unknown {
  const nodes = [...topology.nodes.values()].filter(({ address }) => address.origin !== 'shown')
  if (nodes.length === 0) {
    const [blind] = topology.blind.values()
    const named = topology.blind.size
    return blind !== undefined && named >= config.seeds.length && !config.patient ? blind.error : null
  }
  const failures = nodes.map(failureOfNode)
  const locked = lockedOut(nodes)
  if (locked !== null) return locked
  if (nodes.some((node, i) => failures[i] === null || isUp(node))) return null
  const isAll = failures.every((failure) => failure !== null && isDenial(failure))
  const denied = failures.find(
    (failure, i) => failure !== null && isDenial(failure) && (isAll || isOfAll(failure, nodes[i]?.address.origin))
  )
  if (denied) return denied.error
  if (topology.plural || config.patient || nodes.some(({ probedAt }) => probedAt === null)) return null
  return newest?.error ?? failures.find((failure) => failure !== null)?.error ?? null
}

/**
 * Every server that takes sessions is in recovery, so the primary is among the servers that take none. No promotion is under way
 * then, and no waiting cures a wrong password. Null: some server may still be the primary.
 */
function lockedOut(nodes: readonly Node[]): unknown {
  let error: unknown = null
  for (const node of nodes) {
    const { kind } = node.state
    if (kind === 'alias' || kind === 'foreign') continue
    if (kind === 'replica' && node.suspect === null) continue
    const failure = isUp(node) ? null : failureOfNode(node)
    if (failure === null || !isLastWord(failure) || !isOfAll(failure, node.address.origin)) return null
    error ??= failure.error
  }
  return error
}

/** The server itself has refused, for a reason that waiting does not cure. Such a reason is also no right to connect (42501). */
function isLastWord(failure: Failure): boolean {
  return isDenial(failure) || (verdictOf(failure) === 'alive' && failure.kind !== 'full')
}

const OF_ONE_SERVER: ReadonlySet<string | null> = new Set(['PGHERD_AUTH', 'PGHERD_WEAK_AUTH', 'PGHERD_VERSION'])

/**
 * A wrong password is wrong at every server of a cluster. A login method that pg does not know, or must not use, concerns one server
 * only, and so does a version. And a server that was only found ends no wait for the servers that were named.
 */
function isOfAll({ code }: Failure, origin: Node['address']['origin'] | undefined): boolean {
  return origin === 'configured' && !OF_ONE_SERVER.has(code)
}

/** `caller` as the origin: the application's own code threw the error, and not pg because of a strange server. */
function isDenial({ kind, origin }: Failure): boolean {
  return kind === 'denied' || (kind === 'caller' && origin === 'caller')
}

function failureOfNode(node: Node): Failure | null {
  return node.state.kind === 'unknown' || node.state.kind === 'down' ? node.state.failure : null
}

/** Nothing is about to change by itself: the primary is known, and every node has been looked at. */
function settled(topology: Topology): boolean {
  const [only, ...others] = [...topology.nodes.values()].filter(({ address }) => address.origin === 'configured')
  // The only server is a standby: no primary will come.
  if (!topology.plural && others.length === 0 && only?.state.kind === 'replica') return true
  if (topology.primary === null || topology.wal.samples.length < 2) return false
  return [...topology.nodes.values()].every(
    ({ suspect, probedAt, address }) => suspect === null && (probedAt !== null || address.origin !== 'configured')
  )
}

export type RefusalCode = Extract<
  PgherdErrorCode,
  | 'PGHERD_NO_PRIMARY'
  | 'PGHERD_CONTESTED_PRIMARY'
  | 'PGHERD_MIXED_CLUSTERS'
  | 'PGHERD_NO_REPLICA'
  | 'PGHERD_QUEUE_FULL'
  | 'PGHERD_TIMEOUT'
>

const TEXTS: Readonly<Record<RefusalCode, (config: Config, topology: Topology) => string>> = {
  PGHERD_NO_PRIMARY: ({ connectionTimeoutMillis, failoverTimeoutMillis }, topology) => {
    const own = connectionTimeoutMillis !== null && connectionTimeoutMillis < failoverTimeoutMillis
    const limit = own
      ? `connectionTimeoutMillis (${connectionTimeoutMillis} ms): timeout exceeded when trying to connect`
      : `failoverTimeoutMillis (${failoverTimeoutMillis} ms)`
    return `no primary was found within ${limit}. ${primaryCure(topology)}`
  },
  PGHERD_CONTESTED_PRIMARY: () =>
    'several nodes claim to be the primary and nothing decides between them, so none is written to. ' +
    'Stop the wrong one or make it a replica.',
  PGHERD_MIXED_CLUSTERS: () =>
    'the configured hosts belong to different clusters (their system identifiers differ). ' +
    'Keep only the hosts of one cluster in connectionString or host.',
  PGHERD_NO_REPLICA: (config, topology) => {
    const isKnown = hasReplica(topology)
    const text = `no replica ${isKnown ? 'may' : 'is known to'} serve this statement.`
    // No primary was ever seen that could serve it instead.
    if (topology.alone) return text
    return `${text} ${isKnown ? 'Raise maxLagMillis' : 'Name the replicas among the hosts'}, or ${elsewhere(config)}`
  },
  PGHERD_TIMEOUT: ({ connectionTimeoutMillis }) =>
    `no connection within connectionTimeoutMillis (${connectionTimeoutMillis} ms): timeout exceeded when trying to connect.`,
  PGHERD_QUEUE_FULL: ({ failoverQueue }) =>
    `${failoverQueue} statements already wait for a primary. Shed load, or raise failoverQueue.`,
}

/** What lets the primary run what replicas do not, where that is not so already. */
function elsewhere({ attributes, whenStale }: Config): string {
  if (attributes === 'standby') return "let the primary serve as well with targetSessionAttrs: 'any'."
  if (whenStale === 'error') {
    return (
      "let the primary serve reads with whenStale: 'primary'. What is not taken for a read never runs there while a replica is " +
      'asked for.'
    )
  }
  return (
    "leave out route: 'replica'. As long as it is asked for, a client, a transaction and what is not taken for a read never use " +
    'the primary.'
  )
}

/** What the reader can do where no primary was found. Where no server answers no server can be promoted. */
export function primaryCure({ nodes }: Topology): string {
  const known = [...nodes.values()]
  if (known.some(isUp)) return 'Promote a replica, or name a host that leads to the primary.'
  return known.some(({ answeredAt }) => answeredAt !== null)
    ? 'No server answers: start one of them, or name a host that leads to the primary.'
    : 'No server has answered yet: check the hosts, the ports, and what lies between.'
}

function hasReplica({ nodes }: Topology): boolean {
  return [...nodes.values()].some(({ state }) => state.kind === 'replica')
}

export function refusal(
  code: RefusalCode,
  topology: Topology,
  refused: ReadonlyMap<NodeKey, Refusal>,
  config: Config,
  newest: Failure | null,
  spent = ''
): PgherdError {
  const cause = newest === null ? {} : { cause: newest.error }
  return reported(code, TEXTS[code](config, topology) + spent, topology, refused, cause)
}

/** An error that describes every node, and every name that did not resolve. */
export function reported(
  code: RefusalCode,
  text: string,
  topology: Topology,
  refused: ReadonlyMap<NodeKey, Refusal> = new Map(),
  cause: { readonly cause?: unknown } = {}
): PgherdError {
  const nodes = new Map<NodeKey, NodeReport>()
  for (const node of topology.nodes.values()) {
    nodes.set(node.key, { state: stateText(node), refused: refused.get(node.key) ?? null, detail: detailText(node) })
  }
  const blind = [...topology.blind].map(([source, { message }]) => `\n  ${source}: ${printable(message)}`).join('')
  return new PgherdError(code, text + blind, { nodes, ...cause })
}

function stateText({ state }: Node): string {
  if (state.kind === 'foreign') return `foreign, system identifier ${state.systemIdentifier}`
  if (state.kind === 'alias') return `the same server as ${state.of}`
  return state.kind
}

function detailText(node: Node): string | null {
  const { suspect, seen } = node
  const failure = failureOfNode(node)
  if (failure !== null) return failure.message
  if (suspect !== null) return suspect.failure.message
  if (node.state.kind === 'claimant') {
    const { timeline, detail } = node.state
    return `timeline ${timeline ?? 'unknown'}, system identifier ${detail.systemIdentifier ?? 'unknown'}, ${detail.senders.length} replicas attached`
  }
  return seen?.detail?.systemIdentifier ? `system identifier ${seen.detail.systemIdentifier}` : null
}

export const NO_REFUSALS: Choice['refused'] = new Map()

/** The code for a target that no node was found for. */
export function missing(topology: Topology, target: Target): RefusalCode {
  if (target.role === 'replica' && target.otherwise === 'refuse') return 'PGHERD_NO_REPLICA'
  return topology.contested === null ? 'PGHERD_NO_PRIMARY' : 'PGHERD_CONTESTED_PRIMARY'
}
