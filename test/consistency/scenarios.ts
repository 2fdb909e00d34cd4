// All scenarios, those of equal clusters together, so that a cluster is made once for them.

import type { Scenario } from './scenario.js'
import { COMMITS } from './scenarios/commits.js'
import { CRASHES } from './scenarios/crashes.js'
import { LAG } from './scenarios/lag.js'
import { LOST } from './scenarios/lost.js'
import { PROBES } from './scenarios/probes.js'
import { WAL } from './scenarios/wal.js'

const clusterOf = ({ cluster = {}, spoils = false }: Scenario) => `${spoils}${JSON.stringify(cluster)}`

export const SCENARIOS: readonly Scenario[] = [...LAG, ...PROBES, ...COMMITS, ...WAL, ...CRASHES, ...LOST].toSorted(
  (a, b) => clusterOf(a).localeCompare(clusterOf(b))
)
