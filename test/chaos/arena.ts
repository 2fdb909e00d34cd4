// One primary, two replicas, a network in front of them, and two pools at work: `far` behind the network, whose reads must
// see its own writes, and `near` without it, whose reads only keep the bound.
// Knows who is the primary, promotes as an HA tool would, and brings everything back to one primary with two replicas.

import { setTimeout as pause } from 'node:timers/promises'
import { Pool, type PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { until } from '../support/cluster-wait.js'
import { type Random, seeded } from '../support/grammar.js'
import { Network } from './network.js'
import { type Numbers, SCHEMA, Workload } from './workload.js'

export interface ArenaOptions {
  readonly seed: number
  readonly tls?: boolean
  /** Another build of the product; its own unless told. */
  readonly Pool?: typeof Pool
  readonly paceMillis?: number
  /** How long everybody may take to go on after a fault. */
  readonly patienceMillis?: number
}

export const MAX_LAG_MILLIS = 500
export const FAILOVER_TIMEOUT_MILLIS = 2500
const MAX_STALE_MILLIS = 20_000
const PATIENCE_MILLIS = 20_000
const NODES = [0, 1, 2] as const

const OPTIONS: PoolConfig = {
  user: 'monitor',
  password: 'monitor',
  database: 'app',
  max: 6,
  maxLagMillis: MAX_LAG_MILLIS,
  maxStaleMillis: MAX_STALE_MILLIS,
  silentMillis: 600,
  monitorIntervalMillis: 100,
  failoverTimeoutMillis: FAILOVER_TIMEOUT_MILLIS,
  replicaSafeFunctions: ['inet_server_port', 'pg_sleep'],
}

const SETTINGS = { max_standby_streaming_delay: '100ms', autovacuum: false }

export class Arena {
  readonly cluster: Cluster
  readonly network: Network
  readonly random: Random
  readonly far: Workload
  readonly near: Workload
  /** The number of the node that is the primary, as whoever runs the cluster has it. */
  primary = 0
  readonly #patienceMillis: number

  private constructor(cluster: Cluster, network: Network, options: ArenaOptions) {
    this.cluster = cluster
    this.network = network
    this.random = seeded(options.seed)
    const numbers: Numbers = { lanes: 0, ids: 0 }
    const PoolClass = options.Pool ?? Pool
    const { ssl } = cluster.config(0)
    const work = (name: string, scope: Workload['scope'], ports: readonly number[], lanes: number, readers: number) => {
      const host = ports.map(() => '127.0.0.1')
      const pool = new PoolClass({ ...OPTIONS, readYourWrites: scope, ssl, host, port: ports })
      const bounds = { maxLagMillis: MAX_LAG_MILLIS, maxStaleMillis: MAX_STALE_MILLIS }
      const force = { name, scope, lanes, readers, ...bounds, paceMillis: options.paceMillis ?? 4 }
      return new Workload(pool, force, numbers, seeded(options.seed + lanes))
    }
    this.#patienceMillis = options.patienceMillis ?? PATIENCE_MILLIS
    this.far = work('far', 'pool', network.ports, 6, 3)
    const own = NODES.map((node) => cluster.node(node).port)
    this.near = work('near', 'off', own, 2, 2)
  }

  static async start(options: ArenaOptions): Promise<Arena> {
    const cluster = await startCluster({
      replicas: 2,
      synchronous: 'ANY 1 (*)',
      settings: SETTINGS,
      tls: options.tls ?? false,
    })
    let network: Network | undefined
    let arena: Arena | undefined
    try {
      network = await Network.start(cluster.nodes)
      arena = new Arena(cluster, network, options)
      await arena.#begin()
      return arena
    } catch (error) {
      if (arena !== undefined) await arena.close()
      else await Promise.all([network?.close(), cluster.destroy()])
      throw error
    }
  }

  async #begin(): Promise<void> {
    const owner = await this.cluster.connect(0, 'postgres')
    await owner.query(SCHEMA)
    await owner.query('grant all on all tables in schema public to monitor')
    await owner.end()
    for (const index of this.replicas) await this.cluster.caughtUp(index, 0)
    for (const { pool } of this.workloads) await pool.ready({ replicas: 2 })
    for (const workload of this.workloads) workload.start()
    await this.progress(3)
  }

  get workloads(): readonly [Workload, Workload] {
    return [this.far, this.near]
  }

  get replicas(): readonly number[] {
    return NODES.filter((node) => node !== this.primary)
  }

  /** One of the replicas. */
  aReplica(): number {
    return this.random.pick(this.replicas)
  }

  /** How a pool names a node. */
  keyOf(workload: Workload, node: number): string {
    const port = workload === this.far ? this.network.ports[node] : this.cluster.node(node).port
    return `127.0.0.1:${port}`
  }

  stateOf(workload: Workload, node: number): string | undefined {
    return workload.pool.topology().nodes.find(({ key }) => key === this.keyOf(workload, node))?.state
  }

  async until(what: string, look: () => boolean | Promise<boolean>): Promise<void> {
    await until(what, look, { millis: this.#patienceMillis, evidence: () => this.#evidence() })
  }

  /** Every lane and the readers of these succeed so often again. */
  async progress(times: number, workloads: readonly Workload[] = this.workloads): Promise<void> {
    const before = workloads.map(({ progress }) => progress)
    const moved = (workload: Workload, i: number) => workload.hasProgressed(before[i] ?? new Map(), times)
    await this.until('everybody to go on', () => workloads.every(moved))
  }

  /** The load goes on for a moment chosen by chance: faults must not always meet the same phase. */
  async aMoment(): Promise<void> {
    await pause(this.random.below(60))
  }

  /** The primary is lost: the replica that has received more takes its place, and the other one follows it. */
  async promote(): Promise<void> {
    const candidates = this.replicas.filter((node) => this.cluster.node(node).running)
    const received = await Promise.all(candidates.map((node) => this.#received(node)))
    const best = received.reduce((top, lsn) => (lsn > top ? lsn : top), -1n)
    const heir = candidates[received.indexOf(best)]
    if (heir === undefined) throw new Error('nobody can be promoted')
    await this.cluster.promote(heir)
    this.primary = heir
    for (const node of candidates) if (node !== heir) await this.cluster.follow(node, heir)
  }

  async #received(node: number): Promise<bigint> {
    const client = await this.cluster.connect(node, 'postgres')
    const text = "select pg_wal_lsn_diff(coalesce(pg_last_wal_receive_lsn(), '0/0'), '0/0')::bigint as bytes"
    const { rows } = await client.query<{ bytes: string }>(text)
    await client.end()
    return BigInt(rows[0]?.bytes ?? 0)
  }

  /** Whatever was done: one primary, two replicas, and everybody knows and goes on. */
  async restore(): Promise<void> {
    await this.network.heal()
    for (const { index, running } of this.cluster.nodes) if (running) await this.cluster.thaw(index)
    if (!this.cluster.node(this.primary).running) await this.cluster.start(this.primary)
    await Promise.all(this.replicas.map((node) => this.#rejoin(node)))
    await this.cluster.streaming(this.primary, 2)
    await this.until('the pools to see one primary and two replicas', () =>
      this.workloads.every((each) => this.#sees(each))
    )
    await this.progress(2)
  }

  async #rejoin(node: number): Promise<void> {
    await this.cluster.follow(node, this.primary).catch(() => this.cluster.reclone(node, this.primary))
  }

  #sees(workload: Workload): boolean {
    const { primary, nodes } = workload.pool.topology()
    const fit = nodes.filter(({ state, lagMillis }) => state === 'replica' && (lagMillis ?? Infinity) < MAX_LAG_MILLIS)
    return primary === this.keyOf(workload, this.primary) && fit.length === 2
  }

  #evidence(): string {
    const pictures = this.workloads.map(({ name, pool, readErrors }) => {
      const { primary, nodes } = pool.topology()
      const told = nodes.map(({ key, state, lagMillis, suspect, failure, timeline }) =>
        JSON.stringify({ key, state, lagMillis, suspect, failure, timeline })
      )
      const errors = [...readErrors].map(([code, count]) => `${count} x ${code}`).join(', ')
      return `${name}: primary ${primary}, waiting ${pool.health().waiting}\n  ${told.join('\n  ')}\n  read errors: ${errors}`
    })
    return `n${this.primary} is the primary\n${pictures.join('\n')}`
  }

  /** How often each id is there, as the surviving primary has it. */
  async rows(): Promise<Map<number, number>> {
    const client = await this.cluster.connect(this.primary, 'postgres')
    const { rows } = await client.query<{ id: number; n: number }>(
      'select id, count(*)::int as n from ledger group by id'
    )
    await client.end()
    return new Map(rows.map(({ id, n }) => [id, n]))
  }

  async stop(): Promise<void> {
    await Promise.all(this.workloads.map((workload) => workload.stop()))
  }

  /** Nothing is left, also after a failure: servers go first, so that nobody waits for one. */
  async close(): Promise<void> {
    const ended = this.workloads.map(({ pool }) => pool.end().catch(() => undefined))
    await Promise.all([this.cluster.destroy(), this.network.close(), this.stop(), ...ended])
  }
}
