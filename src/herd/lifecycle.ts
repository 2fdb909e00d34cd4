// Whether the herd takes statements, what is under way, and how long a waiter may go on hoping.

import type { Config } from '../config/config.js'
import { isLookedAround } from '../core/cluster/alone.js'
import type { Node } from '../core/cluster/node.js'
import type { Target } from '../core/cluster/selection.js'
import type { Topology } from '../core/cluster/topology.js'
import { endedError } from '../errors.js'

/** `ending`: the herd finishes what it has accepted, and takes nothing new. */
export type State = 'new' | 'open' | 'ending' | 'ended'

export class Lifecycle {
  #state: State = 'new'
  /** Everything under way that needs the servers looked at. */
  #running = 0
  /** Of those, the requests that callers sent. The end waits for them. */
  #requests = 0
  #finished: () => void = () => {}

  get state(): State {
    return this.#state
  }

  get isBusy(): boolean {
    return this.#running > 0
  }

  /** True: this was the first statement. */
  open(): boolean {
    if (this.#state === 'ended') throw endedError()
    if (this.#state !== 'new') return false
    this.#state = 'open'
    return true
  }

  /** The servers are to be looked at until leave(). */
  enter(): void {
    this.#running++
  }

  leave(): void {
    this.#running--
  }

  /** A caller's request begins, until leave() and done(). */
  begin(): void {
    this.#running++
    this.#requests++
  }

  /** The end of the pool waits no longer for this request. */
  done(): void {
    this.#requests--
    if (this.#requests === 0 && this.#state === 'ending') this.#finished()
  }

  ending(): void {
    this.#state = 'ending'
  }

  ended(): void {
    this.#state = 'ended'
  }

  /** Resolves when all requests are done; null: they are. */
  finished(): Promise<void> | null {
    if (this.#requests === 0) return null
    return new Promise((resolve) => {
      this.#finished = resolve
    })
  }

  /**
   * At the end of the pool a waiter may hope for a node that can be there without a failover, and before long. The first look decides
   * that. So does the answer of a primary that is there, or of a replica that is suspect. So does the catalogue, while it is read
   * for a statement that is decided anew (`reading`).
   */
  mayHope(topology: Topology, target: Target, reading: boolean): boolean {
    if (this.#state !== 'ending') return this.#state !== 'ended'
    if (topology.epoch === 0 && !isLookedAround(topology)) return true
    if (reading && target.role === 'primary') return true
    const primary = topology.primary === null ? undefined : topology.nodes.get(topology.primary)
    if (primary !== undefined && !primary.draining) return true
    const isUndecided = ({ state, suspect }: Node) => state.kind === 'replica' && suspect !== null
    return target.role === 'replica' && [...topology.nodes.values()].some(isUndecided)
  }
}

/** For how long a statement waits for a node. */
export function patienceOf({ failoverTimeoutMillis, connectionTimeoutMillis }: Config): number {
  return Math.min(failoverTimeoutMillis, connectionTimeoutMillis ?? Infinity)
}
