// How reads come to their proof: whether the position that a read needs is on its way or can be asked for, what guards have shown of
// each replica, and counts of how reads fared. It chooses no node: core/cluster/freshness.ts does so, by the evidence from here.

import type { NodeKey } from '../core/cluster/address.js'
import type { Evidence } from '../core/cluster/balance.js'
import { awaitedSince, type Behind, behindAfter, behindOf, isPaused } from '../core/cluster/freshness.js'
import type { Choice, Target } from '../core/cluster/selection.js'
import type { Clock } from '../runtime/clock.js'
import type { PositionQuestions } from './positions.js'
import type { Store } from './store.js'

/** How reads that asked for a replica fared, counted since the beginning. */
export interface Freshness {
  /** The read went to a replica that was not proven yet, and that proved itself together with the rows. */
  readonly guardsPassed: number
  /** The replica did not prove itself, so another node was asked. */
  readonly guardsFailed: number
  /** The read waited for a position of the primary that was on its way. */
  readonly awaited: number
  /** No replica had replayed what the read must see. */
  readonly tooFarBehind: number
  /** No position of the primary was known that could tell. */
  readonly unproven: number
  /** How often the primary was asked how far its WAL reaches, for the sake of own writes; probes not counted. */
  readonly positionsAsked: number
  /** How often the primary told its position in one trip with a write. */
  readonly positionsCaptured: number
}

/** What a read may still try in order to be proven. */
export type ProofBudget = Pick<Evidence, 'mayAwait' | 'mayGuard'>
export const FREE: ProofBudget = { mayAwait: true, mayGuard: true }
export const GUARDED: ProofBudget = { mayAwait: false, mayGuard: true }
export const PROVEN: ProofBudget = { mayAwait: false, mayGuard: false }

export class Proofs {
  readonly #store: Store
  readonly #clock: Clock
  readonly #positions: PositionQuestions
  readonly #behind = new Map<NodeKey, Behind>()
  readonly #counts = {
    guardsPassed: 0,
    guardsFailed: 0,
    awaited: 0,
    tooFarBehind: 0,
    unproven: 0,
    positionsCaptured: 0,
  }
  readonly #isComing = (since: number) => this.#isOnItsWay(since) || this.#canAsk(since)

  constructor(store: Store, clock: Clock, positions: PositionQuestions) {
    this.#store = store
    this.#clock = clock
    this.#positions = positions
  }

  get counts(): Freshness {
    return { ...this.#counts, positionsAsked: this.#positions.asked }
  }

  evidence({ mayAwait, mayGuard }: ProofBudget, now: number): Evidence {
    const { tripMillis } = this.#positions
    const behindMillis = (key: NodeKey) => {
      const behind = this.#behind.get(key)
      return isPaused(behind, now) ? Infinity : behindOf(behind, now)
    }
    return { isComing: this.#isComing, tripMillis, mayAwait, mayGuard, behindMillis }
  }

  /** No replica was fit for a read. Called once for each read. */
  missed(refused: Choice['refused']): void {
    const refusals = new Set(refused.values())
    if (refusals.has('too-far-behind')) this.#counts.tooFarBehind++
    else if (refusals.has('unproven')) this.#counts.unproven++
  }

  captured(): void {
    this.#counts.positionsCaptured++
  }

  /** A replica was asked on a guess. `ageMillis`: the age of the position that the read needs. */
  guarded(key: NodeKey, passed: boolean, ageMillis: number): void {
    if (passed) this.#counts.guardsPassed++
    else this.#counts.guardsFailed++
    const behind = behindAfter(this.#behind.get(key), passed, ageMillis, this.#clock.mono())
    if (behind === undefined) this.#behind.delete(key)
    else this.#behind.set(key, behind)
  }

  /**
   * Waits for the position of the primary that the target needs. If the position is not on its way yet, it is asked for. A caller
   * that has read on the primary must see all that was there. Without the question it would read on the primary for ever, as each
   * read has to see more than the last position tells.
   */
  async awaited(target: Target): Promise<void> {
    if (target.role !== 'replica') return
    const since = awaitedSince(target.need, this.#store.topology.epoch)
    this.#counts.awaited++
    if (!this.#isOnItsWay(since)) this.#positions.ask()
    await this.#positions.after(since)
  }

  #isOnItsWay(since: number): boolean {
    return this.#positions.after(since) !== null
  }

  #canAsk(since: number): boolean {
    const { primary, nodes } = this.#store.topology
    return since > -Infinity && primary !== null && nodes.get(primary)?.suspect === null
  }
}
