// Choosing a node: the pure selection of core/cluster, given the moment, the load of each node and the evidence. A read that only
// lacks proof asks for it here, on behalf of the next one.

import type { Config } from '../config/config.js'
import type { NodeKey } from '../core/cluster/address.js'
import type { Moment } from '../core/cluster/balance.js'
import { isHedgeable } from '../core/cluster/hedging.js'
import { elapsed, type Instant } from '../core/cluster/instant.js'
import {
  type Choice,
  type Chosen,
  type Standing,
  select,
  selectPrimary,
  standingOf,
  type Target,
} from '../core/cluster/selection.js'
import type { Topology } from '../core/cluster/topology.js'
import type { Clock } from '../runtime/clock.js'
import type { History } from './history.js'
import type { Monitor } from './monitor.js'
import { PROVEN, type ProofBudget, type Proofs } from './proofs.js'
import { type Attempt, insists } from './request.js'
import type { Store } from './store.js'

export interface ChooserParts {
  readonly config: Config
  readonly clock: Clock
  readonly store: Store
  readonly monitor: Monitor
  readonly proofs: Proofs
  /** Told when a read goes to a standby although nothing proves its bound. */
  readonly unproven: () => void
}

/** The statements that run on a node. The balance policies read it. */
export interface Load {
  statements: number
}

export class Chooser {
  readonly #parts: ChooserParts
  readonly #loads = new Map<NodeKey, Load>()
  /** The last decision that went to a proven replica, and what it was of. Most reads want the same. */
  #standing: { readonly target: Target; readonly topology: Topology; readonly of: Standing } | null = null
  readonly #inFlight = (key: NodeKey) => this.#loads.get(key)?.statements ?? 0

  constructor(parts: ChooserParts) {
    this.#parts = parts
  }

  get #topology(): Topology {
    return this.#parts.store.topology
  }

  /** 'awaits': the position that decides is on its way. Undefined: no node may take the statement now. */
  choose(target: Target, history: History | null, budget: ProofBudget): Attempt | 'awaits' | undefined {
    const choice =
      target.role === 'primary'
        ? selectPrimary(this.#topology, history?.avoided(this.#topology) ?? NONE)
        : this.chooseReplica(target, history, budget)
    if (choice.node === null) return choice.awaits ? 'awaits' : undefined
    if (choice.reason === 'unproven') this.#parts.unproven()
    const refusal = history?.refusal?.kind
    return attemptOf(choice, refusal === 'role' || refusal === 'unfit', false)
  }

  /**
   * Another replica that is proven for the target, for what the first leaves unanswered; null: there is none. No read is counted for
   * that, and no proof is asked for.
   */
  beside({ node: { key } }: Attempt, target: Target): Attempt | null {
    if (target.role === 'primary') return null
    const { config, clock } = this.#parts
    const moment = this.#moment(clock.now(), new Set([key]), PROVEN)
    // A spare replica, or one that has failed lately, gets no work twice.
    const choice = select(this.#topology, { ...target, otherwise: 'primary' }, config.balance, moment)
    return choice.node !== null && isHedgeable(choice) ? attemptOf(choice, false, true) : null
  }

  /** A read that only lacks proof asks for it on behalf of the next. */
  chooseReplica(target: Target, history: History | null, budget: ProofBudget): Choice {
    const { config, clock, monitor, proofs } = this.#parts
    const topology = this.#topology
    const now = clock.now()
    monitor.noteRead(now.mono)
    const standing = history === null ? this.#standingFor(target, topology, now) : null
    if (standing !== null) return this.#among(standing, now)
    const moment = this.#moment(now, history?.avoided(topology) ?? NONE, budget)
    const choice = select(topology, target, config.balance, moment)
    if (choice.node !== null && choice.node.state.kind === 'replica') {
      const of = history === null ? standingOf(topology, target, choice, now) : null
      this.#standing = of === null ? null : { target, topology, of }
      return choice
    }
    if (choice.node === null && choice.awaits) return choice
    // Counted once for a statement, which comes here again after a failure.
    if (history === null) proofs.missed(choice.refused)
    const refusals = new Set(choice.refused.values())
    if (refusals.has('unproven') || refusals.has('no-position') || insists(target)) monitor.demand()
    return choice
  }

  #standingFor(target: Target, topology: Topology, now: Instant): Standing | null {
    const last = this.#standing
    if (last === null || last.target !== target || last.topology !== topology) return null
    return elapsed(last.of.at, now) < last.of.holdsMillis ? last.of : null
  }

  #among({ nodes, reason, required, refused }: Standing, now: Instant): Choice {
    const [only] = nodes
    if (nodes.length === 1 && only !== undefined) return { node: only, reason, required, refused }
    const { config, clock } = this.#parts
    const moment: Moment = { now, random: clock.random(), inFlight: this.#inFlight, avoid: NONE }
    return { node: config.balance(nodes, moment), reason, required, refused }
  }

  /** The decision as it would fall on this picture, without acting on it. */
  decide(target: Target, budget: ProofBudget, topology = this.#topology): Choice {
    return select(topology, target, this.#parts.config.balance, this.#moment(this.#parts.clock.now(), NONE, budget))
  }

  /** Why each node is refused by now. A replica that might prove itself has been tried. */
  refused(target: Target): Choice['refused'] {
    return this.decide(target, PROVEN).refused
  }

  loadOf(key: NodeKey): Load {
    let load = this.#loads.get(key)
    if (load === undefined) {
      load = { statements: 0 }
      this.#loads.set(key, load)
    }
    return load
  }

  /**
   * What was chosen then holds now. Between choice and execution the history may have changed, or the replica may have been found
   * on another one. What a guard shows counts only where the replica is known to follow.
   */
  vouches({ node, required }: Attempt): boolean {
    if (required === null || node.state.kind !== 'replica') return true
    const now = this.#topology.nodes.get(node.key)
    if (now === undefined || now.state.kind !== 'replica' || !now.state.follows) return false
    const { state, lineage } = now
    if (lineage.epoch !== node.lineage.epoch) return false
    return state.position !== null && state.position.lsn >= required.lsn
  }

  /**
   * A guard has shown a position that no position of the primary covers yet, and the server that the replica receives from is not
   * known. So the primary is asked whether it has been there. All readers that wait for that share the question.
   */
  async confirms(attempt: Attempt): Promise<boolean> {
    const { clock, monitor } = this.#parts
    const state = this.#topology.nodes.get(attempt.node.key)?.state
    if (this.#topology.primary === null || state?.kind !== 'replica' || !state.follows || state.direct === false)
      return false
    const since = clock.mono()
    monitor.positions.ask()
    await monitor.positions.after(since)
    return this.vouches(attempt)
  }

  #moment(now: Instant, avoid: ReadonlySet<NodeKey>, budget: ProofBudget): Moment {
    const { clock, proofs } = this.#parts
    const evidence = proofs.evidence(budget, now.mono)
    return { now, random: clock.random(), inFlight: this.#inFlight, avoid, evidence }
  }
}

const NONE: ReadonlySet<NodeKey> = new Set()

function attemptOf({ node, reason, required, refused }: Chosen, doubtful: boolean, isHedge: boolean): Attempt {
  return {
    node,
    reason,
    required,
    refused,
    phase: 'connect',
    source: 'unproven',
    doubtful,
    abandoned: false,
    letGo: null,
    movable: isHedge,
    isHedge,
    race: null,
  }
}
