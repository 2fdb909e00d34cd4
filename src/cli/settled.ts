// Decides whether every server has been asked: a function of the topology and of the time that was waited.

import type { Seed } from '../config/hosts.js'
import type { NodeSnapshot, TopologySnapshot } from '../report/types.js'

/** Some proofs, of a replica or of a claim, need more than one probe: by then they are done. */
const PATIENCE_MILLIS = 1500

export function isSettled(snapshot: TopologySnapshot, seeds: readonly Seed[], waitedMillis: number): boolean {
  if (!seeds.every((seed) => isLookedUp(snapshot, seed)) || !snapshot.nodes.every(isAsked)) return false
  if (waitedMillis >= PATIENCE_MILLIS) return true
  // No server accepted the login: another probe will not tell more.
  if (snapshot.nodes.every(({ state }) => state === 'unknown' || state === 'down')) return true
  return (
    snapshot.primary !== null && snapshot.nodes.every(({ state, refused }) => state !== 'replica' || refused === null)
  )
}

function isLookedUp({ nodes, blind }: TopologySnapshot, { host, port, lookup }: Seed): boolean {
  if (!lookup) return nodes.some((node) => node.host === host && node.port === port)
  return nodes.some((node) => node.name === host && node.port === port) || `dns ${host}:${port}` in blind
}

function isAsked({ state, origin, failure, suspect }: NodeSnapshot): boolean {
  return !suspect && (state !== 'unknown' || failure !== null || origin === 'shown')
}
