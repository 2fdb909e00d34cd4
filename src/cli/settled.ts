// Has everybody been asked who is to be asked? A function of the picture and of how long was waited.

import type { Seed } from '../config/hosts.js'
import type { NodeSnapshot, TopologySnapshot } from '../report/types.js'

/** A replica that is not proven yet, or a claim, may be by then: some looks are more than one. */
const PATIENCE_MILLIS = 1500

export function isSettled(snapshot: TopologySnapshot, seeds: readonly Seed[], waitedMillis: number): boolean {
  if (!seeds.every((seed) => isLookedUp(snapshot, seed)) || !snapshot.nodes.every(isAsked)) return false
  if (waitedMillis >= PATIENCE_MILLIS) return true
  // Nobody who let us in: no second look will tell more.
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
