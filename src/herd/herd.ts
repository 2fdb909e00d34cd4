// The live whole: wires belief, looking and waiting together and offers three verbs. run(errand, attempt) is the main path
// of every statement; report(fact) takes in what a face noticed; subscribe(listener) tells faces what changed. Holds no
// application connection and knows nothing of the faces.

import { decisive } from '../config/application.js'
import { type Config, probeConfigFor } from '../config/config.js'
import { keyOf, type NodeAddress, type NodeKey } from '../core/cluster/address.js'
import { aloneOf, isLookedAround } from '../core/cluster/alone.js'
import type { Moment } from '../core/cluster/balance.js'
import type { Change } from '../core/cluster/changes.js'
import {
  type Failure,
  failureOf,
  mayRepair,
  mayRetry,
  missedConnection,
  outcomeOf,
  type Phase,
  type Repeatable,
  type Source,
} from '../core/cluster/failure.js'
import { positionSince } from '../core/cluster/horizon.js'
import { elapsed } from '../core/cluster/instant.js'
import type { Lsn } from '../core/cluster/lsn.js'
import { isUp, type Node } from '../core/cluster/node.js'
import { isLost } from '../core/cluster/outage.js'
import { type Choice, type Chosen, onlyNode, select, selectPrimary, type Target } from '../core/cluster/selection.js'
import type { Position, Receiver } from '../core/cluster/sighting.js'
import { emptyTopology, type Topology, type TopologyEvent } from '../core/cluster/topology.js'
import type { Definitions } from '../core/sql/definitions.js'
import { isA } from '../core/thrown.js'
import { type Discovery, fixed } from '../discovery/discovery.js'
import { dns } from '../discovery/dns.js'
import { replicasOf } from '../discovery/replication.js'
import { endedError, PgherdError, withOutcome } from '../errors.js'
import type { Alarm, Clock } from '../runtime/clock.js'
import { type Complain, complaints, defects } from '../runtime/complaints.js'
import { Catalogue, readingNode, readingTarget } from './catalogue.js'
import { History } from './history.js'
import { Monitor } from './monitor.js'
import { connectionProbe, type ProbeFactory } from './probe.js'
import { FREE, type Freshness, GUARDED, PROVEN, type ProofBudget, Proofs } from './proofs.js'
import { connectionQuestion, type Question } from './question.js'
import { fitReplicas, isReady, type ReadyTarget, trustedPrimary, unready } from './readiness.js'
import { hopeless, type RefusalCode, refusal } from './refusal.js'
import { NO_SESSIONS, type Sessions } from './sessions.js'
import { Sources } from './sources.js'
import { Store } from './store.js'

export type { Freshness } from './proofs.js'

export type { Sessions } from './sessions.js'

/** What a caller wants done: where, and whether it may be done again after a failure. */
export interface Request {
  readonly target: Target
  /** Asked only when an attempt has failed. */
  readonly repeat: () => Repeatable
  /** What a replica cannot do, the primary shall: nobody insisted on a replica. */
  readonly repairs: boolean
  /** A replica refused the statement, so it goes to the primary; later, if that served it. */
  readonly learn?: (refusal: Failure, what: 'refused' | 'served') => void
  /** The same, decided anew: asked while it waits for a node, as what it was decided from may have changed. */
  readonly again?: (() => Request) | undefined
  /** Its answer may never come (a cursor): once it is handed over its client is all that the end of the pool waits for. */
  readonly endless?: true | undefined
  /** The caller gives up: who waits for a node is told so at once. */
  readonly signal?: AbortSignal | undefined
}

/** One attempt: the node that was chosen, and how far the statement got there. The face moves `phase` on. */
export interface Attempt extends Chosen {
  phase: Phase
  /** Who made the error that the attempt ends with: the face saw it, and says so before it rejects. */
  source: Source
  /** A replica refused the statement as if it wrote: it may well do so here. */
  readonly doubtful: boolean
  /** Nobody waits for a connection there any more. */
  abandoned: boolean
  /** Of an endless errand: called when it is handed over. */
  letGo: (() => void) | null
  /** Another server does as well: a login that takes long is not waited for. */
  movable: boolean
}

interface Found {
  readonly place: Attempt
  readonly decided: Request
  readonly target: Target
}

export type Fact =
  /** A connection to this node failed, or said that the node is in recovery. */
  | { readonly kind: 'accused'; readonly key: NodeKey; readonly generation: number; readonly failure: Failure }
  /** A new connection has said which server it leads to. */
  | { readonly kind: 'identified'; readonly key: NodeKey; readonly startedAt: string }
  /** The application wants a node left alone, or used again. */
  | { readonly kind: 'drained' | 'resumed'; readonly key: NodeKey }
  /** A write was acknowledged: reads will ask for a position that covers it. */
  | { readonly kind: 'acknowledged' }
  /** A write was acknowledged, and its position came with it. */
  | { readonly kind: 'captured' }
  /** A connection to a replica showed its position. `guard`: for the sake of a read that was a guess, and needs one taken so long ago. */
  | {
      readonly kind: 'shown'
      readonly key: NodeKey
      readonly generation: number
      readonly position: Position
      /** From whom the replica receives. */
      readonly receiver: Receiver | null
      /** What the read needs: the primary has been there. */
      readonly known: Lsn
      readonly guard: { readonly passed: boolean; readonly ageMillis: number } | null
    }
  /** Functions, views or kinds of tables may have changed; the change is acknowledged. */
  | { readonly kind: 'defined' }

export interface Health {
  /** There is a primary that takes statements. */
  readonly writable: boolean
  /** A read would be served now. */
  readonly readable: boolean
  /** Replicas within the bound that holds now. */
  readonly replicas: number
  /** Statements that wait for a node now, and that have ever waited for one. */
  readonly waiting: number
  readonly waited: number
}

export type HerdListener = (after: Topology, before: Topology, found: readonly Change[]) => void

export interface HerdParts {
  readonly clock: Clock
  readonly probes?: ProbeFactory
  readonly sources?: readonly Discovery[]
  readonly ask?: Question
  /** Told when the catalogue cannot be read, and why. */
  readonly unreadable?: (message: string) => void
  /** Told when a bounded read goes to a standby although nothing proves its bound, as no primary was ever seen. */
  readonly unproven?: () => void
  /** Told everything that may change belief, before it does. */
  readonly onEvent?: (event: TopologyEvent) => void
  /** Begins what outlives the statement that asked for it, apart from that statement's asynchronous context. */
  readonly detached?: (begin: () => void) => void
  /** Told of functions of the application that fail to decide, once for each. */
  readonly complain?: Complain
  /** The face has work on its connections that no run() covers: somebody holds a client. */
  readonly busy?: () => boolean
  /** The face's own sessions with a node. */
  readonly sessions?: (key: NodeKey) => Sessions
}

export class Herd {
  readonly #config: Config
  readonly #clock: Clock
  readonly #store: Store
  readonly #monitor: Monitor
  readonly #sources: Sources
  readonly #catalogue: Catalogue
  /** A server that is well has answered since. */
  readonly #quietMillis: number
  readonly #detached: (begin: () => void) => void
  readonly #loads = new Map<NodeKey, { statements: number }>()
  readonly #proofs: Proofs
  readonly #unproven: () => void
  readonly #inFlight = (key: NodeKey) => this.#loads.get(key)?.statements ?? 0
  /** `ending`: what it has accepted is finished, and nothing new comes. */
  #state: 'new' | 'open' | 'ending' | 'ended' = 'new'
  #running = 0
  #wantsCatalogue = false
  /** Of those, what its callers sent: the end waits for them. */
  #errands = 0
  #finished: () => void = () => {}
  #waited = 0

  constructor(given: Config, parts: HerdParts) {
    const config = decisive(given, parts.complain ?? complaints())
    const { clock } = parts
    const probes = parts.probes ?? connectionProbe(clock, config.requireAuth)
    this.#config = config
    this.#clock = clock
    this.#detached = parts.detached ?? ((begin) => begin())
    this.#unproven = parts.unproven ?? (() => {})
    const rules = {
      hosts: config.seeds.length,
      silentMillis: config.silentMillis,
      strictAsyncCommit: config.strictAsyncCommit,
    }
    this.#store = new Store(emptyTopology(rules), clock, parts.onEvent, defects())
    const probeOf = (address: NodeAddress, interrupted: () => void) =>
      probes(
        probeConfigFor(config, address),
        address.origin,
        interrupted,
        parts.sessions?.(keyOf(address)) ?? NO_SESSIONS
      )
    const busy = () => this.#running > 0 || parts.busy?.() === true
    // A tight bound needs samples to match: three of them within it.
    const interval = Math.min(config.monitorIntervalMillis, Math.max(20, config.maxLagMillis / 3))
    this.#monitor = new Monitor(this.#store, clock, interval, probeOf, busy)
    this.#quietMillis = interval * 1.5
    this.#proofs = new Proofs(this.#store, clock, this.#monitor.positions)
    const resting = () => this.#monitor.resting
    this.#sources = new Sources(this.#store, clock, parts.sources ?? sourcesOf(config), resting)
    this.#catalogue = new Catalogue({
      clock,
      ask: parts.ask ?? connectionQuestion(clock, (address) => probeConfigFor(config, address), config.requireAuth),
      choose: (target) => this.#chooseReplica(target, null, PROVEN),
      target: (since) => (this.informs ? readingTarget(this.topology, config, since) : null),
      instead: (isFirst) => readingNode(this.topology, isFirst),
      news: () => this.#store.ask(),
      unreadable: parts.unreadable ?? (() => {}),
    })
    this.#store.subscribe((after, before, found) => {
      this.#detached(() => this.#monitor.follow(after))
      // What a claim is worth, the primary tells.
      const claimed = found.some((change) => change.kind === 'state' && change.to === 'claimant')
      if (claimed && after.primary !== null) {
        this.#monitor.wake(after.primary)
        // And so do its replicas: whom they follow they know first.
        this.#monitor.hurry()
      }
      // A new primary may be another cluster: a restore, an upgrade.
      if (after.epoch !== before.epoch) this.#catalogue.doubt()
      this.#catalogue.follow()
      if (after.primary === null && before.primary !== null) {
        this.#sources.wake()
        this.#monitor.hurry()
      } else if (isLost(after) && !isLost(before)) this.#sources.hurry()
      this.#discoverReplicas(after, before)
    })
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

  /** The catalogue is read, as statements may be routed by it. With one server it is only where a statement asked for it. */
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
    this.#running++
    const nothing = { target: PRIMARY, refused: () => NO_REFUSALS, newest: null, waitedMillis: 0 }
    const find = (topology: Topology) => {
      const given = hopeless(topology, this.#config, { ...nothing, now: this.#clock.now() })
      if (given !== null) throw given.error
      return topology.plural || readingNode(topology, true) !== null || undefined
    }
    try {
      const left = () => this.#patience() - (this.#clock.mono() - startedAt)
      if (await this.#store.waitFor(find, left(), signal)) await this.#within(left(), this.#catalogue.arrived)
    } finally {
      this.#running--
    }
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

  /** Choose a node, let the face attempt it, judge the failure, again or throw. */
  async run<T>(errand: Request, attempt: (place: Attempt) => Promise<T>): Promise<T> {
    let startedAt = this.open()
    let history: History | null = null
    let decided = errand
    let { target } = errand
    let budget = FREE
    const letGo = errand.endless === undefined ? null : once(() => this.#done())
    this.#begin()
    try {
      for (;;) {
        let place = this.#choose(target, history, budget)
        if (place === 'awaits') {
          budget = { ...budget, mayAwait: false }
          await this.#proofs.awaited(target)
          place = this.#choose(target, history, budget)
        }
        if (place === undefined || place === 'awaits') {
          history ??= new History()
          ;({ place, decided, target } = await this.#wait(errand, target, history, budget, startedAt))
        }
        place.letGo = letGo
        place.movable = decided.repairs && place.node.state.kind === 'replica'
        const attemptAt = history === null ? startedAt : this.#clock.mono()
        const load = this.#loadOf(place.node.key)
        load.statements++
        try {
          const result = await (history === null ? attempt(place) : this.#inTime(place, attempt, history, startedAt))
          if (history?.refusal) decided.learn?.(history.refusal, 'served')
          return result
        } catch (error) {
          history ??= new History()
          const now = this.#clock.mono()
          if (place.phase === 'connect') history.connecting(now - attemptAt)
          // What a server worked on the statement does not count as waiting for one.
          else startedAt = now - history.waitedMillis - history.connectingMillis
          target = this.#judge(error, place, decided, target, history, startedAt)
          // One guess is fair: after a guard that failed only what is proven will do, else the primary.
          if (place.reason === 'guarded') budget = { mayAwait: false, mayGuard: insists(target) }
        } finally {
          load.statements--
        }
      }
    } finally {
      this.#running--
      if (letGo === null) this.#done()
      else letGo()
    }
  }

  #begin(): void {
    this.#running++
    this.#errands++
  }

  #done(): void {
    this.#errands--
    if (this.#errands === 0 && this.#state === 'ending') this.#finished()
  }

  /** What was waited for a node is no more to be had for a connection: a limit that the caller has set is one for both. */
  async #inTime<T>(
    place: Attempt,
    attempt: (place: Attempt) => Promise<T>,
    history: History,
    startedAt: number
  ): Promise<T> {
    // With one server the limits are pg's own.
    if (this.#config.connectionTimeoutMillis === null || !this.topology.plural) return attempt(place)
    const late = () => {
      history.connecting(this.#clock.mono() - from)
      return refusal('PGHERD_TIMEOUT', this.topology, NO_REFUSALS, this.#config, history.newest, history.spent)
    }
    const from = this.#clock.mono()
    return new Promise((resolve, reject) => {
      const left = this.#patience() - (from - startedAt)
      const alarm = this.#clock.alarm(Math.max(0, left), () => {
        if (place.phase !== 'connect') return
        place.abandoned = true
        reject(late())
      })
      attempt(place)
        .finally(() => alarm.cancel())
        .then(resolve, reject)
    })
  }

  /** Where to try again after a failure; throws the error where there is no trying again. */
  #judge(error: unknown, place: Attempt, errand: Request, target: Target, history: History, startedAt: number): Target {
    const { node, phase } = place
    // The caller's own object, perhaps of many statements: it says nothing of a node, and is given back as it is.
    if (errand.signal?.aborted && error === errand.signal.reason) throw error
    const failure = failureOf(error, phase, place.source)
    // What a replica refused as if it wrote is no read: should its reply be lost, nobody knows what became of it.
    const repeat = place.doubtful ? { ...errand.repeat(), read: false } : errand.repeat()
    const onReplica = node.state.kind === 'replica'
    const repair = onReplica && errand.repairs && mayRepair(failure, repeat) && this.#mayMend(failure)
    // No news: a replica does not write, and what two servers refuse is the statement's own.
    const expected = failure.kind === 'role' && (onReplica || history.refusal?.kind === 'role')
    // A repair or another replica is at hand: only waiting for a node takes patience.
    const atHand = repair || failure.kind === 'conflict' || this.#mayWait(startedAt)
    const again =
      history.add(place, failure, this.#clock.mono()) && (repair || (!expected && mayRetry(failure, repeat))) && atHand
    if (failure.accuses && !expected) this.report({ kind: 'accused', ...identity(node), failure })
    if (!again || !this.#hasOther(history)) {
      throw this.#overdue(failure, node, target, history) ?? withOutcome(error, outcomeOf(failure, repeat))
    }
    if (!repair) return target
    history.repaired = true
    // What befell a connection before the statement was sent says nothing about the statement, but for this.
    if (failure.sent === 'rejected' || failure.kind === 'isolation') this.#learn(failure, errand, history)
    return PRIMARY
  }

  /**
   * A connection did not come in time, and its server may be the reason: pg's words would say that the pool is too small. With
   * one server, and where all connections of a server that is well are busy, they are right. Null: something else failed.
   */
  #overdue(failure: Failure, { key, generation }: Node, target: Target, history: History): PgherdError | null {
    const missed = missedConnection(failure)
    const { topology } = this
    if (missed === null || !topology.plural || this.#state !== 'open') return null
    const node = topology.nodes.get(key)
    const quietMillis = node?.answeredAt ? elapsed(node.answeredAt, this.#clock.now()) : Infinity
    const isQuiet = quietMillis > this.#quietMillis
    const isWell = node !== undefined && isUp(node) && node.suspect === null && node.generation === generation
    if (missed === 'queue' && isWell && !isQuiet) return null
    const quiet =
      isQuiet && quietMillis < Infinity ? ` Nothing was heard of ${key} for ${Math.round(quietMillis)} ms.` : ''
    const others = select({ ...topology, primary: null }, target, this.#config.balance, this.#moment(NOBODY, PROVEN))
    const refused = new Map([...others.refused, [key, 'avoided']] as const)
    return refusal('PGHERD_TIMEOUT', topology, refused, this.#config, failure, history.spent + quiet)
  }

  /** What is missing on a replica is probably misspelt, and a refused login is so everywhere: without a primary none is waited for. */
  #mayMend({ kind }: Failure): boolean {
    return this.#state !== 'ended' && ((kind !== 'missing' && kind !== 'denied') || this.topology.primary !== null)
  }

  #learn(refusal: Failure, errand: Request, history: History): void {
    history.refusal = refusal
    this.#catalogue.doubt()
    errand.learn?.(refusal, 'refused')
  }

  /** The decision as it would fall now, without acting on it. */
  look(target: Target): Choice {
    this.open()
    return select(this.topology, target, this.#config.balance, this.#moment(NOBODY, GUARDED))
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
    // Clients that are out when the pool ends go on alone.
    if (this.#state === 'ending' || this.#state === 'ended') return false
    this.open()
    if (target.role !== 'replica') return false
    const choice = this.#chooseReplica(target, null, FREE)
    return choice.node === null ? choice.awaits === true : choice.node.state.kind === 'replica'
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
  async positionSince(
    since: number,
    asynchronous: boolean,
    replica: NodeKey | null = null
  ): Promise<{ readonly lsn: Lsn; readonly topology: Topology }> {
    const startedAt = this.open()
    const find = (topology: Topology) => {
      if (!this.#mayHope(PRIMARY)) throw endedError()
      const lsn =
        (topology.primary === null ? undefined : positionSince(topology.wal, since, asynchronous)?.lsn) ??
        (replica === null ? undefined : shownSince(topology.nodes.get(replica), since))
      return lsn === undefined ? undefined : { lsn, topology }
    }
    this.#begin()
    try {
      if (find(this.topology) === undefined) {
        for (const key of [this.topology.primary, replica]) if (key !== null) this.#monitor.wake(key)
      }
      const found = await this.#store.waitFor(find, this.#patience() - (this.#clock.mono() - startedAt))
      if (found !== undefined) return found
      throw refusal(missing(this.topology, PRIMARY), this.topology, this.look(PRIMARY).refused, this.#config, null)
    } finally {
      this.#running--
      this.#done()
    }
  }

  /** What a caller could have done now. Awaits nothing, and keeps the servers looked at as a statement does. */
  get health(): Health {
    const { topology } = this
    const maxStaleMillis = topology.primary === null ? this.#config.maxStaleMillis : 0
    const bound = Math.max(this.#config.maxLagMillis, maxStaleMillis)
    const writable = this.#state === 'open' && trustedPrimary(topology) !== null
    const replicas = this.#state === 'open' ? fitReplicas(topology, bound, this.#clock.now(), this.#servesAlone) : 0
    // Who is told no sends no statements, and without any nobody would look whether that is still so.
    if (this.#state !== 'ended') this.open()
    return {
      writable,
      readable: writable || replicas > 0,
      replicas,
      waiting: this.#store.waiting,
      waited: this.#waited,
    }
  }

  /** How many statements wait for a node right now. */
  get waiting(): number {
    return this.#store.waiting
  }

  /** Waits until the wanted nodes are there; the error after `millis` tells what is missing. */
  async ready(wanted: ReadyTarget, millis: number): Promise<void> {
    const startedAt = this.open()
    this.#running++
    const patient = { ...this.#config, patient: true }
    const nothing = { target: PRIMARY, refused: () => NO_REFUSALS, newest: null, waitedMillis: 0 }
    const find = (topology: Topology) => {
      if (this.#state !== 'open') throw endedError()
      const given = hopeless(topology, patient, { ...nothing, now: this.#clock.now() })
      if (given !== null) throw given.error
      return isReady(topology, wanted, this.#clock.now(), this.#servesAlone) || undefined
    }
    try {
      const left = () => millis - (this.#clock.mono() - startedAt)
      if (await this.#store.waitFor(find, millis)) {
        const informed = wanted.replicas === 0 || this.#config.attributes !== 'any'
        if (informed || (await this.#within(left(), this.#catalogue.arrived))) return
      }
      throw unready(this.topology, wanted, millis, this.#clock.now(), this.#servesAlone)
    } finally {
      this.#running--
    }
  }

  /** The addresses of a host that was configured by name, once it has been looked up; undefined: it is none, or has none in time. */
  async resolved(name: string, millis: number): Promise<readonly NodeKey[] | undefined> {
    if (!this.#config.seeds.some((seed) => seed.lookup && keyOf(seed) === name)) return undefined
    this.#running++
    try {
      const find = (topology: Topology) => {
        const found = namedSo(topology, name)
        return found.length === 0 ? undefined : found
      }
      return await this.#store.waitFor(find, Math.min(millis, this.#config.failoverTimeoutMillis))
    } finally {
      this.#running--
    }
  }

  /** False: it did not happen in time. */
  async #within(millis: number, event: Promise<void>): Promise<boolean> {
    let alarm: Alarm | undefined
    const late = new Promise<boolean>((resolve) => {
      alarm = this.#clock.alarm(millis, () => resolve(false), 'process')
    })
    const happened = await Promise.race([event.then(() => true), late])
    alarm?.cancel()
    return happened
  }

  /** The first statement starts everything; after a rest it wakes the loops. Gives the moment, on the monotonic clock. */
  open(): number {
    const now = this.#clock.mono()
    if (this.#state === 'ended') throw endedError()
    if (this.#state === 'new') {
      this.#state = 'open'
      this.#detached(() => this.#sources.start())
    }
    if (this.#monitor.touch(now)) this.#detached(() => this.#sources.wake())
    return now
  }

  /** Statements wait for the very first look at the servers, as with pg they wait for a connection. */
  get isCold(): boolean {
    return this.#state !== 'ended' && this.topology.epoch === 0 && this.#store.waiting > 0
  }

  /**
   * Takes no new statements, and resolves when those that it had accepted are done; null: they are. What waits for a failover is
   * rejected at once; what waits for the first look, or for the answer of a suspect node, waits for that. What runs may need to
   * know that its server has gone.
   */
  finish(): Promise<void> | null {
    this.#state = 'ending'
    this.#store.dispatch({ kind: 'ended' })
    if (this.#errands === 0) return null
    return new Promise((resolve) => {
      this.#finished = resolve
    })
  }

  /** No statement is left: ends what begins looks and questions, and every wait. */
  end(): void {
    this.#state = 'ended'
    this.#sources.stop()
    this.#catalogue.stop()
    this.#store.dispatch({ kind: 'ended' })
    this.#store.rejectWaiters(endedError())
  }

  /** Nothing runs any more: ends looking. */
  close(): void {
    this.#monitor.stop()
  }

  #choose(target: Target, history: History | null, budget: ProofBudget): Attempt | 'awaits' | undefined {
    const choice =
      target.role === 'primary'
        ? selectPrimary(this.topology, history?.avoided(this.topology) ?? NOBODY)
        : this.#chooseReplica(target, history, budget)
    if (choice.node === null) return choice.awaits ? 'awaits' : undefined
    const { node, reason, required, refused } = choice
    if (reason === 'unproven') this.#unproven()
    const refusal = history?.refusal?.kind
    return {
      node,
      reason,
      required,
      refused,
      phase: 'connect',
      source: 'unproven',
      doubtful: refusal === 'role' || refusal === 'unfit',
      abandoned: false,
      letGo: null,
      movable: false,
    }
  }

  /** A read that only lacks proof asks for it on behalf of the next. */
  #chooseReplica(target: Target, history: History | null, budget: ProofBudget): Choice {
    const moment = this.#moment(history?.avoided(this.topology) ?? NOBODY, budget)
    this.#monitor.noteRead(moment.now.mono)
    const choice = select(this.topology, target, this.#config.balance, moment)
    if (choice.node?.state.kind === 'replica') return choice
    if (choice.node === null && choice.awaits) return choice
    // Once for a statement: after a failure it comes here again.
    if (history === null) this.#proofs.missed(choice.refused)
    const refusals = new Set(choice.refused.values())
    if (refusals.has('unproven') || refusals.has('no-position') || insists(target)) this.#monitor.demand()
    return choice
  }

  #noteShown({ key, generation, position, receiver, known, guard }: Extract<Fact, { kind: 'shown' }>): void {
    if (guard !== null) this.#proofs.guarded(key, guard.passed, guard.ageMillis)
    this.#store.dispatch({ kind: 'shown', key, generation, position, receiver, known, at: this.#clock.now() })
  }

  /** A place for the errand, and the errand as it was decided last: whatever it waits for is decided anew with each change. */
  async #wait(
    errand: Request,
    first: Target,
    history: History,
    budget: ProofBudget,
    startedAt: number
  ): Promise<Found> {
    // A listener may have ended the herd while this statement's own failure was being told.
    this.open()
    let decided = errand
    let target = first
    const from = this.#clock.mono()
    // A replica that might prove itself has been tried by now.
    const refused = () => select(this.topology, target, this.#config.balance, this.#moment(NOBODY, PROVEN)).refused
    const told = (code: RefusalCode) => {
      history.waitedMillis += this.#clock.mono() - from
      return refusal(code, this.topology, refused(), this.#config, history.newest, history.spent)
    }
    const find = (): Found | undefined => {
      // What a replica has refused is the primary's, whatever else becomes known.
      if (errand.again !== undefined && !history.repaired) {
        decided = errand.again()
        target = decided.target
      }
      const now = this.#clock.now()
      // One guess is fair, also for a read that waits; from then on the positions decide.
      const place = this.#choose(target, history, { mayAwait: false, mayGuard: budget.mayGuard || insists(target) })
      if (place !== undefined && place !== 'awaits') return { place, decided, target }
      const waitedMillis = now.mono - startedAt
      const { newest } = history
      const given = hopeless(this.topology, this.#config, { target, refused, newest, waitedMillis, now })
      if (given !== null) throw given.error
      if (!this.#mayHope(target, errand)) throw this.#overWith(newest, decided)
      return undefined
    }
    if (this.topology.epoch > 0 && this.#store.waiting >= this.#config.failoverQueue) throw told('PGHERD_QUEUE_FULL')
    this.#waited++
    this.#detached(() => this.#sources.hurry())
    const minds = () => target.role === 'replica'
    const found = await this.#store.waitFor(find, this.#patience() - (from - startedAt), errand.signal, minds)
    if (found === undefined) throw told(missing(this.topology, target))
    history.waitedMillis += this.#clock.mono() - from
    return found
  }

  /**
   * At the end of the pool: a node may be there without a failover, and before long. The first look decides, the answer of a
   * primary that is there, or of a replica that is suspect, or what the catalogue says, which is being read.
   */
  #mayHope(target: Target, { again }: Partial<Request> = {}): boolean {
    if (this.#state !== 'ending') return this.#state !== 'ended'
    const { topology } = this
    if (topology.epoch === 0 && !isLookedAround(topology)) return true
    if (again !== undefined && target.role === 'primary' && this.#catalogue.reading) return true
    const primary = topology.primary === null ? undefined : topology.nodes.get(topology.primary)
    if (primary !== undefined && !primary.draining) return true
    const isUndecided = ({ state, suspect }: Node) => state.kind === 'replica' && suspect !== null
    return target.role === 'replica' && [...topology.nodes.values()].some(isUndecided)
  }

  /** What a statement that will not be tried again is rejected with: its own failure, if that is one of its caller's to read. */
  #overWith(newest: Failure | null, { repeat }: Request): unknown {
    if (newest === null || isA(newest.error, PgherdError)) return endedError()
    return withOutcome(newest.error, outcomeOf(newest, repeat()))
  }

  #patience(): number {
    return Math.min(this.#config.failoverTimeoutMillis, this.#config.connectionTimeoutMillis ?? Infinity)
  }

  /** Standbys serve the reads of this pool though nothing proves them, where no primary was ever seen. */
  get #servesAlone(): boolean {
    return aloneOf(this.#config) === 'serve'
  }

  #mayWait(startedAt: number): boolean {
    return this.#state !== 'ended' && this.#clock.mono() - startedAt < this.#patience()
  }

  /** While only one server was ever known its errors are the answer, as with pg: at once, after its last address. */
  #hasOther(history: History): boolean {
    if (this.topology.plural || this.#config.patient || history.newest?.kind === 'dropped') return true
    return onlyNode(this.topology, history.avoided(this.topology)) !== undefined
  }

  #moment(avoid: ReadonlySet<NodeKey>, budget: ProofBudget): Moment {
    const now = this.#clock.now()
    const evidence = this.#proofs.evidence(budget, now.mono)
    return { now, random: this.#clock.random(), inFlight: this.#inFlight, avoid, evidence }
  }

  /**
   * What was chosen then holds now: between choice and execution the history may have changed, or the replica been found to be
   * on another, and what a guard shows counts only where the replica is known to follow.
   */
  vouches({ node, required }: Attempt): boolean {
    if (required === null || node.state.kind !== 'replica') return true
    const now = this.topology.nodes.get(node.key)
    if (now === undefined || now.state.kind !== 'replica' || !now.state.follows) return false
    const { state, lineage } = now
    if (lineage.epoch !== node.lineage.epoch) return false
    return state.position !== null && state.position.lsn >= required.lsn
  }

  /**
   * A guard has shown a position that no position of the primary covers yet, and it is not known from whom the replica receives: the
   * primary is asked whether it has been there. Those who wait for that share the question.
   */
  async confirms(place: Attempt): Promise<boolean> {
    const state = this.topology.nodes.get(place.node.key)?.state
    if (this.topology.primary === null || state?.kind !== 'replica' || !state.follows || state.direct === false)
      return false
    const since = this.#clock.mono()
    this.#monitor.positions.ask()
    await this.#monitor.positions.after(since)
    return this.vouches(place)
  }

  /** What runs on a node: counted here, read by the balance policies. */
  #loadOf(key: NodeKey): { statements: number } {
    let load = this.#loads.get(key)
    if (load === undefined) {
      load = { statements: 0 }
      this.#loads.set(key, load)
    }
    return load
  }

  /** The primary names its replicas in every full probe. */
  #discoverReplicas(after: Topology, before: Topology): void {
    const primary = after.primary === null ? undefined : after.nodes.get(after.primary)
    const senders = primary?.seen?.detail?.senders
    if (primary === undefined || senders === undefined) return
    if (senders === before.nodes.get(primary.key)?.seen?.detail?.senders && after.primary === before.primary) return
    const { replication, onDiscover } = this.#config
    const source = 'replication'
    const at = this.#clock.now()
    try {
      const origin = replication.use ? 'discovered' : 'shown'
      const found = replicasOf(senders, primary.address, replication.settings, origin)
      const addresses = found.filter((address) => after.nodes.has(keyOf(address)) || onDiscover(address))
      this.#store.dispatch({ kind: 'discovered', source, addresses, at })
    } catch (error) {
      // The user's mapper or onDiscover threw: a blind source, not a broken loop. The errors that list nodes show it.
      this.#store.dispatch({ kind: 'discovery-failed', source, failure: failureOf(error, 'connect'), at })
    }
  }
}

/** The nodes that the application means by `host:port`: the node of this name, or all addresses of a host of this name. */
export function namedSo({ nodes }: Topology, name: string): readonly NodeKey[] {
  if (nodes.has(name as NodeKey)) return [name as NodeKey]
  const isOf = ({ servername, port }: NodeAddress) => servername !== null && keyOf({ host: servername, port }) === name
  return [...nodes.values()].filter(({ address }) => isOf(address)).map(({ key }) => key)
}

const PRIMARY: Target = { role: 'primary' }
const NO_REFUSALS: Choice['refused'] = new Map()
const NOBODY: ReadonlySet<NodeKey> = new Set()

/** What a new connection has met, a probe on an old one may not see: its server turns others away, or is no longer there. */
function isOfNewConnection({ kind, sent }: Failure): boolean {
  return kind === 'starting' || kind === 'unreachable' || (kind === 'role' && sent === 'never')
}

function once(call: () => void): () => void {
  let isDone = false
  return () => {
    if (!isDone) call()
    isDone = true
  }
}

/** Only a replica will do. */
function insists(target: Target): boolean {
  return target.role === 'replica' && target.otherwise === 'refuse'
}

/** What the replica had replayed at some time after `since`: all that it had shown before. */
function shownSince(node: Node | undefined, since: number): Lsn | undefined {
  if (node?.state.kind !== 'replica' || !node.state.follows) return undefined
  const { position } = node.state
  return position !== null && position.askedAt.mono > since ? position.lsn : undefined
}

function missing(topology: Topology, target: Target): RefusalCode {
  if (target.role === 'replica' && target.otherwise === 'refuse') return 'PGHERD_NO_REPLICA'
  return topology.contested === null ? 'PGHERD_NO_PRIMARY' : 'PGHERD_CONTESTED_PRIMARY'
}

function identity({ key, generation }: Node): { readonly key: NodeKey; readonly generation: number } {
  return { key, generation }
}

function sourcesOf(config: Config): readonly Discovery[] {
  const literal = config.seeds.filter(({ lookup }) => !lookup)
  const addresses = literal.map(
    ({ host, port }): NodeAddress => ({ host, port, servername: null, origin: 'configured' })
  )
  const names = config.seeds.filter(({ lookup }) => lookup)
  return [...(addresses.length > 0 ? [fixed(addresses)] : []), ...names.map(({ host, port }) => dns(host, port))]
}
