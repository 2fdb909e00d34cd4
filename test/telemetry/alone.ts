// What a pool tells, without a pool: its pictures and its clock are a test's.

import { emptyTopology, type Topology } from '../../src/core/cluster/topology.js'
import { Telemetry } from '../../src/telemetry/telemetry.js'
import type { ManualClock } from '../support/manual-clock.js'

export function alone(clock: ManualClock): { readonly telemetry: Telemetry; readonly topology: Topology } {
  const topology = emptyTopology({ hosts: 2, silentMillis: 1, strictAsyncCommit: false })
  const telemetry = new Telemetry({
    clock,
    namespace: null,
    queryText: false,
    max: 1,
    min: 0,
    topology: () => topology,
    connections: () => [],
    freshness: () => ({
      guardsPassed: 0,
      guardsFailed: 0,
      awaited: 0,
      tooFarBehind: 0,
      unproven: 0,
      positionsAsked: 0,
      positionsCaptured: 0,
    }),
    decisions: () => [],
    waiting: () => 0,
  })
  return { telemetry, topology }
}
