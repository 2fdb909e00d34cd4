// Holds the current Topology, as its only writer: dispatch(event), subscribe(), waitFor(). It is synchronous, so two events never
// interleave.

import { type Change, changes } from '../core/cluster/changes.js'
import type { Topology, TopologyEvent } from '../core/cluster/topology.js'
import { onAbort } from '../runtime/abort.js'
import type { Alarm, Clock } from '../runtime/clock.js'
import { folded } from './fold.js'

export type Listener = (after: Topology, before: Topology, found: readonly Change[]) => void

/** What is known of a wait before it is asked. */
export interface Kind {
  /** False: a position alone cannot end this wait. */
  readonly minds: () => boolean
  /** Waiters that give the same value wait for the same: while one of them waits in vain, all do. Null: it is like no other. */
  readonly alike: () => unknown
}

interface Waiter extends Kind {
  /** Asks the present picture. 'found': the waiter has what it waited for, and goes on. */
  readonly attempt: () => 'found' | 'failed' | 'nothing'
  readonly reject: (error: unknown) => void
}

const SINGLE: Kind = { minds: () => true, alike: () => null }

/** A new primary has cold caches, and every process of the application has waited for it. So the waiters are let go in groups. */
const FIRST_GROUP = 16
/** So many begin within some milliseconds. What else the process does has its turn between two groups. */
const LARGEST_GROUP = 256
const BETWEEN_GROUPS_MILLIS = 5
/**
 * Thousands of positions may come in a second, while thousands of waiters wait. So after a round the next one that is due to
 * positions alone waits this many times as long as that round took. News of nodes waits for nothing.
 */
const REST_PER_ROUND = 10

/** Which waiters are asked: those alone that positions may help, or all. */
type Asked = typeof POSITIONS | typeof ALL
const POSITIONS = 'positions'
const ALL = 'all'

export class Store {
  readonly #clock: Clock
  readonly #onEvent: (event: TopologyEvent) => void
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

  /** `defect` is told what the reducer or a subscriber has thrown, and should not have. */
  constructor(
    initial: Topology,
    clock: Clock,
    onEvent: (event: TopologyEvent) => void = () => {},
    defect: (error: unknown) => void = () => {}
  ) {
    this.#topology = initial
    this.#clock = clock
    this.#onEvent = onEvent
    this.#defect = defect
  }

  get topology(): Topology {
    return this.#topology
  }

  /** How many statements wait right now. */
  get waiting(): number {
    return this.#waiters.size
  }

  /** An event that a listener dispatches is folded after all listeners have been told the present one. Never throws. */
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
      this.#onEvent(event)
    } catch (error) {
      this.#defect(error)
    }
    const before = this.#topology
    const after = folded(before, event, this.#clock, this.#defect)
    if (after === before) return
    this.#topology = after
    // Positions come with every write and many a read. They are no change to follow, unless they show that a new history began.
    if ((event.kind === 'sampled' || event.kind === 'shown') && after.epoch === before.epoch) {
      this.#askLater(POSITIONS)
      return
    }
    const found = changes(before, after)
    for (const listener of [...this.#listeners]) this.#tell(listener, after, before, found)
    // Most probes, too, bring nothing but positions.
    if (event.kind === 'probed' && found.length === 0) this.#askLater(ALL)
    else this.ask()
  }

  /** Something has changed that waiters wait for: one waiter of each kind is asked again, and others while one is let go. */
  ask(): void {
    this.#let(FIRST_GROUP, ALL)
  }

  #askLater(asked: Asked): void {
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

  /** A subscriber that throws must not keep the news from the other subscribers, nor from the waiters. */
  #tell(listener: Listener, ...news: Parameters<Listener>): void {
    try {
      listener(...news)
    } catch (error) {
      this.#defect(error)
    }
  }

  /** FIFO: a Set keeps the order of arrival, and a waiter that ends takes itself out. Many waiters are let go in growing groups. */
  #let(most: number, asked: Asked): void {
    if (this.#release !== null || this.#waiters.size === 0) return
    const from = this.#clock.mono()
    const vain = new Set<unknown>()
    let released = 0
    for (const waiter of [...this.#waiters]) {
      if (released >= most) {
        const more = Math.min(most * 2, LARGEST_GROUP)
        this.#release = this.#clock.alarm(BETWEEN_GROUPS_MILLIS, () => this.#go(more), 'process')
        break
      }
      if (!this.#waiters.has(waiter) || (asked === POSITIONS && !waiter.minds())) continue
      const kind = waiter.alike()
      if (kind !== null && vain.has(kind)) continue
      const came = waiter.attempt()
      if (came === 'found') released++
      else if (came === 'nothing' && kind !== null && waiter.alike() === kind) vain.add(kind)
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
   * Resolves with the first value other than undefined that `find` gives. It is asked now and after every change of the picture.
   * Resolves with undefined when `millis` are over. Rejects with what `find` throws. The wait keeps Node alive, as its caller awaits
   * it.
   */
  waitFor<T>(
    find: (topology: Topology) => T | undefined,
    millis: number,
    signal?: AbortSignal,
    kind: Kind = SINGLE
  ): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      let alarm: Alarm | undefined
      let deaf: (() => void) | undefined
      const done = () => {
        this.#waiters.delete(waiter)
        alarm?.cancel()
        deaf?.()
      }
      const aborted = () => waiter.reject(signal?.reason)
      const fail = (error: unknown) => {
        done()
        reject(error)
      }
      const succeed = (value: T) => {
        done()
        resolve(value)
      }
      const ask = () => find(this.#topology)
      const waiter: Waiter = { attempt: () => settles(ask, succeed, fail), reject: fail, ...kind }
      if (waiter.attempt() !== 'nothing') return
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

/** Asks once, and tells what came of it. */
function settles<T>(
  ask: () => T | undefined,
  succeed: (value: T) => void,
  fail: (error: unknown) => void
): ReturnType<Waiter['attempt']> {
  try {
    const value = ask()
    if (value === undefined) return 'nothing'
    succeed(value)
    return 'found'
  } catch (error) {
    fail(error)
    return 'failed'
  }
}
