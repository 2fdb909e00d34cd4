// The live whole: wires belief, looking and waiting together. run(request, attempt) is the main path of every statement;
// report(fact) takes in what a face noticed; subscribe(listener) tells faces what changed. The herd holds no application
// connection and knows nothing of the faces.

import { decisive } from '../config/application.js'
import type { Config } from '../config/config.js'
import type { NodeKey } from '../core/cluster/address.js'
import { aloneOf } from '../core/cluster/alone.js'
import type { Change } from '../core/cluster/changes.js'
import { isLost } from '../core/cluster/outage.js'
import type { Choice, Target } from '../core/cluster/selection.js'
import { emptyTopology, type Topology } from '../core/cluster/topology.js'
import type { Definitions } from '../core/sql/definitions.js'
import { endedError } from '../errors.js'
import type { Clock } from '../runtime/clock.js'
import { complaints, defects } from '../runtime/complaints.js'
import { Catalogue, type CatalogueParts, readingNode, readingTarget } from './catalogue.js'
import { Chooser } from './choice.js'
import { Execution, type ExecutionParts } from './execution.js'
import { type Fact, isOfNewConnection } from './facts.js'
import { Hedges } from './hedge.js'
import { Lifecycle } from './lifecycle.js'
import { Monitor } from './monitor.js'
import { type Health, type HerdListener, type HerdParts, probesOf, questionOf, rulesOf } from './parts.js'
import { FREE, type Freshness, GUARDED, PROVEN, Proofs } from './proofs.js'
import { fitReplicas, type Readiness, type ReadyTarget, trustedPrimary } from './readiness.js'
import type { Attempt, Request } from './request.js'
import { discoverReplicas, Sources, sourcesOf } from './sources.js'
import { Store } from './store.js'
import { type Placed, Waits } from './waits.js'

export type { Fact } from './facts.js'
export { namedSo } from './named.js'
export type { Health, HerdListener, HerdParts } from './parts.js'
export type { Freshness } from './proofs.js'
export type { Readiness } from './readiness.js'
export { type Attempt, hasWon, type Request } from './request.js'
export type { Sessions } from './sessions.js'

/** A server has gone down, so its name may lead to another one. */
const isLoss = (change: Change) => change.kind === 'state' && change.to === 'down'

export class Herd {
  readonly #config: Config
  readonly #clock: Clock
  readonly #detached: (begin: () => void) => void
  readonly #store: Store
  readonly #lifecycle = new Lifecycle()
  readonly #monitor: Monitor
  readonly #sources: Sources
  readonly #catalogue: Catalogue
  readonly #proofs: Proofs
  readonly #chooser: Chooser
  readonly #execution: ExecutionParts
  readonly #waits: Waits
  #wantsCatalogue = false
  #waited = 0

  constructor(given: Config, parts: HerdParts) {
    const config = decisive(given, parts.complain ?? complaints())
    const { clock, unproven = () => {} } = parts
    this.#config = config
    this.#clock = clock
    this.#detached = parts.detached ?? ((begin) => begin())
    this.#store = new Store(emptyTopology(rulesOf(config)), clock, parts.onEvent, defects())
    const store = this.#store
    const busy = () => this.#lifecycle.isBusy || parts.busy?.() === true
    // A tight bound needs samples to match: three of them within it.
    const interval = Math.min(config.monitorIntervalMillis, Math.max(20, config.maxLagMillis / 3))
    this.#monitor = new Monitor(store, clock, interval, probesOf(config, parts), busy)
    this.#proofs = new Proofs(store, clock, this.#monitor.positions)
    this.#sources = new Sources(
      store,
      clock,
      parts.sources ?? sourcesOf(config, store),
      () => this.#monitor.resting,
      () => this.#monitor.wakeAll()
    )
    this.#chooser = new Chooser({ config, clock, store, monitor: this.#monitor, proofs: this.#proofs, unproven })
    this.#catalogue = new Catalogue(this.#catalogueParts(parts))
    const shared = {
      config,
      clock,
      store,
      lifecycle: this.#lifecycle,
      chooser: this.#chooser,
      open: () => this.open(),
    }
    this.#waits = new Waits({ ...shared, monitor: this.#monitor, catalogue: this.#catalogue })
    const accuse: ExecutionParts['accuse'] = ({ key, generation }, failure) =>
      this.report({ kind: 'accused', key, generation, failure })
    this.#execution = {
      ...shared,
      proofs: this.#proofs,
      hedges: new Hedges({ ...shared, accuse }),
      quietMillis: interval * 1.5,
      accuse,
      waits: () => {
        this.#waited++
        this.#detached(() => this.#sources.hurry())
      },
      doubt: () => this.#catalogue.doubt(),
      isReading: () => this.#catalogue.reading,
    }
    store.subscribe((after, before, found) => this.#follow(after, before, found))
  }

  #catalogueParts(parts: HerdParts): CatalogueParts {
    const config = this.#config
    return {
      clock: parts.clock,
      ask: questionOf(config, parts),
      choose: (target) => this.#chooser.chooseReplica(target, null, PROVEN),
      target: (since) => (this.informs ? readingTarget(this.topology, config, since) : null),
      instead: (isFirst) => readingNode(this.topology, isFirst),
      news: () => this.#store.ask(),
      unreadable: parts.unreadable ?? (() => {}),
    }
  }

  #follow(after: Topology, before: Topology, found: readonly Change[]): void {
    this.#detached(() => this.#monitor.follow(after))
    // The primary tells what a claim is worth.
    const claimed = found.some((change) => change.kind === 'state' && change.to === 'claimant')
    if (claimed && after.primary !== null) {
      this.#monitor.wake(after.primary)
      // Its replicas tell as well: they are the first to know which server they follow.
      this.#monitor.hurry()
    }
    // A new primary may be another cluster: a restore, an upgrade.
    if (after.epoch !== before.epoch) this.#catalogue.doubt()
    this.#catalogue.follow()
    if (after.primary === null && before.primary !== null) {
      this.#sources.wake()
      this.#monitor.hurry()
    } else if ((isLost(after) && !isLost(before)) || found.some(isLoss)) this.#sources.hurry()
    discoverReplicas(this.#store, this.#clock, this.#config, after, before)
  }

  get topology(): Topology {
    return this.#store.topology
  }

  /** What the database says of its names, as far as it has been read. A new value whenever it changed. */
  get definitions(): Definitions {
    return this.#catalogue.definitions
  }

  /** False: what names hide is not known yet, so only the primary is safe. */
  get informed(): boolean {
    return this.#catalogue.current
  }

  /** The catalogue is read, as statements may be routed by it. With one server it is read only where a statement asked for it. */
  get informs(): boolean {
    return this.topology.plural || this.#wantsCatalogue
  }

  /**
   * Has the catalogue read though there is one server, and resolves when that was tried. Throws where no server can be asked, as
   * a statement would.
   */
  async inform(signal?: AbortSignal): Promise<void> {
    const startedAt = this.open()
    this.#wantsCatalogue = true
    this.#catalogue.follow()
    await this.#waits.catalogue(startedAt, signal)
  }

  subscribe(listener: HerdListener): () => void {
    return this.#store.subscribe(listener)
  }

  report(fact: Fact): void {
    switch (fact.kind) {
      case 'acknowledged':
        this.#monitor.sample()
        break
      case 'captured':
        this.#proofs.captured()
        break
      case 'defined':
        this.#catalogue.changed()
        break
      case 'shown':
        this.#noteShown(fact)
        break
      case 'identified':
        this.#store.dispatch({ ...fact, at: this.#clock.now() })
        break
      case 'drained':
      case 'resumed':
        this.#store.dispatch(fact)
        break
      case 'accused':
        this.#store.dispatch({ ...fact, at: this.#clock.now() })
        if (isOfNewConnection(fact.failure)) this.#monitor.renew(fact.key)
        else this.#monitor.wake(fact.key)
        break
      default:
        fact satisfies never
    }
  }

  #noteShown({ key, generation, position, receiver, known, guard }: Extract<Fact, { kind: 'shown' }>): void {
    if (guard !== null) this.#proofs.guarded(key, guard.passed, guard.ageMillis)
    this.#store.dispatch({ kind: 'shown', key, generation, position, receiver, known, at: this.#clock.now() })
  }

  /** Chooses a node, lets the face attempt it, and judges a failure: another attempt, or the error. */
  run<T>(request: Request, attempt: (attempt: Attempt) => Promise<T>): Promise<T> {
    return new Execution(this.#execution, request, attempt).run()
  }

  /** The decision as it would fall now, without acting on it. */
  look(target: Target): Choice {
    this.open()
    return this.#chooser.decide(target, GUARDED)
  }

  /** How reads fared that asked for a replica. */
  get freshness(): Freshness {
    return this.#proofs.counts
  }

  /** Reads come from replicas, and will ask for what is written now. */
  get hasReaders(): boolean {
    return this.#monitor.hasReaders
  }

  /** A replica would be chosen for this target now, perhaps after a question to the primary. */
  prefersReplica(target: Target): boolean {
    const { state } = this.#lifecycle
    // Clients that are out when the pool ends go on alone.
    if (state === 'ending' || state === 'ended') return false
    this.open()
    if (target.role !== 'replica') return false
    const choice = this.#chooser.chooseReplica(target, null, FREE)
    return choice.node === null ? choice.awaits === true : choice.node.state.kind === 'replica'
  }

  /** What was chosen then holds now. */
  vouches(attempt: Attempt): boolean {
    return this.#chooser.vouches(attempt)
  }

  /** What a guard has shown holds, perhaps after a question to the primary. */
  confirms(attempt: Attempt): Promise<boolean> {
    return this.#chooser.confirms(attempt)
  }

  /** The face has no connection to a full server, and the place of the probe there would do. False: there is none. */
  yieldProbe(key: NodeKey): boolean {
    return this.#monitor.yield(key)
  }

  /** Has the primary asked how far its WAL reaches. */
  askPosition(): void {
    this.open()
    this.#monitor.positions.ask()
  }

  /** A position of the primary, or of this replica, asked for after `since`; and the picture that it belongs to. */
  positionSince(since: number, asynchronous: boolean, replica: NodeKey | null = null): Promise<Placed> {
    return this.#waits.positionSince(since, asynchronous, replica)
  }

  /** What a caller could have done now. Awaits nothing, and keeps the servers looked at as a statement does. */
  get health(): Health {
    const { topology } = this
    const { state } = this.#lifecycle
    const maxStaleMillis = topology.primary === null ? this.#config.maxStaleMillis : 0
    const bound = Math.max(this.#config.maxLagMillis, maxStaleMillis)
    // Standbys serve the reads of this pool though nothing proves them, where no primary was ever seen.
    const servesAlone = aloneOf(this.#config) === 'serve'
    const writable = state === 'open' && trustedPrimary(topology) !== null
    const replicas = state === 'open' ? fitReplicas(topology, bound, this.#clock.now(), servesAlone) : 0
    // A caller that is told no sends no statements. Without statements the servers would not be looked at again.
    if (state !== 'ended') this.open()
    return { writable, readable: writable || replicas > 0, replicas, waiting: this.waiting, waited: this.#waited }
  }

  /** How many statements wait for a node right now. */
  get waiting(): number {
    return this.#store.waiting
  }

  /** Waits until the wanted nodes are there; the error after `millis` tells what is missing. */
  ready(wanted: ReadyTarget, millis: number): Promise<Readiness> {
    return this.#waits.ready(wanted, millis)
  }

  /** The addresses of a host that was configured by name, once it has been looked up; undefined: it is none, or has none in time. */
  resolved(name: string, millis: number): Promise<readonly NodeKey[] | undefined> {
    return this.#waits.resolved(name, millis)
  }

  /** The first statement starts everything; after a rest it wakes the loops. Gives the moment, on the monotonic clock. */
  open(): number {
    const now = this.#clock.mono()
    if (this.#lifecycle.open()) this.#detached(() => this.#sources.start())
    if (this.#monitor.touch(now)) this.#detached(() => this.#sources.wake())
    return now
  }

  /** Statements wait for the very first look at the servers, as with pg they wait for a connection. */
  get isCold(): boolean {
    return this.#lifecycle.state !== 'ended' && this.topology.epoch === 0 && this.#store.waiting > 0
  }

  /**
   * Takes no new statements, and resolves when those that it had accepted are done; null: they are. A statement that waits for a
   * failover is rejected at once. One that waits for the first look, or for the answer of a suspect node, waits for that. Looking
   * goes on, as a statement that runs may need to know that its server has gone.
   */
  finish(): Promise<void> | null {
    this.#lifecycle.ending()
    this.#store.dispatch({ kind: 'ended' })
    return this.#lifecycle.finished()
  }

  /** No statement is left: ends what begins looks and questions, and every wait. */
  end(): void {
    this.#lifecycle.ended()
    this.#sources.stop()
    this.#catalogue.stop()
    this.#store.dispatch({ kind: 'ended' })
    this.#store.rejectWaiters(endedError())
  }

  /** Nothing runs any more: ends looking. */
  close(): void {
    this.#monitor.stop()
  }
}
