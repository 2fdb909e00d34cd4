// What a pool emits: pg-pool's events of every node's connections as its own, and pgherd's. What a listener throws must not stop the
// pool.

import type { EventEmitter } from 'node:events'
import type { Client } from 'pg'
import type { Instant } from '../core/cluster/instant.js'
import { isLost } from '../core/cluster/outage.js'
import type { Topology } from '../core/cluster/topology.js'
import { wordsOf } from '../core/thrown.js'
import { callEach, told, unharmed } from '../pg/calls.js'
import { snapshotOf } from '../report/snapshot.js'
import type { Bounds } from '../report/types.js'
import type { Router } from '../router/router.js'
import type { Clock } from '../runtime/clock.js'
import type { Complain } from '../runtime/complaints.js'
import { uncaught } from '../runtime/uncaught.js'
import { channels } from '../telemetry/channels.js'
import type { Relayed } from './parts.js'

export class Events {
  readonly #pool: EventEmitter
  readonly #clock: Clock
  readonly #complain: Complain
  readonly #bounds: Bounds
  #lostAt: Instant | null = null

  constructor(pool: EventEmitter, clock: Clock, complain: Complain, bounds: Bounds) {
    this.#pool = pool
    this.#clock = clock
    this.#complain = complain
    this.#bounds = bounds
  }

  /** The outer pool tells the events of every node's pool as its own. */
  relay(router: Router, from: Relayed, event: string, first: unknown, second: unknown): boolean {
    const { telemetry, herd } = router
    if (event === 'acquire') telemetry.connection(event, from.address, first as Client)
    if (event === 'release') {
      telemetry.connection(event, from.address, second as Client)
      return this.#ofClient(router, from, event, first, second)
    }
    if (event !== 'error') return this.#ofClient(router, from, event, first)
    // Connections that we gave up ourselves end as they were meant to.
    if (from.condemned) return false
    // The herd deals with a lost idle connection. Only a single server's loss ends the process, as pg has it.
    if (herd.topology.plural && this.#pool.listenerCount('error') === 0) return false
    return this.#pool.emit('error', first, second)
  }

  /** What a listener throws is uncaught, as with pg; but the pool that tells it must not lose its count of clients for that. */
  #ofClient(router: Router, { key }: Relayed, event: string, ...values: unknown[]): boolean {
    try {
      return router.isReplica(key) ? this.#ofReplica(event, ...values) : this.#pool.emit(event, ...values)
    } catch (error) {
      uncaught(error)
      return true
    }
  }

  /** A listener written for one server may write, and what it returns is not awaited. */
  #ofReplica(event: string, ...values: unknown[]): boolean {
    if (this.#pool.listenerCount(event) === 0) return false
    const call = () => callEach(this.#pool.rawListeners(event), this.#pool, values)
    if (event === 'connect') unharmed(call, this.#clock)
    else call()
    return true
  }

  /** pgherd's own. What a listener throws must not stop the loop whose news it was told, nor the other listeners. */
  tell(event: string, ...values: unknown[]): void {
    const complain = (error: unknown) =>
      this.#complain(`a listener of '${event}'`, `threw ${wordsOf(error)}. The pool goes on.`)
    for (const listener of this.#pool.rawListeners(event)) {
      told(() => Reflect.apply(listener, this.#pool, values), complain)
    }
  }

  /** The picture has changed. */
  follow(after: Topology, before: Topology): void {
    this.#failover(after, before)
    if (this.#pool.listenerCount('topology') === 0 && !channels.topology.hasSubscribers) return
    const now = this.#clock.now()
    const change = { after: snapshotOf(after, now, this.#bounds), before: snapshotOf(before, now, this.#bounds) }
    channels.topology.traceSync(() => this.tell('topology', change.after, change.before), change)
  }

  #failover(after: Topology, before: Topology): void {
    if (before.epoch > 0 && after.epoch !== before.epoch) {
      const now = this.#clock.now()
      const millis = now.mono - (this.#lostAt ?? now).mono
      this.tell('failover', { from: before.incumbent?.key ?? null, to: after.primary, millis })
    }
    if (!isLost(after)) this.#lostAt = null
    else this.#lostAt ??= this.#clock.now()
  }
}
