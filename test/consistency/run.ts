// Runs one scenario in one combination: cluster, relays, pool and workload, the scenario's steps, and the verdict.

import type { Pool, PoolConfig } from '../../src/index.js'
import type { Cluster } from '../support/cluster.js'
import { until } from '../support/cluster-wait.js'
import { Relay } from '../support/relay.js'
import { Account, moment } from './account.js'
import { MachineClock } from './clock.js'
import { judge, type Verdict } from './judge.js'
import type { Product } from './product.js'
import { type Arena, BOUND_MILLIS, type Combination, type Scenario, type Stage } from './scenario.js'
import { furnish, type Stable } from './stable.js'
import { type Rhythm, USUAL, Workload } from './workload.js'

export interface Outcome {
  readonly verdict: Verdict
  readonly boundMillis: number
  /** Why the run proves nothing, or less than it should. */
  readonly shortfalls: readonly string[]
  readonly errors: ReadonlyMap<string, number>
}

/** Under `off` the pool writes a fifth of the time: on a busy machine its writes take as long as this. */
const PATIENCE_MILLIS = 30_000
/** An asynchronous commit is on no replica for up to three periods of the WAL writer, of 200 ms each. */
const RHYTHM: Readonly<Record<Combination['commit'], Rhythm>> = {
  on: { periodMillis: 160, burstMillis: 80 },
  off: { periodMillis: 1600, burstMillis: 300 },
}

/** Why the scenario does not run in this combination, or with this product; null: it does. */
export function omission(scenario: Scenario, combination: Combination, product: Product): string | null {
  const Pool = product.Pool(product.systemClock) as unknown as { readonly prototype: object }
  return scenario.leaveOut?.(combination) ?? scenario.needs?.(Pool) ?? null
}

export async function run(
  scenario: Scenario,
  combination: Combination,
  product: Product,
  stable: Stable
): Promise<Outcome> {
  const plan = { ...USUAL, ...scenario.plan }
  const boundMillis = BOUND_MILLIS[combination.interval]
  const cluster = await stable.lead(scenario.cluster ?? {})
  const relays = new Map<number, Relay>()
  const stage: Stage = { cluster, combination, boundMillis, relay: (node) => relayOf(relays, node) }
  const clock = new MachineClock(product.systemClock)
  let pool: Pool | null = null
  let load: Workload | null = null
  try {
    await furnish(cluster, Workload.counters(plan), combination)
    for (const node of scenario.relayed ?? []) relays.set(node, await Relay.start(cluster.node(node)))
    await scenario.before?.(stage)
    const options = { ...optionsOf(combination), ...scenario.options?.(boundMillis) }
    pool = new (product.Pool(clock))({ ...addresses(cluster, relays, scenario), ...options })
    pool.on('error', () => {})
    await pool.ready({ replicas: 1 })
    const account = new Account(options.readYourWrites ?? 'pool')
    load = new Workload(cluster, pool, { plan, boundMillis, rhythm: RHYTHM[combination.commit], account })
    load.start()
    await scenario.steps(arenaOf(stage, pool, load, clock))
  } finally {
    for (const relay of relays.values()) relay.lift()
    await scenario.after?.(stage)
    await load?.stop()
    await pool?.end()
    await Promise.all([...relays.values()].map((relay) => relay.close()))
    if (scenario.spoils) await stable.clear()
  }
  const verdict = judge(load.account)
  return { verdict, boundMillis, shortfalls: shortfallsOf(scenario, combination, verdict), errors: load.account.errors }
}

function relayOf(relays: ReadonlyMap<number, Relay>, node: number): Relay {
  const relay = relays.get(node)
  if (relay === undefined) throw new Error(`the scenario does not name ${node} in 'relayed'`)
  return relay
}

function optionsOf({ interval }: Combination): PoolConfig {
  return {
    monitorIntervalMillis: interval,
    maxLagMillis: BOUND_MILLIS[interval],
    maxStaleMillis: 0,
    replicaSafeFunctions: ['current_setting'],
    discovery: 'dns',
    failoverTimeoutMillis: 10_000,
  }
}

function addresses(
  cluster: Cluster,
  relays: ReadonlyMap<number, Relay>,
  { role = 'app', named }: Scenario
): PoolConfig {
  const { user, password, database } = cluster.config(0, role)
  const nodes = named?.map((node) => cluster.node(node)) ?? cluster.nodes
  const places = nodes.map((node) => relays.get(node.index) ?? node)
  return { user, password, database, host: places.map(({ host }) => host), port: places.map(({ port }) => port) }
}

function arenaOf(stage: Stage, pool: Pool, load: Workload, clock: MachineClock): Arena {
  const { account } = load
  const { seconds } = stage.combination
  const wait = (what: string, holds: () => boolean | Promise<boolean>) =>
    until(what, holds, {
      millis: PATIENCE_MILLIS + 1000 * seconds,
      evidence: () => JSON.stringify([...account.errors]),
    })
  return {
    ...stage,
    pool,
    load,
    clock,
    phase: (name) => {
      load.phase = name
    },
    reads: async (count) => {
      const [goal, end] = [account.reads.length + count, moment() + 1000 * seconds]
      await wait(`${count} reads`, () => account.reads.length >= goal && moment() >= end)
    },
    outlast: async (bounds) => {
      const end = moment() + bounds * stage.boundMillis
      const isLater = () => (account.reads.at(-1)?.calledAt ?? 0) > end
      await wait(`reads after ${bounds} bounds`, isLater)
    },
    lapse: async (bounds) => {
      const end = moment() + bounds * stage.boundMillis
      await wait(`${bounds} bounds to pass`, () => moment() > end)
    },
    until: async (what, holds) => {
      await wait(what, holds)
    },
  }
}

function shortfallsOf(scenario: Scenario, { commit, interval }: Combination, verdict: Verdict): string[] {
  const found: string[] = []
  if (verdict.reads === 0) found.push('nothing was read')
  for (const [name, least] of Object.entries(scenario.least ?? { healthy: 0.5, busy: 0 })) {
    const phase = verdict.phases.get(name)
    const share = phase === undefined ? 0 : phase.onReplicas / phase.reads
    // Asynchronous commits reach a replica some periods of the WAL writer later, and until then no read may go there. And
    // on a primary where nothing happens a bound below three of them may find no position that ever reaches a replica.
    const isHard = commit === 'off' || (name === 'idle' && interval === 100)
    const wanted = isHard ? least / 10 : least
    if (share < wanted || phase === undefined || phase.onReplicas === 0) {
      found.push(`replicas served ${(100 * share).toFixed(1)} % of '${name}', not ${100 * wanted} %`)
    }
  }
  return found
}
