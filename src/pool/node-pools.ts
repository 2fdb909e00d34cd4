// All inner pools of one outer pool: one per node and generation, and those on their way out. Obeys what the picture says of
// generations and removed nodes; chooses nothing.

import type { Client } from 'pg'
import type { NodeKey } from '../core/cluster/address.js'
import type { Change } from '../core/cluster/changes.js'
import { type Failure, isParting } from '../core/cluster/failure.js'
import type { Node } from '../core/cluster/node.js'
import type { Topology } from '../core/cluster/topology.js'
import type { Sessions } from '../herd/herd.js'
import { clientsOf, idleClients, isIdleIn } from '../pg/inner.js'
import { isResting } from '../pg/turn.js'
import { receivedOn, sessionOf } from '../pg/watch.js'
import type { Connections } from '../telemetry/meters.js'
import { NodePool } from './node-pool.js'
import type { Parts } from './parts.js'
import { dropped } from './refusals.js'

type Count = 'totalCount' | 'idleCount' | 'waitingCount' | 'expiredCount'

/** Since a server has last said that it takes no sessions: so long those that it has are waited for. */
const PARTING_MILLIS = 1000

export class NodePools {
  readonly #parts: Parts
  readonly #pools = new Map<NodeKey, NodePool>()
  /** Their last clients have not come back yet. */
  readonly #leaving = new Set<NodePool>()
  /** Of those, the ones whose servers are yet to answer what they are at work on. */
  readonly #parting = new Set<NodePool>()
  /** The pool ends: what those are told that wait for clients which never may come back. */
  #finishing: Error | null = null
  /** Probes that wait for an idle session. */
  readonly #waiting = new Map<() => void, NodeKey>()
  #topology: Topology | null = null

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /** The pool of this node as it was when it was chosen. */
  of(node: Node, topology: Topology): NodePool {
    const current = this.#pools.get(node.key)
    if (current?.generation === node.generation) return current
    // The node went through a failure between the choice and this call.
    if (topology.nodes.get(node.key)?.generation !== node.generation) throw dropped(node.key)
    const pool = new NodePool(node, this.#parts)
    this.#pools.set(node.key, pool)
    if (this.#finishing !== null) pool.finish(this.#finishing)
    return pool
  }

  follow(topology: Topology, found: readonly Change[]): void {
    this.#topology = topology
    for (const change of found) this.#obey(change)
  }

  #obey(change: Change): void {
    switch (change.kind) {
      case 'epoch':
        // Another primary takes writes from now on: a write that was not acknowledged must not happen any more.
        for (const pool of [...this.#parting]) pool.condemn()
        break
      case 'state':
        // It serves as something else, so what it had was of another life, or it is a replica and must not be written to.
        if (change.to === 'down' || change.to === 'primary') break
        for (const pool of [...this.#parting]) if (pool.key === change.key) pool.condemn()
        break
      case 'generation':
      case 'removed':
      case 'drained':
        this.#leave(change.key, change.kind)
        break
      default:
    }
  }

  #leave(key: NodeKey, kind: 'generation' | 'removed' | 'drained'): void {
    // A node that was left alone may fail before its last clients have come back.
    if (kind === 'generation') for (const pool of this.#leaving) if (pool.key === key) this.#giveUp(pool)
    const pool = this.#pools.get(key)
    if (pool === undefined) return
    this.#pools.delete(key)
    this.#leaving.add(pool)
    if (kind === 'generation') this.#giveUp(pool)
    void pool.leave().then(() => this.#leaving.delete(pool))
  }

  #giveUp(pool: NodePool): void {
    const failure = this.#failureOf(pool.key)
    if (failure === null || !isParting(failure)) pool.condemn()
    else if (!this.#parting.has(pool)) this.#part(pool, failure)
  }

  /** As long as it goes on saying that it is there, it may still answer. */
  #part(pool: NodePool, heard: Failure): void {
    let last = heard
    const look = () => {
      const newest = this.#failureOf(pool.key)
      if (newest === null || newest === last || !isParting(newest)) return pool.condemn()
      last = newest
      alarm = this.#parts.clock.alarm(PARTING_MILLIS, look)
    }
    let alarm = this.#parts.clock.alarm(PARTING_MILLIS, look)
    this.#parting.add(pool)
    pool.part()
    void pool.leave().then(() => {
      alarm.cancel()
      this.#parting.delete(pool)
    })
  }

  #failureOf(key: NodeKey): Failure | null {
    const state = this.#topology?.nodes.get(key)?.state
    return state?.kind === 'down' ? state.failure : null
  }

  /** Resolves when no connection to this node is left, of any generation. */
  async left(key: NodeKey): Promise<void> {
    await Promise.all([...this.#leaving].filter((pool) => pool.key === key).map((pool) => pool.leave()))
  }

  /** Clients of this node that are out. */
  busy(key: NodeKey): number {
    let busy = 0
    for (const pool of this.#leaving) if (pool.key === key) busy += pool.inner.totalCount
    return busy
  }

  /** The pool ends: statements that wait for other statements go on, and those that wait for held clients are told `reason`. */
  finish(reason: Error): void {
    this.#finishing = reason
    for (const pool of [...this.#pools.values(), ...this.#leaving]) pool.finish(reason)
  }

  /** Tells `reason` to every waiter for a client, and resolves when every client has come back. */
  async end(reason: Error): Promise<void> {
    await Promise.all([...this.#pools.values(), ...this.#leaving].map((pool) => pool.end(reason)))
  }

  /** Asks the server of this client to cancel what it is doing. */
  async cancel(client: Client): Promise<void> {
    for (const pool of [...this.#pools.values(), ...this.#leaving]) {
      if (clientsOf(pool.inner).includes(client)) await pool.cancel(client)
    }
  }

  /** All clients, those of the primary last. */
  clients(primary: NodeKey | null): readonly Client[] {
    const pools = [...this.#pools.values()].sort((a, b) => Number(a.key === primary) - Number(b.key === primary))
    return pools.flatMap(({ inner }) => clientsOf(inner))
  }

  /** The sessions of one node for its probe, those on their way out too: a server that answers them is there. */
  sessionsOf(key: NodeKey): Sessions {
    const all = () => [this.#pools.get(key), ...[...this.#leaving].filter((pool) => pool.key === key)]
    const clients = () => all().flatMap((pool) => (pool === undefined ? [] : clientsOf(pool.inner)))
    return {
      get count() {
        // Without wires (the native client) none can be asked.
        return clients().filter((client) => sessionOf(client)?.isWatched).length
      },
      received: () => {
        const found = new Map<Client, number>()
        for (const client of clients()) {
          const bytes = receivedOn(client)
          if (bytes !== null) found.set(client, bytes)
        }
        return found
      },
      idle: () => {
        this.#pools.get(key)?.yieldLanes()
        const inner = this.#pools.get(key)?.inner
        const idle = inner === undefined ? [] : idleClients(inner)
        return idle.filter((client) => receivedOn(client) !== null && isResting(client))
      },
      isUnused: (client) => {
        const inner = this.#pools.get(key)?.inner
        return inner !== undefined && isIdleIn(inner, client)
      },
      freed: (millis) =>
        new Promise((resolve) => {
          const over = () => {
            alarm.cancel()
            this.#waiting.delete(over)
            resolve()
          }
          const alarm = this.#parts.clock.alarm(millis, over)
          this.#waiting.set(over, key)
        }),
    }
  }

  /** A connection of this node may have become idle. pg-pool says so before it is. */
  freed(key: NodeKey): void {
    if (this.#waiting.size === 0) return
    process.nextTick(() => {
      for (const [tell, of] of [...this.#waiting]) if (of === key) tell()
    })
  }

  /** The pool of the primary; before there is one, that of whichever node serves. */
  primary(key: NodeKey | null): NodePool | undefined {
    if (key !== null) return this.#pools.get(key)
    const [first] = this.#pools.values()
    return first
  }

  /** The pool has one connection, and its session has state that a statement of query() has left there. */
  sharesSession(primary: NodeKey | null): boolean {
    const inner = this.primary(primary)?.inner
    if (inner?.options.max !== 1) return false
    const [client] = clientsOf(inner)
    const session = client === undefined ? undefined : sessionOf(client)
    if (session === undefined || session.use === 'held') return false
    return session.remains.isShared || session.exchange.status !== 'I'
  }

  sum(name: Count): number {
    let sum = 0
    for (const pools of [this.#pools.values(), this.#leaving]) {
      for (const pool of pools) sum += name === 'idleCount' ? pool.idleCount : pool.inner[name]
    }
    return sum
  }

  /** What there is of connections to each node. */
  *connections(): Iterable<Connections> {
    for (const pool of [...this.#pools.values(), ...this.#leaving]) {
      const { idleCount } = pool
      const { totalCount, waitingCount } = pool.inner
      const leaving = this.#leaving.has(pool)
      yield { address: pool.address, used: totalCount - idleCount, idle: idleCount, pending: waitingCount, leaving }
    }
  }

  /** A caller holds a client, perhaps for hours: its server must be watched as long. */
  get held(): boolean {
    const all = [...this.#pools.values(), ...this.#leaving]
    return all.some(({ inner, idleCount }) => inner.totalCount > idleCount)
  }
}
