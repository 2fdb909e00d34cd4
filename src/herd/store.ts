// Holds the current Topology: the one writer. dispatch(event), subscribe(), waitFor(). Synchronous: two events never interleave.

import { onAbort } from '../abort.js'
import type { Alarm, Clock } from '../clock.js'
import { type Change, changes, reduce, type Topology, type TopologyEvent } from '../core/topology.js'

export type Listener = (after: Topology, before: Topology, found: readonly Change[]) => void

interface Waiter {
  /** Asks the present picture; true ends the wait. */
  readonly attempt: () => boolean
  readonly reject: (error: unknown) => void
}

/** A new primary has cold caches, and every process of the application has waited for it: they do not all come at once. */
const FIRST_GROUP = 16
const BETWEEN_GROUPS_MILLIS = 5

export class Store {
  readonly #clock: Clock
  readonly #heard: (event: TopologyEvent) => void
  readonly #listeners = new Set<Listener>()
  readonly #waiters = new Set<Waiter>()
  readonly #drained: (() => void)[] = []
  readonly #news: TopologyEvent[] = []
  #topology: Topology
  #folding = false
  /** The next group of waiters is due. */
  #release: Alarm | null = null

  constructor(initial: Topology, clock: Clock, heard: (event: TopologyEvent) => void = () => {}) {
    this.#topology = initial
    this.#clock = clock
    this.#heard = heard
  }

  get topology(): Topology {
    return this.#topology
  }

  /** How many statements wait right now. */
  get waiting(): number {
    return this.#waiters.size
  }

  /** An event dispatched by a listener is folded after the present one has been told to everybody. */
  dispatch(event: TopologyEvent): void {
    this.#news.push(event)
    if (this.#folding) return
    this.#folding = true
    try {
      for (let next = this.#news.shift(); next !== undefined; next = this.#news.shift()) this.#fold(next)
    } finally {
      this.#folding = false
    }
  }

  #fold(event: TopologyEvent): void {
    this.#heard(event)
    const before = this.#topology
    const after = reduce(before, event)
    if (after === before) return
    this.#topology = after
    // Positions come with every write and many a read, and are no change to follow, unless they show that a new history began.
    if ((event.kind !== 'sampled' && event.kind !== 'shown') || after.epoch !== before.epoch) {
      const found = changes(before, after)
      for (const listener of [...this.#listeners]) listener(after, before, found)
    }
    this.#ask()
  }

  /** FIFO: a Set keeps the order of arrival, and a waiter that ends takes itself out. A crowd is let go in growing groups. */
  #ask(): void {
    if (this.#release !== null) return
    this.#let(FIRST_GROUP)
  }

  #let(most: number): void {
    this.#release = null
    let released = 0
    for (const waiter of [...this.#waiters]) {
      if (released >= most) {
        this.#release = this.#clock.alarm(BETWEEN_GROUPS_MILLIS, () => this.#let(most * 2), 'process')
        return
      }
      if (waiter.attempt()) released++
    }
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Resolves when nobody waits. */
  drained(): Promise<void> {
    if (this.#waiters.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#drained.push(resolve))
  }

  /** Ends every wait with an error, in order. */
  rejectWaiters(error: unknown): void {
    this.#release?.cancel()
    this.#release = null
    for (const waiter of [...this.#waiters]) waiter.reject(error)
  }

  /**
   * Resolves with the first value other than undefined that `find` gives, asked now and after every change of the picture;
   * with undefined when `millis` are over. A rejection of `find` (it may throw) rejects. The wait keeps Node alive: somebody awaits it.
   */
  waitFor<T>(
    find: (topology: Topology) => T | undefined,
    millis: number,
    signal?: AbortSignal
  ): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      let alarm: Alarm | undefined
      let deaf: (() => void) | undefined
      const done = () => {
        this.#waiters.delete(waiter)
        if (this.#waiters.size === 0) for (const tell of this.#drained.splice(0)) tell()
        alarm?.cancel()
        deaf?.()
        return true
      }
      const aborted = () => waiter.reject(signal?.reason)
      const waiter: Waiter = {
        attempt: () => {
          try {
            const value = find(this.#topology)
            if (value === undefined) return false
            done()
            resolve(value)
          } catch (error) {
            done()
            reject(error)
          }
          return true
        },
        reject: (error) => {
          done()
          reject(error)
        },
      }
      if (waiter.attempt()) return
      this.#waiters.add(waiter)
      if (signal !== undefined) deaf = onAbort(signal, aborted)
      const overdue = () => {
        if (this.#waiters.has(waiter)) {
          done()
          resolve(undefined)
        }
      }
      alarm = this.#clock.alarm(millis, overdue, 'process')
    })
  }
}
