// Standbys alone: a pool that names only servers in recovery, a "-ro" service. No primary has been seen, so nothing can be proven
// about any of them. Decides when that is so, and which of them may serve then without a proof.

import type { NodeKey } from './address.js'
import type { Node } from './node.js'
import type { Topology } from './topology.js'

/**
 * All named hosts have answered, all are in recovery, and there has been no primary yet. A standby that fails later changes
 * nothing; a server that says it is a primary does.
 */
export function areAlone(topology: Topology): boolean {
  if (topology.epoch > 0 || topology.mixed !== null) return false
  let standbys = 0
  for (const { state, address } of topology.nodes.values()) {
    if (state.kind === 'claimant' || state.kind === 'primary' || state.kind === 'foreign') return false
    if (state.kind === 'replica') standbys++
    else if (state.kind !== 'alias' && address.origin === 'configured' && !topology.alone) return false
  }
  return topology.alone || (standbys > 0 && answeredHosts(topology) >= topology.rules.hosts)
}

/** How many of the hosts that the user named have given addresses: a literal is its own, a name has what it resolves to. */
function answeredHosts({ sources }: Topology): number {
  let hosts = 0
  for (const [source, addresses] of sources) {
    if (source === 'configured') hosts += addresses.length
    else if (source !== 'replication') hosts++
  }
  return hosts
}

/** Returns true once every host that the user named was probed, or its name does not resolve. */
export function isLookedAround(topology: Topology): boolean {
  const { nodes, blind, sources, rules } = topology
  const failed = [...blind.keys()].filter((source) => source !== 'replication' && !sources.has(source)).length
  if (answeredHosts(topology) + failed < rules.hosts) return false
  return [...nodes.values()].every(({ probedAt, address }) => probedAt !== null || address.origin !== 'configured')
}

/** What the user has asked of reads. */
export interface Asked {
  readonly attributes: string
  /** The user chose `maxLagMillis`. */
  readonly isBoundGiven: boolean
  readonly maxLagMillis: number
  readonly maxLagBytes: number
  readonly whenStale: 'primary' | 'error'
}

/**
 * What becomes of a read where only standbys are known, and no primary was ever seen, so that no bound can be proven. `asked`: the
 * bound of the statement or its view. With libpq's word standby any standby is what was asked for.
 */
export function aloneOf(rules: Asked, asked?: number): 'serve' | 'refuse' {
  const { attributes, isBoundGiven, maxLagMillis, maxLagBytes, whenStale } = rules
  if (attributes === 'standby') return 'serve'
  const given = asked ?? (isBoundGiven ? maxLagMillis : undefined)
  if (maxLagBytes !== Infinity) return 'refuse'
  if (given !== undefined) return given === Infinity ? 'serve' : 'refuse'
  return whenStale === 'primary' ? 'serve' : 'refuse'
}

/** Of the standbys that nothing but the missing proof speaks against: those that are no spare, else the others. */
export function standbysOf(fit: readonly Node[], spare: readonly Node[], stick: NodeKey | null): readonly Node[] {
  const candidates = fit.length > 0 ? fit : spare
  const same = candidates.filter(({ key }) => key === stick)
  return same.length > 0 ? same : candidates
}
