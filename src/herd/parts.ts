// What a herd is given, and what it shows of itself.

import type { Config } from '../config/config.js'
import { probeConfigFor } from '../config/dial.js'
import { keyOf, type NodeAddress, type NodeKey } from '../core/cluster/address.js'
import type { Change } from '../core/cluster/changes.js'
import type { Rules, Topology, TopologyEvent } from '../core/cluster/topology.js'
import type { Discovery } from '../discovery/discovery.js'
import type { Clock } from '../runtime/clock.js'
import type { Complain } from '../runtime/complaints.js'
import { connectionProbe, type Probe, type ProbeFactory } from './probe.js'
import { connectionQuestion, type Question } from './question.js'
import { NO_SESSIONS, type Sessions } from './sessions.js'

export interface Health {
  /** There is a primary that takes statements. */
  readonly writable: boolean
  /** A read would be served now. */
  readonly readable: boolean
  /** Replicas within the bound that holds now. */
  readonly replicas: number
  /** Statements that wait for a node now, and that have ever waited for one. */
  readonly waiting: number
  readonly waited: number
}

export type HerdListener = (after: Topology, before: Topology, found: readonly Change[]) => void

export interface HerdParts {
  readonly clock: Clock
  readonly probes?: ProbeFactory
  readonly sources?: readonly Discovery[]
  readonly ask?: Question
  /** Told when the catalogue cannot be read, and why. */
  readonly unreadable?: (message: string) => void
  /** Told when a bounded read goes to a standby although nothing proves its bound, as no primary was ever seen. */
  readonly unproven?: () => void
  /** Told everything that may change belief, before it does. */
  readonly onEvent?: (event: TopologyEvent) => void
  /** Begins what outlives the statement that asked for it, detached from the asynchronous context of that statement. */
  readonly detached?: (begin: () => void) => void
  /** Told of functions of the application that fail to decide, once for each. */
  readonly complain?: Complain
  /** The face has work on its connections that no run() covers: a caller holds a client. */
  readonly busy?: () => boolean
  /** The face's own sessions with a node. */
  readonly sessions?: (key: NodeKey) => Sessions
}

export function rulesOf({ seeds, silentMillis, strictAsyncCommit, zone }: Config): Rules {
  return { hosts: seeds.length, silentMillis, strictAsyncCommit, zone }
}

export function probesOf(config: Config, parts: HerdParts): (address: NodeAddress, interrupted: () => void) => Probe {
  const probes = parts.probes ?? connectionProbe(parts.clock, config.requireAuth)
  return (address, interrupted) =>
    probes(
      probeConfigFor(config, address),
      address.origin,
      interrupted,
      parts.sessions?.(keyOf(address)) ?? NO_SESSIONS
    )
}

export function questionOf(config: Config, { clock, ask }: HerdParts): Question {
  return ask ?? connectionQuestion(clock, (address) => probeConfigFor(config, address), config.requireAuth)
}
