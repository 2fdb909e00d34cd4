// Whether all nodes are there that a caller waits for. Looks at the picture; waits for nothing itself.

import { lagOf } from '../core/cluster/horizon.js'
import type { Instant } from '../core/cluster/instant.js'
import type { Node } from '../core/cluster/node.js'
import type { Topology } from '../core/cluster/topology.js'
import { counted, listed } from '../core/words.js'
import type { PgherdError } from '../errors.js'
import { primaryCure, reported } from './refusal.js'

export interface ReadyTarget {
  readonly primary: boolean
  readonly replicas: number
  readonly maxLagMillis: number
}

/** What ready() has found. */
export interface Readiness {
  /** `host:port` of the primary; null: there is none. */
  readonly primary: string | null
  /** How many replicas are proven to be within maxLagMillis. */
  readonly replicas: number
  /** False: the catalogue is not read yet, and until it is all reads run on the primary. */
  readonly catalogue: boolean
}

export function trustedPrimary(topology: Topology): Node | null {
  const node = topology.primary === null ? undefined : topology.nodes.get(topology.primary)
  return node === undefined || node.suspect !== null || node.draining ? null : node
}

/** `servesAlone`: standbys without a primary count as well, as they serve the reads of this pool. */
export function isReady(topology: Topology, wanted: ReadyTarget, now: Instant, servesAlone: boolean): boolean {
  if (wanted.primary && trustedPrimary(topology) === null) return false
  return fitReplicas(topology, wanted.maxLagMillis, now, servesAlone) >= wanted.replicas
}

/** How many replicas are within the bound. */
export function fitReplicas(topology: Topology, maxLagMillis: number, now: Instant, servesAlone: boolean): number {
  let fit = 0
  for (const { state, suspect, draining } of topology.nodes.values()) {
    if (state.kind !== 'replica' || suspect !== null || draining) continue
    if (topology.alone && servesAlone) fit++
    if (topology.alone || !state.follows || state.position === null) continue
    if (lagOf(topology.wal, state.position.lsn, now) <= maxLagMillis) fit++
  }
  return fit
}

/** The error that says what ready() has waited for in vain, what was there at the end, and what the reader can do. */
export function unready(
  topology: Topology,
  wanted: ReadyTarget,
  millis: number,
  now: Instant,
  servesAlone: boolean
): PgherdError {
  const { primary, replicas, maxLagMillis } = wanted
  const hasPrimary = trustedPrimary(topology) !== null
  const fit = fitReplicas(topology, maxLagMillis, now, servesAlone)
  const within = `within maxLagMillis (${maxLagMillis} ms)`
  const goals = [
    ...(primary ? ['a primary'] : []),
    ...(replicas > 0 ? [`${counted(replicas, 'replica')} ${within}`] : []),
  ]
  const found = [hasPrimary ? 'a primary' : 'no primary', ...(replicas > 0 ? [counted(fit, 'replica')] : [])]
  const lacksPrimary = primary && !hasPrimary
  const text =
    `ready() waited ${millis} ms for ${listed(goals)}, and found ${listed(found)}. ` +
    (lacksPrimary
      ? primaryCure(topology)
      : fit < replicas
        ? 'Ask for fewer replicas, name more hosts, or raise maxLagMillis or timeoutMillis.'
        : 'The catalogue could not be read in time, so reads are not routed yet: raise timeoutMillis.')
  return reported(lacksPrimary ? 'PGHERD_NO_PRIMARY' : 'PGHERD_NO_REPLICA', text, topology)
}
