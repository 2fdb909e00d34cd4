// What a pool, or a session of it, has written and read: what the next read must see. Keeps times and positions only, and sends
// no query. What a session does counts for the sessions around it and for the pool, too.

import type { Captured, Carried } from '../cluster/freshness.js'
import type { Instant } from '../cluster/instant.js'
import type { Lsn } from '../cluster/lsn.js'
import type { Node } from '../cluster/node.js'
import { isSame, type StickyReplica } from '../cluster/selection.js'
import type { Token } from '../cluster/token.js'

/** The position that the primary's WAL had reached right after a write. */
export interface CapturedPosition {
  readonly lsn: Lsn
  readonly ackedAt: Instant
  readonly epoch: number
}

/** Tokens as they came in, those of the sessions around it included. */
export interface Arrival {
  /** One for each cluster that is named. Of another cluster: an error. */
  readonly strict: readonly Token[]
  /** Likewise. Of another cluster: ignored. */
  readonly lenient: readonly Token[]
  readonly arrivedAt: number
  /** True: its write is lost, and the event was sent. False: too many tokens claim a loss to believe it. Null: it is not lost. */
  believed: boolean | null
}

/** What a read must see, beside the lag bound. Times are on the monotonic clock. */
export interface ReadConstraints {
  /** The newest acknowledgement whose position is not known. */
  readonly since: number | null
  /** The newest loss of a write whose outcome is unknown, outside of sessions. */
  readonly doubt: number | null
  readonly captured: Captured | null
  /** It may have been committed asynchronously. */
  readonly asynchronous: boolean
  readonly carried: Carried | null
  readonly stick: StickyReplica | null
  /** A token stands for a write that did not survive a failover: the read needs the primary. */
  readonly lost: boolean
}

export class Scope {
  readonly parent: Scope | null
  readonly arrival: Arrival | null
  #since: number | null = null
  #newest = -Infinity
  #doubt: number | null = null
  #captured: Captured | null = null
  #stick: StickyReplica | null = null
  #version = 0

  /** A session begins with what the session around it has seen. It inherits nothing from the pool. */
  constructor(parent: Scope | null, arrival: Arrival | null = null) {
    this.parent = parent
    this.arrival = arrival
    if (parent === null || parent.parent === null) return
    this.#since = parent.#since
    this.#newest = parent.#newest
    this.#captured = parent.#captured
    this.#stick = parent.#stick
  }

  /** A write, or a statement that may be one, was acknowledged. Its position is not known. */
  acknowledged(at: number): void {
    for (let scope: Scope | null = this; scope !== null; scope = scope.parent) scope.#raise(at)
  }

  /**
   * The reply to a write was lost, so it may have happened. A session looks for it as for any write of its own. The pool does
   * while there is a primary that could tell.
   */
  doubted(at: number): void {
    for (let scope: Scope | null = this; scope !== null; scope = scope.parent) {
      if (scope.parent !== null) scope.#raise(at)
      else {
        scope.#doubt = Math.max(scope.#doubt ?? at, at)
        scope.#version++
      }
    }
  }

  /** A write was acknowledged, and the primary's WAL had reached this position right after it. */
  captured(landed: CapturedPosition): void {
    for (let scope: Scope | null = this; scope !== null; scope = scope.parent) scope.#capture(landed)
  }

  /** The primary is ahead of all replicas: later reads must see everything that it showed. */
  readOnPrimary(at: number): void {
    for (let scope: Scope | null = this; scope?.parent != null; scope = scope.parent) scope.#raise(at)
  }

  /** No read that follows may go back behind what this one saw. */
  readOnReplica(node: Node, at: number): void {
    for (let scope: Scope | null = this; scope?.parent != null; scope = scope.parent) {
      const { stick } = scope
      // Concurrent reads do not know of each other: this replica may be behind the other one.
      if (stick !== null && !isSame(node, stick)) scope.#raise(stick.since)
      const { key, generation, losses } = node
      scope.#stick = { key, generation, losses, since: Math.max(at, stick?.since ?? at) }
      scope.#version++
    }
  }

  /** Another number as soon as reads must see something else. */
  get version(): number {
    return this.#version
  }

  get stick(): StickyReplica | null {
    return this.#stick
  }

  /** The newest acknowledgement whose position is not known. */
  get since(): number | null {
    return this.#since
  }

  get doubt(): number | null {
    return this.#doubt
  }

  get highest(): Captured | null {
    return this.#captured === null ? null : { ...this.#captured, newest: this.#newest }
  }

  #raise(at: number): void {
    this.#version++
    this.#newest = Math.max(this.#newest, at)
    this.#since = Math.max(this.#since ?? at, at)
  }

  #capture(landed: CapturedPosition): void {
    this.#version++
    const before = this.#captured
    // Positions of an epoch that is over mean nothing: those writes are looked for by their time.
    if (before !== null && before.epoch !== landed.epoch) this.#raise(this.#newest)
    this.#newest = Math.max(this.#newest, landed.ackedAt.mono)
    const higher = before === null || before.epoch !== landed.epoch || before.lsn < landed.lsn
    const { lsn, ackedAt: takenAt, epoch } = landed
    if (higher) this.#captured = { lsn, takenAt, epoch, newest: this.#newest }
  }
}
