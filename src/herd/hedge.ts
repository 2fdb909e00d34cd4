// A read that its replica leaves unanswered is sent to a second replica as well. The first answer counts, and the other attempt is given
// up. core/cluster/hedging.ts says which reads may be hedged, and how many.

import type { Config } from '../config/config.js'
import { type Failure, failureOf } from '../core/cluster/failure.js'
import { HedgeBudget, mayHedge } from '../core/cluster/hedging.js'
import type { Node } from '../core/cluster/node.js'
import type { Target } from '../core/cluster/selection.js'
import type { Topology } from '../core/cluster/topology.js'
import type { Alarm, Clock } from '../runtime/clock.js'
import type { Chooser } from './choice.js'
import type { Lifecycle } from './lifecycle.js'
import type { Attempt, GiveUp, Race } from './request.js'
import type { Store } from './store.js'

/** A server whose answer is not wanted any more is told to stop after so long. */
const STOP_MILLIS = 250

export interface HedgeParts {
  readonly config: Pick<Config, 'hedgeMillis'>
  readonly clock: Clock
  readonly store: Store
  readonly lifecycle: Lifecycle
  readonly chooser: Chooser
  /** A connection to this node failed. */
  readonly accuse: (node: Node, failure: Failure) => void
}

/** The hedged reads of one herd. */
export class Hedges {
  readonly parts: HedgeParts
  readonly budget = new HedgeBudget()
  /** When a node was suspect last, on the monotonic clock. */
  #suspectedAt = -Infinity

  constructor(parts: HedgeParts) {
    this.parts = parts
    if (parts.config.hedgeMillis === Infinity) return
    parts.store.subscribe((after, before) => {
      if (hasSuspect(after) || hasSuspect(before)) this.#suspectedAt = parts.clock.mono()
    })
  }

  may(first: Attempt): boolean {
    const { config, clock, store, lifecycle } = this.parts
    const moment = { now: clock.mono(), hedgeMillis: config.hedgeMillis, suspectedAt: this.#suspectedAt }
    return lifecycle.state === 'open' && mayHedge(store.topology, first, moment)
  }

  /** Runs the attempt; with a second one beside it if no answer comes in time. */
  run<T>(first: Attempt, target: Target, perform: (attempt: Attempt) => Promise<T>): Promise<T> {
    if (!this.may(first)) return perform(first)
    this.budget.earn()
    return new Hedge(this, first, target, perform).run()
  }
}

function hasSuspect({ nodes }: Topology): boolean {
  for (const { suspect } of nodes.values()) if (suspect !== null) return true
  return false
}

/** One of the two attempts. */
interface Side {
  readonly attempt: Attempt
  /** Null: its read was not handed to a connection. */
  giveUp: GiveUp | null
  failed: { readonly error: unknown } | null
  /** It has lost: what is to be done when no server works on it any more. */
  over: (() => void) | null
  /** When it has lost: it rings when the server is told to stop. */
  alarm: Alarm | null
}

class Hedge<T> implements Race {
  readonly #hedges: Hedges
  readonly #target: Target
  readonly #perform: (attempt: Attempt) => Promise<T>
  readonly #first: Side
  #second: Side | null = null
  #alarm: Alarm | null = null
  #winner: Attempt | null = null
  #isOver = false
  #resolve: (result: T) => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(hedges: Hedges, first: Attempt, target: Target, perform: (attempt: Attempt) => Promise<T>) {
    this.#hedges = hedges
    this.#target = target
    this.#perform = perform
    this.#first = sideOf(first)
  }

  run(): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#begin(this.#first)
    })
  }

  #begin(side: Side): void {
    const { attempt } = side
    attempt.race = this
    // What it throws at once is an error of the attempt as any other.
    const perform = async () => this.#perform(attempt)
    perform().then(
      (result) => this.#answered(side, result),
      (error) => this.#failed(side, error)
    )
  }

  // What the face tells.

  handed(attempt: Attempt, giveUp: GiveUp): void {
    const side = attempt === this.#first.attempt ? this.#first : this.#second
    if (side === null) return
    side.giveUp = giveUp
    const { clock, config } = this.#hedges.parts
    // It has lost while it waited for its connection.
    if (side.over !== null && side.alarm === null) this.#stop(side)
    else if (side === this.#first) this.#alarm ??= clock.alarm(config.hedgeMillis, () => this.#late())
  }

  wins(attempt: Attempt): boolean {
    this.#winner ??= attempt
    return this.#winner === attempt
  }

  // What happens to the attempts.

  /** The first attempt has no answer yet. */
  #late(): void {
    const { parts, budget } = this.#hedges
    const { attempt } = this.#first
    if (this.#isOver || !this.#hedges.may(attempt)) return
    const other = parts.chooser.beside(attempt, this.#target)
    if (other === null || !budget.take()) return
    this.#second = sideOf(other)
    parts.chooser.loadOf(other.node.key).statements++
    this.#begin(this.#second)
  }

  #answered(side: Side, result: T): void {
    if (!this.wins(side.attempt)) {
      this.#left(side)
      return
    }
    this.#end()
    const [first, second] = [this.#first, this.#second]
    if (side === second) {
      this.#unload(second)
      if (first.failed === null) this.#loses(first)
      else this.#accuse(first.attempt, first.failed.error)
    } else if (second !== null && second.failed === null) this.#loses(second)
    this.#resolve(result)
  }

  #failed(side: Side, error: unknown): void {
    if (this.#isOver) {
      this.#left(side)
      return
    }
    side.failed = { error }
    const [first, second] = [this.#first, this.#second]
    if (side === second) {
      this.#unload(second)
      if (second.giveUp === null) this.#hedges.budget.giveBack()
      this.#accuse(second.attempt, error)
    }
    if (first.failed === null || (second !== null && second.failed === null)) return
    this.#end()
    this.#reject(first.failed.error)
  }

  #end(): void {
    this.#isOver = true
    this.#alarm?.cancel()
  }

  /**
   * The other attempt has answered. As long as its server works on it, this one counts among what is in flight there. Most servers are only
   * late, so their answers are awaited for a while, and dropped: to tell a server to stop costs a connection of its own, and often this one.
   */
  #loses(side: Side): void {
    const { clock, chooser } = this.#hedges.parts
    const { attempt } = side
    attempt.abandoned = true
    // The execution counts the first only until the read is answered.
    if (side === this.#first) chooser.loadOf(attempt.node.key).statements++
    side.over = () => this.#unload(side)
    if (side.giveUp !== null) side.alarm = clock.alarm(STOP_MILLIS, () => this.#stop(side))
  }

  #stop(side: Side): void {
    side.alarm = null
    const { over, giveUp } = side
    side.over = null
    if (over !== null) giveUp?.(over)
  }

  /** Its server is done with it before it was told to stop. */
  #left(side: Side): void {
    side.alarm?.cancel()
    side.over?.()
    side.over = null
  }

  #unload({ attempt }: Side): void {
    this.#hedges.parts.chooser.loadOf(attempt.node.key).statements--
  }

  #accuse({ node, phase, source }: Attempt, error: unknown): void {
    const failure = failureOf(error, phase, source)
    if (failure.accuses && failure.kind !== 'role') this.#hedges.parts.accuse(node, failure)
  }
}

function sideOf(attempt: Attempt): Side {
  return { attempt, giveUp: null, failed: null, over: null, alarm: null }
}
