// Holds the current Topology: the one writer. dispatch(event), subscribe(), waitFor(). Synchronous: two events never interleave.

import { type Change, changes } from '../core/cluster/changes.js'
import type { Topology, TopologyEvent } from '../core/cluster/topology.js'
import { onAbort } from '../runtime/abort.js'
import type { Alarm, Clock } from '../runtime/clock.js'
import { folded } from './fold.js'

export type Listener = (after: Topology, before: Topology, found: readonly Change[]) => void

interface Waiter {
  /** Asks the present picture. True: the waiter has what it waited for, and goes to work. */
  readonly attempt: () => boolean
  readonly reject: (error: unknown) => void
  /** False: a position alone cannot end this wait. */
  readonly minds: () => boolean
}

const ALWAYS = () => true

/** A new primary has cold caches, and every process of the application has waited for it: they do not all come at once. */
const FIRST_GROUP = 16
const BETWEEN_GROUPS_MILLIS = 5
/**
 * Positions may come by the thousand in a second, and waiters wait by the thousand: after each round the next one for the sake of
 * positions alone waits so many times as long as that round took. News of nodes waits for nothing.
 */
const REST_PER_ROUND = 10

export class Store {
  readonly #clock: Clock
  readonly #heard: (event: TopologyEvent) => void
  readonly #defect: (error: unknown) => void
  readonly #listeners = new Set<Listener>()
  readonly #waiters = new Set<Waiter>()
  readonly #news: TopologyEvent[] = []
  #topology: Topology
  #folding = false
  /** The next group of waiters is due. */
  #release: Alarm | null = null
  /** On the monotonic clock: when positions may be asked about again, and the alarm for that where some came too early. */
  #restUntil = -Infinity
  #round: Alarm | null = null

  /** `defect` is told what should not have been thrown: by the reducer, or by a subscriber. */
  constructor(
    initial: Topology,
    clock: Clock,
    heard: (event: TopologyEvent) => void = () => {},
    defect: (error: unknown) => void = () => {}
  ) {
    this.#topology = initial
    this.#clock = clock
    this.#heard = heard
    this.#defect = defect
  }

  get topology(): Topology {
    return this.#topology
  }

  /** How many statements wait right now. */
  get waiting(): number {
    return this.#waiters.size
  }

  /** An event dispatched by a listener is folded after the present one has been told to everybody. Never throws. */
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
    try {
      this.#heard(event)
    } catch (error) {
      this.#defect(error)
    }
    const before = this.#topology
    const after = folded(before, event, this.#clock, this.#defect)
    if (after === before) return
    this.#topology = after
    // Positions come with every write and many a read, and are no change to follow, unless they show that a new history began.
    if ((event.kind === 'sampled' || event.kind === 'shown') && after.epoch === before.epoch) {
      this.#askLater(POSITIONS)
      return
    }
    const found = changes(before, after)
    for (const listener of [...this.#listeners]) this.#tell(listener, after, before, found)
    // What a probe brings most often are positions, too.
    if (event.kind === 'probed' && found.length === 0) this.#askLater(ALL)
    else this.ask()
  }

  /** Something that waiters wait for has changed: each is asked again. */
  ask(): void {
    this.#let(FIRST_GROUP, ALL)
  }

  #askLater(asked: Filter): void {
    if (this.#waiters.size === 0 || this.#round !== null) return
    const early = this.#restUntil - this.#clock.mono()
    if (early <= 0) {
      this.#let(FIRST_GROUP, asked)
      return
    }
    this.#round = this.#clock.alarm(early, () => {
      this.#round = null
      this.ask()
    })
  }

  /** One subscriber that throws must not keep the news from the others, nor from those who wait. */
  #tell(listener: Listener, ...news: Parameters<Listener>): void {
    try {
      listener(...news)
    } catch (error) {
      this.#defect(error)
    }
  }

  /** FIFO: a Set keeps the order of arrival, and a waiter that ends takes itself out. A crowd is let go in growing groups. */
  #let(most: number, asked: Filter): void {
    if (this.#release !== null || this.#waiters.size === 0) return
    const from = this.#clock.mono()
    let released = 0
    for (const waiter of [...this.#waiters]) {
      if (released >= most) {
        this.#release = this.#clock.alarm(BETWEEN_GROUPS_MILLIS, () => this.#go(most * 2), 'process')
        break
      }
      if (!this.#waiters.has(waiter) || !asked(waiter)) continue
      if (waiter.attempt()) released++
    }
    const now = this.#clock.mono()
    this.#restUntil = now + REST_PER_ROUND * (now - from)
  }

  #go(most: number): void {
    this.#release = null
    this.#let(most, ALL)
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Ends every wait with an error, in order. */
  rejectWaiters(error: unknown): void {
    this.#release?.cancel()
    this.#release = null
    this.#round?.cancel()
    this.#round = null
    for (const waiter of [...this.#waiters]) waiter.reject(error)
  }

  /**
   * Resolves with the first value other than undefined that `find` gives, asked now and after every change of the picture;
   * with undefined when `millis` are over. A rejection of `find` (it may throw) rejects. The wait keeps Node alive: its caller
   * awaits it. `minds`: whether a position alone may end the wait.
   */
  waitFor<T>(
    find: (topology: Topology) => T | undefined,
    millis: number,
    signal?: AbortSignal,
    minds: () => boolean = ALWAYS
  ): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      let alarm: Alarm | undefined
      let deaf: (() => void) | undefined
      let over = false
      const done = () => {
        this.#waiters.delete(waiter)
        alarm?.cancel()
        deaf?.()
      }
      const aborted = () => waiter.reject(signal?.reason)
      const waiter: Waiter = {
        attempt: () => {
          try {
            const value = find(this.#topology)
            if (value === undefined) return false
            done()
            resolve(value)
            return true
          } catch (error) {
            waiter.reject(error)
            return false
          }
        },
        reject: (error) => {
          done()
          over = true
          reject(error)
        },
        minds,
      }
      if (waiter.attempt() || over) return
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

type Filter = (waiter: Waiter) => boolean
const ALL: Filter = () => true
const POSITIONS: Filter = ({ minds }) => minds()
