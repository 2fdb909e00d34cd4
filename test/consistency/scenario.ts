// What a scenario is: a cluster, a pool, a workload, what is done to the servers meanwhile, and how much of the reading
// replicas must have done for the run to prove anything.

import type { Pool, PoolConfig } from '../../src/index.js'
import type { Cluster, ClusterOptions, Role } from '../support/cluster.js'
import type { Relay } from '../support/relay.js'
import type { MachineClock } from './clock.js'
import type { Plan, Workload } from './workload.js'

export const INTERVALS = [100, 300, 1000] as const
export type Interval = (typeof INTERVALS)[number]
export const COMMITS = ['on', 'off'] as const

export interface Combination {
  /** monitorIntervalMillis */
  readonly interval: Interval
  /** synchronous_commit of all servers. */
  readonly commit: (typeof COMMITS)[number]
  /** Every phase that only goes on lasts at least so long. */
  readonly seconds: number
}

/** Three samples fit into it: the herd probes more often under a tighter bound. */
export const BOUND_MILLIS: Readonly<Record<Interval, number>> = { 100: 400, 300: 1000, 1000: 3000 }

/** What there is before the pool. */
export interface Stage {
  readonly cluster: Cluster
  readonly combination: Combination
  readonly boundMillis: number
  /** Before that node, if the scenario names it in `relayed`. */
  relay(node: number): Relay
}

export interface Arena extends Stage {
  readonly pool: Pool
  readonly load: Workload
  readonly clock: MachineClock
  /** What follows counts for this phase. */
  phase(name: string): void
  /** Resolves when so many more reads were answered, and the combination's seconds are over. */
  reads(count: number): Promise<void>
  /** Resolves when reads were called later than so many bounds from now, and answered. */
  outlast(bounds: number): Promise<void>
  /** Resolves when so many bounds are over, whether there were reads or not. */
  lapse(bounds: number): Promise<void>
  /** Resolves when it holds; reads go on meanwhile. */
  until(what: string, holds: () => boolean | Promise<boolean>): Promise<void>
}

export interface Scenario {
  readonly name: string
  /** Scenarios of equal settings use one cluster, one after another. */
  readonly cluster?: ClusterOptions
  /** Afterwards the cluster is of no use to anybody. */
  readonly spoils?: boolean
  /** Nodes that the pool reaches through a relay. */
  readonly relayed?: readonly number[]
  /** The nodes that the pool names; all unless told. */
  readonly named?: readonly number[]
  readonly role?: Role
  readonly options?: (boundMillis: number) => PoolConfig
  readonly plan?: Partial<Plan>
  /** What of the reads of a phase replicas must have served, from 0 to 1, for commits that wait for the disk. */
  readonly least?: Readonly<Record<string, number>>
  /** In short runs; synchronous commits at the shortest interval unless told. */
  readonly short?: Partial<Combination>
  /** Why short runs do without it. */
  readonly longOnly?: string
  /** Why this combination makes no sense; null: it does. */
  readonly leaveOut?: (combination: Combination) => string | null
  /** What this product must have for it and has not; null: it is all there. */
  readonly needs?: (Pool: { readonly prototype: object }) => string | null
  /** Before the pool looks at the servers for the first time. */
  readonly before?: (stage: Stage) => Promise<void>
  readonly steps: (arena: Arena) => Promise<void>
  /** Whatever happened. */
  readonly after?: (stage: Stage) => Promise<void>
}

/** The pool's probes, by how they introduce themselves. */
export const isProbe = ({ greeting }: { readonly greeting: string }): boolean => greeting.includes('pgherd probe')
