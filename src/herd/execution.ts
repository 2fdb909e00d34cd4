// The execution of one request: choose a node, let the face attempt it, judge the failure, then try again or throw.

import type { Config } from '../config/config.js'
import { type Failure, failureOf, mayRepair, mayRetry, missedConnection, outcomeOf } from '../core/cluster/failure.js'
import { elapsed } from '../core/cluster/instant.js'
import { isUp, type Node } from '../core/cluster/node.js'
import { onlyNode, type Target } from '../core/cluster/selection.js'
import type { Topology } from '../core/cluster/topology.js'
import { isA } from '../core/thrown.js'
import { endedError, PgherdError, withOutcome } from '../errors.js'
import type { Clock } from '../runtime/clock.js'
import type { Chooser } from './choice.js'
import type { Hedges } from './hedge.js'
import { History } from './history.js'
import { type Lifecycle, patienceOf } from './lifecycle.js'
import { FREE, PROVEN, type Proofs } from './proofs.js'
import { hopeless, missing, NO_REFUSALS, type RefusalCode, refusal } from './refusal.js'
import { type Attempt, insists, PRIMARY, type Request } from './request.js'
import type { Store } from './store.js'

/** What all executions of a herd share. */
export interface ExecutionParts {
  readonly config: Config
  readonly clock: Clock
  readonly store: Store
  readonly lifecycle: Lifecycle
  readonly chooser: Chooser
  readonly proofs: Proofs
  readonly hedges: Hedges
  /** A server that is well has answered within this time. */
  readonly quietMillis: number
  /** Starts or wakes what looks at the servers. Gives the moment, on the monotonic clock. Throws where the herd has ended. */
  readonly open: () => number
  /** A connection to this node failed, or said that the node is in recovery. */
  readonly accuse: (node: Node, failure: Failure) => void
  /** A statement begins to wait for a node. */
  readonly waits: () => void
  /** A statement failed as if a name meant something else than the catalogue says. */
  readonly doubt: () => void
  /** The catalogue is being read. */
  readonly isReading: () => boolean
}

export class Execution<T> {
  readonly #parts: ExecutionParts
  readonly #request: Request
  readonly #perform: (attempt: Attempt) => Promise<T>
  /** The request as it was decided last. */
  #decided: Request
  #target: Target
  #budget = FREE
  /** Null: no attempt has failed, and no wait was needed. */
  #history: History | null = null
  #startedAt = 0

  constructor(parts: ExecutionParts, request: Request, perform: (attempt: Attempt) => Promise<T>) {
    this.#parts = parts
    this.#request = request
    this.#perform = perform
    this.#decided = request
    this.#target = request.target
  }

  get #topology(): Topology {
    return this.#parts.store.topology
  }

  run(): Promise<T> {
    const { lifecycle, chooser } = this.#parts
    let chosen: ReturnType<Chooser['choose']>
    try {
      this.#startedAt = this.#parts.open()
      chosen = chooser.choose(this.#target, null, this.#budget)
    } catch (error) {
      return Promise.reject(error)
    }
    lifecycle.begin()
    const { endless } = this.#request
    if (endless !== undefined || chosen === undefined || chosen === 'awaits') return this.#tried(chosen)
    // Most requests need one attempt, and nothing that goes on behind it.
    const attempt = chosen
    return this.#attempted(attempt).then(
      (result) => {
        this.#left(attempt)
        lifecycle.done()
        return result
      },
      (error) => {
        this.#left(attempt)
        lifecycle.enter()
        return this.#tried(undefined, { error, attempt })
      }
    )
  }

  /** The first attempt, in the same turn. */
  #attempted(attempt: Attempt): Promise<T> {
    attempt.movable = this.#decided.repairs && attempt.node.state.kind === 'replica'
    this.#parts.chooser.loadOf(attempt.node.key).statements++
    try {
      return this.#first(attempt)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #left({ node }: Attempt): void {
    this.#parts.chooser.loadOf(node.key).statements--
    this.#parts.lifecycle.leave()
  }

  /** `first`: what was chosen, or undefined where nothing was. `before`: the attempt that has failed. */
  async #tried(
    first: ReturnType<Chooser['choose']>,
    before?: { readonly error: unknown; readonly attempt: Attempt }
  ): Promise<T> {
    const { clock, lifecycle, chooser, proofs } = this.#parts
    const letGo = this.#request.endless === undefined ? null : once(() => lifecycle.done())
    try {
      if (before !== undefined) this.#failed(before.error, before.attempt, this.#startedAt)
      let chosen = before === undefined ? first : chooser.choose(this.#target, this.#history, this.#budget)
      for (;;) {
        if (chosen === 'awaits') {
          this.#budget = { ...this.#budget, mayAwait: false }
          await proofs.awaited(this.#target)
          chosen = chooser.choose(this.#target, this.#history, this.#budget)
        }
        const attempt = chosen === undefined || chosen === 'awaits' ? await this.#wait() : chosen
        attempt.letGo = letGo
        attempt.movable = this.#decided.repairs && attempt.node.state.kind === 'replica'
        const attemptAt = this.#history === null ? this.#startedAt : clock.mono()
        const load = chooser.loadOf(attempt.node.key)
        load.statements++
        try {
          const result = await (this.#history === null ? this.#first(attempt) : this.#inTime(attempt, this.#history))
          if (this.#history?.refusal) this.#decided.learn?.(this.#history.refusal, 'served')
          return result
        } catch (error) {
          this.#failed(error, attempt, attemptAt)
        } finally {
          load.statements--
        }
        chosen = chooser.choose(this.#target, this.#history, this.#budget)
      }
    } finally {
      lifecycle.leave()
      if (letGo === null) lifecycle.done()
      else letGo()
    }
  }

  #first(attempt: Attempt): Promise<T> {
    const perform = this.#perform
    return this.#request.hedge ? this.#parts.hedges.run(attempt, this.#target, perform) : perform(attempt)
  }

  /** Throws, unless there is another attempt to make. */
  #failed(error: unknown, attempt: Attempt, attemptAt: number): void {
    this.#history ??= new History()
    const history = this.#history
    const now = this.#parts.clock.mono()
    if (attempt.phase === 'connect') history.connecting(now - attemptAt)
    // The time that a server worked on the statement does not count as waiting for a server.
    else this.#startedAt = now - history.waitedMillis - history.connectingMillis
    this.#target = this.#judge(error, attempt, history)
    // One guess is fair. After a guard that failed only what is proven will do, else the primary.
    if (attempt.reason === 'guarded') this.#budget = { mayAwait: false, mayGuard: insists(this.#target) }
  }

  /** A limit that the caller has set covers the wait for a node and the connection together. The connection gets what is left of it. */
  async #inTime(attempt: Attempt, history: History): Promise<T> {
    const { config, clock } = this.#parts
    const perform = this.#perform
    // With one server the limits are pg's own.
    if (config.connectionTimeoutMillis === null || !this.#topology.plural) return perform(attempt)
    const late = () => {
      history.connecting(clock.mono() - from)
      return refusal('PGHERD_TIMEOUT', this.#topology, NO_REFUSALS, config, history.newest, history.spent)
    }
    const from = clock.mono()
    return new Promise((resolve, reject) => {
      const left = patienceOf(config) - (from - this.#startedAt)
      const alarm = clock.alarm(Math.max(0, left), () => {
        if (attempt.phase !== 'connect') return
        attempt.abandoned = true
        reject(late())
      })
      perform(attempt)
        .finally(() => alarm.cancel())
        .then(resolve, reject)
    })
  }

  /** An attempt for the request. While it waits, the request is decided anew with each change of the picture. */
  async #wait(): Promise<Attempt> {
    const { config, clock, store } = this.#parts
    this.#history ??= new History()
    const history = this.#history
    // A listener may have ended the herd while this statement's own failure was being told.
    this.#parts.open()
    this.#decided = this.#request
    const from = clock.mono()
    const told = (code: RefusalCode) => {
      history.waitedMillis += clock.mono() - from
      const refused = this.#parts.chooser.refused(this.#target)
      return refusal(code, this.#topology, refused, config, history.newest, history.spent)
    }
    if (this.#topology.epoch > 0 && store.waiting >= config.failoverQueue) throw told('PGHERD_QUEUE_FULL')
    this.#parts.waits()
    const kind = {
      minds: () => this.#target.role === 'replica',
      alike: () => (history.newest === null && this.#decided.stays?.() ? PRIMARY : null),
    }
    const left = patienceOf(config) - (from - this.#startedAt)
    const found = await store.waitFor(() => this.#found(history), left, this.#request.signal, kind)
    if (found === undefined) throw told(missing(this.#topology, this.#target))
    history.waitedMillis += clock.mono() - from
    return found
  }

  /** An attempt on the present picture; undefined: the wait goes on. Throws where waiting cannot help. */
  #found(history: History): Attempt | undefined {
    const { config, clock, lifecycle, chooser } = this.#parts
    const request = this.#request
    // The primary takes what a replica has refused, whatever else becomes known.
    if (request.again !== undefined && !history.repaired) {
      this.#decided = request.again()
      this.#target = this.#decided.target
    }
    const target = this.#target
    const now = clock.now()
    // One guess is fair, also for a read that waits. From then on the positions decide.
    const mayGuard = this.#budget.mayGuard || insists(target)
    const chosen = chooser.choose(target, history, { mayAwait: false, mayGuard })
    if (chosen !== undefined && chosen !== 'awaits') return chosen
    const { newest } = history
    const refused = () => chooser.refused(target)
    const waitedMillis = now.mono - this.#startedAt
    const given = hopeless(this.#topology, config, { target, refused, newest, waitedMillis, now })
    if (given !== null) throw given.error
    const reading = request.again !== undefined && this.#parts.isReading()
    if (!lifecycle.mayHope(this.#topology, target, reading)) throw this.#endOf(newest)
    return undefined
  }

  /** The error of a statement that will not be tried again: its own failure, if that is one of its caller's to read. */
  #endOf(newest: Failure | null): unknown {
    if (newest === null || isA(newest.error, PgherdError)) return endedError()
    return withOutcome(newest.error, outcomeOf(newest, this.#decided.repeat()))
  }

  /** The target of the next attempt after a failure. Throws the error where there is none. */
  #judge(error: unknown, attempt: Attempt, history: History): Target {
    const { node, phase } = attempt
    const request = this.#decided
    // The caller's own object, perhaps of many statements: it says nothing of a node, and is given back as it is.
    if (request.signal?.aborted && error === request.signal.reason) throw error
    const failure = failureOf(error, phase, attempt.source)
    // A replica refused the statement as if it wrote, so it is no read: should its reply be lost, the outcome is unknown.
    const repeat = attempt.doubtful ? { ...request.repeat(), read: false } : request.repeat()
    const onReplica = node.state.kind === 'replica'
    const repair = onReplica && request.repairs && mayRepair(failure, repeat) && this.#mayMend(failure)
    // This is no news: a replica does not write, and a refusal by two servers is due to the statement itself.
    const expected = failure.kind === 'role' && (onReplica || history.refusal?.kind === 'role')
    // A repair or another replica is at hand: only waiting for a node takes patience.
    const atHand = repair || failure.kind === 'conflict' || this.#mayWait()
    const again =
      history.add(attempt, failure, this.#parts.clock.mono()) &&
      (repair || (!expected && mayRetry(failure, repeat))) &&
      atHand
    if (failure.accuses && !expected) this.#parts.accuse(node, failure)
    if (!again || !this.#hasOther(history)) {
      throw this.#overdue(failure, node, history) ?? withOutcome(error, outcomeOf(failure, repeat))
    }
    if (!repair) return this.#target
    history.repaired = true
    // A failure of a connection before the statement was sent says nothing about the statement. The exception is 'isolation'.
    if (failure.sent === 'rejected' || failure.kind === 'isolation') this.#learn(failure, history)
    return PRIMARY
  }

  #learn(refusal: Failure, history: History): void {
    history.refusal = refusal
    this.#parts.doubt()
    this.#decided.learn?.(refusal, 'refused')
  }

  /**
   * A connection did not come in time, and its server may be the reason: pg's words would say that the pool is too small. They are
   * right with one server, and where all connections of a server that is well are busy. Null: something else failed.
   */
  #overdue(failure: Failure, { key, generation }: Node, history: History): PgherdError | null {
    const { config, clock, lifecycle, chooser } = this.#parts
    const missed = missedConnection(failure)
    const topology = this.#topology
    if (missed === null || !topology.plural || lifecycle.state !== 'open') return null
    const node = topology.nodes.get(key)
    const quietMillis = node?.answeredAt ? elapsed(node.answeredAt, clock.now()) : Infinity
    const isQuiet = quietMillis > this.#parts.quietMillis
    const isWell = node !== undefined && isUp(node) && node.suspect === null && node.generation === generation
    if (missed === 'queue' && isWell && !isQuiet) return null
    const quiet =
      isQuiet && quietMillis < Infinity ? ` Nothing was heard of ${key} for ${Math.round(quietMillis)} ms.` : ''
    const others = chooser.decide(this.#target, PROVEN, { ...topology, primary: null })
    const refused = new Map([...others.refused, [key, 'avoided']] as const)
    return refusal('PGHERD_TIMEOUT', topology, refused, config, failure, history.spent + quiet)
  }

  /**
   * A name that is missing on a replica is probably misspelt, and a login that one server refuses is refused everywhere. For these
   * no primary is waited for.
   */
  #mayMend({ kind }: Failure): boolean {
    if (this.#parts.lifecycle.state === 'ended') return false
    return (kind !== 'missing' && kind !== 'denied') || this.#topology.primary !== null
  }

  #mayWait(): boolean {
    const { config, clock, lifecycle } = this.#parts
    return lifecycle.state !== 'ended' && clock.mono() - this.#startedAt < patienceOf(config)
  }

  /** While only one server was ever known its errors are the answer, as with pg: at once, after its last address. */
  #hasOther(history: History): boolean {
    const topology = this.#topology
    if (topology.plural || this.#parts.config.patient || history.newest?.kind === 'dropped') return true
    return onlyNode(topology, history.avoided(topology)) !== undefined
  }
}

function once(call: () => void): () => void {
  let isDone = false
  return () => {
    if (!isDone) call()
    isDone = true
  }
}
