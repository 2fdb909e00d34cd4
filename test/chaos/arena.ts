// One primary, two replicas, a network in front of them, and two pools at work: `far` behind the network, whose reads must
// see its own writes, and `near` without it, whose reads only keep the bound. A fourth server, the spare, is named to no pool and
// does not run: some faults need one.
// Knows who is the primary, promotes as an HA tool would, and brings everything back to one primary with two replicas.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type BalancePolicy, Pool, type PoolConfig } from '../../src/index.js'
import { moment } from '../consistency/account.js'
import { type Cluster, type ClusterNode, startCluster } from '../support/cluster.js'
import { until } from '../support/cluster-wait.js'
import { type Random, seeded } from '../support/grammar.js'
import { Network } from './network.js'
import { REMOTE, type Writers } from './statements.js'
import { type Numbers, SCHEMA, Workload } from './workload.js'

/** Whom the pools log in as: `monitor` is in pg_monitor, `plain` sees what every role sees. */
export const ROLES = ['monitor', 'plain'] as const
export type PoolRole = (typeof ROLES)[number]

export interface ArenaOptions {
  readonly seed: number
  /** By the seed unless told: even ones are for `monitor`. */
  readonly role?: PoolRole
  readonly tls?: boolean
  /** Forms of statements; `every` unless told. */
  readonly writers?: Writers
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
const TWO_LOOKS_MILLIS = 500
const BY_ITSELF_MILLIS = 3000
const NODES = [0, 1, 2] as const
const SPARE = 3
/** Statements that write a few megabytes on a fork, so that it is ahead of the primary for as long as a fault lasts. */
const FORK = `
  set synchronous_commit = local;
  insert into ledger select -1, -g from generate_series(1, 500) g;
  create table ballast as select repeat('x', 1000) as x from generate_series(1, 8000)`

const OPTIONS: PoolConfig = {
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

interface Window {
  readonly port: number
  readonly from: number
  readonly to: number
}

/** null, false: they do what they should. */
export interface Mischief {
  balance: (() => unknown) | null
  password: (() => Promise<string>) | null
  listener: boolean
}

export const roleFor = (seed: number): PoolRole => ROLES[seed % ROLES.length] ?? 'monitor'

export class Arena {
  readonly cluster: Cluster
  readonly network: Network
  readonly random: Random
  readonly far: Workload
  readonly near: Workload
  readonly role: PoolRole
  /** What the application's own functions do wrong. */
  readonly mischief: Mischief = { balance: null, password: null, listener: false }
  /** What faults found wrong themselves, and errors that no statement was told, which would have ended the process. */
  readonly found: string[] = []
  /** Reads of these servers called then, which no evidence can refute yet. */
  readonly unprovable: Window[] = []
  /** Rows that a server has acknowledged and then lost with its data. */
  readonly erased = new Set<number>()
  /** The number of the node that is the primary, as whoever runs the cluster has it. */
  primary = 0
  /** One more pool, of the product that is tested; ended by who asked for it. */
  readonly another: (config: PoolConfig) => Pool
  readonly #patienceMillis: number
  readonly #escape = (error: unknown) => this.found.push(`escaped: ${String(error)}`)

  private constructor(cluster: Cluster, network: Network, options: ArenaOptions) {
    this.cluster = cluster
    this.network = network
    this.random = seeded(options.seed)
    this.role = options.role ?? roleFor(options.seed)
    const numbers: Numbers = { lanes: 0, ids: 0 }
    const PoolClass = options.Pool ?? Pool
    this.another = (config) => new PoolClass({ ...OPTIONS, ...config })
    const { ssl } = cluster.config(0)
    const work = (name: string, scope: Workload['scope'], ports: readonly number[], lanes: number, readers: number) => {
      const host = ports.map(() => '127.0.0.1')
      const pool = new PoolClass({ ...OPTIONS, ...this.#login(), readYourWrites: scope, ssl, host, port: ports })
      pool.on('topology', () => this.#listen())
      const bounds = { maxLagMillis: MAX_LAG_MILLIS, maxStaleMillis: MAX_STALE_MILLIS }
      const { writers = 'every', paceMillis = 4 } = options
      // A transaction of the other pool may hang in the network.
      const waits = name === 'far'
      const force = { name, scope, lanes, readers, ...bounds, paceMillis, writers, waits, major: cluster.major }
      return new Workload(pool, force, numbers, seeded(options.seed + lanes))
    }
    this.#patienceMillis = options.patienceMillis ?? PATIENCE_MILLIS
    this.far = work('far', 'pool', network.ports, 6, 3)
    const own = NODES.map((node) => cluster.node(node).port)
    this.near = work('near', 'off', own, 2, 2)
    process.on('unhandledRejection', this.#escape)
    process.on('uncaughtException', this.#escape)
  }

  /** Who the pools are, and the functions that an application gives them. */
  #login(): PoolConfig {
    const password = () => this.mischief.password?.() ?? this.role
    const balance: BalancePolicy = (candidates) => {
      const { balance: wrong } = this.mischief
      return wrong === null ? this.random.pick(candidates) : (wrong() as ReturnType<BalancePolicy>)
    }
    return { user: this.role, password, balance }
  }

  #listen(): void {
    if (this.mischief.listener) throw new Error('the listener fails')
  }

  static async start(options: ArenaOptions): Promise<Arena> {
    const cluster = await startCluster({
      replicas: SPARE,
      synchronous: 'ANY 1 (*)',
      settings: SETTINGS,
      tls: options.tls ?? false,
    })
    let network: Network | undefined
    let arena: Arena | undefined
    try {
      network = await Network.start(NODES.map((node) => cluster.node(node)))
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
    await this.cluster.stop(SPARE, 'fast')
    for (const node of NODES) await this.admit(node, `host all ${REMOTE.role} all scram-sha-256`)
    await this.asOwner(this.primary, [
      `create role plain login password 'plain' in role app`,
      SCHEMA,
      `create role ${REMOTE.role} login password '${REMOTE.password}' in role app`,
      'grant all on all tables in schema public to app',
      'grant all on all sequences in schema public to app',
      'grant create on schema public to app',
      'alter table twins owner to app',
    ])
    const remote = await this.#dblink()
    for (const workload of this.workloads) workload.remote = remote
    for (const index of this.replicas) await this.cluster.caughtUp(index, 0)
    for (const { pool } of this.workloads) await pool.ready({ replicas: 2 })
    for (const workload of this.workloads) workload.start()
    await this.progress(3)
  }

  async #dblink(): Promise<boolean> {
    try {
      await this.asOwner(this.primary, ['create extension dblink'])
      return true
    } catch (error) {
      console.log(`      (no statement acts on another server: ${String(error)})`)
      return false
    }
  }

  /** Statements of a superuser, each by itself. */
  async asOwner(node: number, texts: readonly string[]): Promise<void> {
    const client = await this.cluster.connect(node, 'postgres')
    try {
      for (const text of texts) await client.query(text)
    } finally {
      await client.end()
    }
  }

  /** These lines come first in pg_hba.conf until dismiss(). */
  async admit(node: number, ...lines: readonly string[]): Promise<void> {
    const file = join(this.cluster.node(node).directory, 'pg_hba.conf')
    writeFileSync(file, [...lines, readFileSync(file, 'utf8')].join('\n'))
    await this.cluster.reload(node)
  }

  async dismiss(node: number, ...lines: readonly string[]): Promise<void> {
    const file = join(this.cluster.node(node).directory, 'pg_hba.conf')
    const kept = readFileSync(file, 'utf8').split('\n')
    writeFileSync(file, kept.filter((line) => !lines.includes(line)).join('\n'))
    await this.cluster.reload(node)
  }

  get workloads(): readonly [Workload, Workload] {
    return [this.far, this.near]
  }

  get replicas(): readonly number[] {
    return NODES.filter((node) => node !== this.primary)
  }

  /** The servers that the pools name. */
  get nodes(): readonly ClusterNode[] {
    return NODES.map((node) => this.cluster.node(node))
  }

  /** The server that no pool names, following another one. */
  async spare(upstream: number): Promise<number> {
    await this.cluster.reclone(SPARE, upstream)
    return SPARE
  }

  /** Rows that the primary never gets, on a server that is none. Then it is ahead of the primary. */
  fork(node: number): Promise<void> {
    return this.asOwner(node, FORK.split(';'))
  }

  /** While `work` gives a replica another history, and for as long as the pools need to look at all servers twice. */
  async unseen(node: number, work: () => Promise<unknown>): Promise<void> {
    const from = moment()
    await work()
    await pause(TWO_LOOKS_MILLIS)
    this.unprovable.push({ port: this.cluster.node(node).port, from, to: moment() })
  }

  /** Commits wait for no replica, or again for one. */
  async synchronous(wanted: boolean, nodes: readonly number[] = [this.primary]): Promise<void> {
    const text = wanted ? 'reset synchronous_standby_names' : "set synchronous_standby_names = ''"
    for (const node of nodes) {
      await this.asOwner(node, [`alter system ${text}`])
      await this.cluster.reload(node)
    }
  }

  /** The ids that a server has. */
  async idsOn(node: number): Promise<ReadonlySet<number>> {
    const client = await this.cluster.connect(node, 'postgres')
    const { rows } = await client.query<{ id: number }>('select id from ledger')
    await client.end()
    return new Set(rows.map(({ id }) => id))
  }

  /** The primary has come back with these rows, and without all others that were acknowledged before `at`. */
  cameBackWith(ids: ReadonlySet<number>, at: number): void {
    for (const workload of this.workloads) {
      const known = workload.entries.filter(({ endedAt }) => endedAt <= at)
      const told = known.flatMap(({ fate, ids, kept = [] }) =>
        fate === 'acknowledged' || fate === 'committed' ? ids : kept
      )
      // Also of a statement that goes on: rows that it was told are committed.
      const kept = workload.writes.filter(({ ackedAt }) => ackedAt <= at).map(({ value }) => value)
      for (const id of [...told, ...kept]) if (!ids.has(id)) this.erased.add(id)
      workload.lose(this.erased, at)
    }
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

  /** The same, and until a replica that has stood still meanwhile is beyond the lag bound. */
  async outlast(times: number): Promise<void> {
    await Promise.all([this.progress(times), pause(1.5 * MAX_LAG_MILLIS)])
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
    Object.assign(this.mischief, { balance: null, password: null, listener: false })
    await this.#retire()
    for (const { index, running } of this.nodes) if (running) await this.cluster.thaw(index)
    if (!this.cluster.node(this.primary).running) await this.cluster.start(this.primary)
    await Promise.all(this.replicas.map((node) => this.#rejoin(node)))
    await this.cluster.streaming(this.primary, 2)
    const from = performance.now()
    await this.until('the pools to see one primary and two replicas', async () => {
      if (this.workloads.every((each) => this.#sees(each))) return true
      // Behind a network a replica cannot be known by its sender's address either: what is left is its next restartpoint.
      if (this.role === 'plain' || performance.now() > from + BY_ITSELF_MILLIS) await this.#checkpoint()
      return false
    })
    await this.progress(2)
  }

  /** What every role sees of a replica: which checkpoint its last restartpoint was at. */
  async #checkpoint(): Promise<void> {
    await this.asOwner(this.primary, ['checkpoint'])
    for (const node of this.replicas) {
      await this.cluster.caughtUp(node, this.primary)
      await this.asOwner(node, ['checkpoint'])
    }
  }

  async #retire(): Promise<void> {
    if (this.cluster.node(SPARE).running) await this.cluster.kill(SPARE)
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

  /** How often each id is there, as the surviving primary has it; also those that only name an index. */
  async rows(): Promise<Map<number, number>> {
    const client = await this.cluster.connect(this.primary, 'postgres')
    const indexes = `select substr(relname, 7)::int as id from pg_class where relname ~ '^twins_[0-9]+$'`
    const { rows } = await client.query<{ id: number; n: number }>(
      `select id, count(*)::int as n from (select id from ledger union all ${indexes}) as all_of_them group by id`
    )
    await client.end()
    return new Map(rows.map(({ id, n }) => [id, n]))
  }

  /** Indexes that a REINDEX CONCURRENTLY has left behind. */
  async leftovers(): Promise<number> {
    const client = await this.cluster.connect(this.primary, 'postgres')
    const text = `select count(*)::int as n from pg_class where relkind = 'i' and relname ~ '_cc(new|old)[0-9]*$'`
    const { rows } = await client.query<{ n: number }>(text)
    await client.end()
    return rows[0]?.n ?? 0
  }

  /** How often statements have run that say so in the log of their server. */
  runs(): Map<number, number> {
    const counts = new Map<number, number>()
    for (const { index } of this.nodes) {
      for (const [, id] of this.cluster.log(index).matchAll(/LOG: {2}run (\d+)$/gm)) {
        counts.set(Number(id), (counts.get(Number(id)) ?? 0) + 1)
      }
    }
    return counts
  }

  async stop(): Promise<void> {
    await Promise.all(this.workloads.map((workload) => workload.stop()))
  }

  /** Nothing is left, also after a failure: servers go first, so that nobody waits for one. */
  async close(): Promise<void> {
    const ended = this.workloads.map(({ pool }) => pool.end().catch(() => undefined))
    await Promise.all([this.cluster.destroy(), this.network.close(), this.stop(), ...ended])
    process.off('unhandledRejection', this.#escape)
    process.off('uncaughtException', this.#escape)
  }
}
