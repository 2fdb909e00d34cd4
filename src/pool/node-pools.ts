// All inner pools of one outer pool: one per node and generation, and those on their way out. Obeys what the picture says of
// generations and removed nodes; chooses nothing.

import type { Client } from 'pg'
import type { Node, NodeKey } from '../core/node.js'
import type { Change, Topology } from '../core/topology.js'
import type { Connections } from '../telemetry/meters.js'
import { dropped, NodePool, type NodePoolOwner } from './node-pool.js'

type Count = 'totalCount' | 'idleCount' | 'waitingCount' | 'expiredCount'

export class NodePools {
  readonly #owner: NodePoolOwner
  readonly #pools = new Map<NodeKey, NodePool>()
  /** Their last clients have not come back yet. */
  readonly #leaving = new Set<NodePool>()

  constructor(owner: NodePoolOwner) {
    this.#owner = owner
  }

  /** The pool of this node as it was when it was chosen. */
  of(node: Node, topology: Topology): NodePool {
    const current = this.#pools.get(node.key)
    if (current?.generation === node.generation) return current
    // The node went through a failure between the choice and this call.
    if (topology.nodes.get(node.key)?.generation !== node.generation) throw dropped(node.key)
    const pool = new NodePool(node, this.#owner)
    this.#pools.set(node.key, pool)
    return pool
  }

  obey(change: Change): void {
    if (change.kind !== 'generation' && change.kind !== 'removed' && change.kind !== 'drained') return
    const pool = this.#pools.get(change.key)
    if (pool === undefined) return
    this.#pools.delete(change.key)
    this.#leaving.add(pool)
    if (change.kind === 'generation') pool.condemn()
    void pool.leave().then(() => this.#leaving.delete(pool))
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

  /** Tells `reason` to everybody who waits for a client, and resolves when every client has come back. */
  async end(reason: Error): Promise<void> {
    await Promise.all([...this.#pools.values(), ...this.#leaving].map((pool) => pool.end(reason)))
  }

  /** Asks the server of this client to cancel what it is doing. */
  async cancel(client: Client): Promise<void> {
    for (const pool of [...this.#pools.values(), ...this.#leaving]) {
      if (pool.inner._clients.includes(client)) await pool.cancel(client)
    }
  }

  /** All clients, those of the primary last. */
  clients(primary: NodeKey | null): readonly Client[] {
    const pools = [...this.#pools.values()].sort((a, b) => Number(a.key === primary) - Number(b.key === primary))
    return pools.flatMap(({ inner }) => inner._clients)
  }

  /** The pool of the primary; before there is one, that of whichever node serves. */
  primary(key: NodeKey | null): NodePool | undefined {
    if (key !== null) return this.#pools.get(key)
    const [first] = this.#pools.values()
    return first
  }

  sum(name: Count): number {
    let sum = 0
    for (const pool of this.#pools.values()) sum += pool.inner[name]
    for (const pool of this.#leaving) sum += pool.inner[name]
    return sum
  }

  /** What there is of connections to each node. */
  *connections(): Iterable<Connections> {
    for (const pool of [...this.#pools.values(), ...this.#leaving]) {
      const { totalCount, idleCount, waitingCount } = pool.inner
      const leaving = this.#leaving.has(pool)
      yield { address: pool.address, used: totalCount - idleCount, idle: idleCount, pending: waitingCount, leaving }
    }
  }

  /** Somebody holds a client, perhaps for hours: its server must be watched as long. */
  get held(): boolean {
    for (const { inner } of this.#pools.values()) if (inner.totalCount > inner.idleCount) return true
    return false
  }
}
