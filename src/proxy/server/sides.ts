// The connections to all nodes: those of each node in its present generation, and those on their way out. Obeys what the picture says of
// generations and removed nodes; chooses nothing.

import type { NodeKey } from '../../core/cluster/address.js'
import type { Change } from '../../core/cluster/changes.js'
import type { Node } from '../../core/cluster/node.js'
import type { Topology } from '../../core/cluster/topology.js'
import type { Sessions } from '../../herd/herd.js'
import { dropped } from '../../router/refusals.js'
import type { Connections } from '../../telemetry/meters.js'
import type { ServerConnection } from './connection.js'
import { NodeSide } from './node-side.js'
import type { ServerParts } from './parts.js'

export class Sides {
  readonly #parts: ServerParts
  readonly #sides = new Map<NodeKey, NodeSide>()
  readonly #leaving = new Set<NodeSide>()

  constructor(parts: ServerParts) {
    this.#parts = parts
  }

  /** The node as it was when it was chosen. */
  of(node: Node, topology: Topology): NodeSide {
    const current = this.#sides.get(node.key)
    if (current !== undefined && current.node.generation === node.generation) {
      // Its role may have changed since: that travels with the attempt.
      return current
    }
    if (topology.nodes.get(node.key)?.generation !== node.generation) throw dropped(node.key)
    const side = new NodeSide(node, this.#parts)
    this.#sides.set(node.key, side)
    return side
  }

  follow(found: readonly Change[]): void {
    for (const change of found) {
      if (change.kind === 'generation') this.#leave(change.key, 'reset')
      else if (change.kind === 'removed' || change.kind === 'drained') this.#leave(change.key, 'politely')
    }
  }

  #leave(key: NodeKey, how: 'politely' | 'reset'): void {
    if (how === 'reset') for (const side of this.#leaving) if (side.key === key) side.end('reset')
    const side = this.#sides.get(key)
    if (side === undefined) return
    this.#sides.delete(key)
    side.end(how)
    if (how === 'politely') this.#leaving.add(side)
    for (const other of this.#leaving) if (isEmpty(other)) this.#leaving.delete(other)
  }

  get all(): readonly NodeSide[] {
    return [...this.#sides.values(), ...this.#leaving]
  }

  /** A client keeps a connection, or a unit is under way. */
  get isBusy(): boolean {
    for (const side of this.all) for (const lending of side.lendings.values()) if (lending.used > 0) return true
    return false
  }

  *connections(): Iterable<Connections> {
    for (const side of this.all) {
      let [used, idle, pending] = [0, 0, 0]
      for (const lending of side.lendings.values()) {
        used += lending.used
        idle += lending.idle
        pending += lending.waiting
      }
      yield { address: side.node.address, used, idle, pending, leaving: this.#leaving.has(side) }
    }
  }

  /** What a probe may hear: a server that answers any of them is not silent. None of them is asked aside. */
  sessionsOf(key: NodeKey): Sessions {
    return {
      count: 0,
      received: () => {
        const found = new Map<ServerConnection, number>()
        for (const side of this.all) {
          if (side.key !== key) continue
          for (const connection of side.connections())
            if (!connection.isDead) found.set(connection, connection.bytesReceived)
        }
        return found
      },
      idle: () => [],
      isUnused: () => false,
      freed: () => Promise.resolve(),
    }
  }

  end(how: 'politely' | 'reset'): void {
    for (const side of this.all) side.end(how)
  }
}

function isEmpty(side: NodeSide): boolean {
  for (const _ of side.connections()) return false
  return true
}
