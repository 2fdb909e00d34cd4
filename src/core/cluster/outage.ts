// The phases of one loss of the primary, from the first suspicion to the new primary, with their times. A fold over changes of
// the topology. Decides nothing.

import type { NodeKey } from './address.js'
import type { Change } from './changes.js'
import type { Instant } from './instant.js'
import type { Node } from './node.js'
import type { Topology } from './topology.js'

export interface Phase {
  readonly kind: 'suspected' | 'convicted' | 'claimed' | 'contested' | 'promoted'
  readonly node: NodeKey | null
  /** The kind of failure that accused or convicted the node. */
  readonly cause: string | null
  readonly at: Instant
}

export interface Outage {
  readonly since: Instant
  /** The primary that was lost. */
  readonly from: NodeKey | null
  readonly epoch: number
  /** Of a long one the first and the newest. */
  readonly phases: readonly Phase[]
}

/** Null: there is a primary that is not suspect, or there was none yet. `promoted` is the last phase of an outage that is over. */
export function outageAfter(
  outage: Outage | null,
  after: Topology,
  before: Topology,
  found: readonly Change[],
  now: Instant
): Outage | null {
  const begun = outage ?? (isLost(after) || isReplaced(after, before) ? beginning(before, now) : null)
  if (begun === null || begun.epoch === 0) return null
  let { phases } = begun
  for (const change of found) phases = [...phases, ...phasesOf(change, after, { ...begun, phases }, now)]
  return phases.length === begun.phases.length ? begun : { ...begun, phases: bounded(phases) }
}

/** An SDK keeps the newest 128 events of a span: how it began would be gone. */
const MOST = 120
const FIRST = 20

/** A server that comes and goes for hours adds two each time: how it began and how it ended stay. */
function bounded(phases: readonly Phase[]): readonly Phase[] {
  if (phases.length <= MOST) return phases
  return [...phases.slice(0, FIRST), ...phases.slice(FIRST - MOST)]
}

/** Returns true if another primary, or the same one on another timeline, has taken over. */
export function isOver({ epoch }: Outage, after: Topology): boolean {
  return after.epoch !== epoch
}

/** Returns true while statements that need the primary wait. */
export function isLost({ primary, nodes }: Topology): boolean {
  return primary === null || nodes.get(primary)?.suspect !== null
}

function isReplaced(after: Topology, before: Topology): boolean {
  return before.epoch > 0 && after.epoch !== before.epoch
}

function beginning({ incumbent, epoch }: Topology, since: Instant): Outage {
  return { since, from: incumbent?.key ?? null, epoch, phases: [] }
}

function phasesOf(change: Change, after: Topology, { from, phases }: Outage, at: Instant): readonly Phase[] {
  switch (change.kind) {
    case 'suspect':
      return change.key === from ? [told('suspected', after.nodes.get(change.key), at)] : []
    case 'state':
      if (change.to === 'claimant') return [told('claimed', after.nodes.get(change.key), at)]
      return change.from === 'primary' ? [told('convicted', after.nodes.get(change.key), at)] : []
    case 'contested': {
      // The first to claim did so while there was a primary: no outage had begun.
      const claimed = new Set(phases.flatMap(({ kind, node }) => (kind === 'claimed' ? node : [])))
      const others = change.claimants.filter((key) => !claimed.has(key))
      const claims = others.map((key) => told('claimed', after.nodes.get(key), at))
      return [...claims, { kind: 'contested', node: null, cause: null, at }]
    }
    case 'epoch':
      return [{ kind: 'promoted', node: after.primary, cause: null, at }]
    default:
      return []
  }
}

function told(kind: Phase['kind'], node: Node | undefined, at: Instant): Phase {
  const failure = node?.state.kind === 'down' ? node.state.failure : (node?.suspect?.failure ?? null)
  const role = node?.state.kind === 'replica' && kind === 'convicted' ? 'role' : null
  return { kind, node: node?.key ?? null, cause: kind === 'claimed' ? null : (failure?.kind ?? role), at }
}
