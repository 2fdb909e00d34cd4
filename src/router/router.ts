// The main path of every statement, for all faces: what a statement needs, which node it may use, what a failure means, what is
// remembered of it. It holds the herd, the routing, what was written and seen, and what is told of all that; it holds no connection.

import type { Config } from '../config/config.js'
import type { NodeAddress } from '../core/cluster/address.js'
import type { Change } from '../core/cluster/changes.js'
import type { Node } from '../core/cluster/node.js'
import type { Topology } from '../core/cluster/topology.js'
import type { ReadConstraints, Scope } from '../core/session/causal-scope.js'
import { type Attempt, Herd, hasWon } from '../herd/herd.js'
import { explanationOf, placeIn } from '../report/snapshot.js'
import type { Explanation } from '../report/types.js'
import { abortable } from '../runtime/abort.js'
import { inContext } from '../runtime/context.js'
import type { Task } from '../telemetry/journey.js'
import { outside } from '../telemetry/spans.js'
import { Telemetry } from '../telemetry/telemetry.js'
import { Asked } from './asked.js'
import { Causality } from './causality.js'
import { Decisions } from './decisions.js'
import type { Beginning, Face, RunOn } from './face.js'
import { Facts } from './facts.js'
import { NOWHERE, ON_PRIMARY, type Routed, Routing } from './routing.js'
import { mayInsist, queryArgs, type RouteOptions, Statement } from './statement.js'

const asksPrimary = (signal?: AbortSignal) => new Asked(ON_PRIMARY, null, signal, false)
const PRIMARY = asksPrimary()
const ALONE = { target: ON_PRIMARY.target, reason: 'there is one server' }
const INSISTING: RouteOptions = { route: 'replica' }
const SHARED = 'only reads, but the one connection of the pool has session state'

export class Router {
  readonly herd: Herd
  readonly routing: Routing
  readonly causality: Causality
  readonly decisions = new Decisions()
  readonly telemetry: Telemetry
  /** The pool's bound of lag, in milliseconds. */
  readonly maxLagMillis: number
  /** What the sessions of connections ask, and what they tell. */
  readonly facts: Facts
  readonly #config: Config
  readonly #face: Face

  constructor(config: Config, face: Face) {
    this.#config = config
    this.maxLagMillis = config.maxLagMillis
    this.#face = face
    const { clock, complain } = face
    this.herd = new Herd(config, {
      ...face.instead,
      clock,
      complain,
      busy: () => face.busy(),
      sessions: (key) => face.sessions(key),
      unreadable: (message) => this.routing.warnings.unreadable(message),
      unproven: () => this.routing.tellUnproven(),
      onEvent: (event) => this.telemetry.heard(event),
      detached: inContext(outside),
    })
    this.routing = new Routing(config, this.herd)
    this.causality = new Causality(config, this.herd, clock, face.scopes, (lost) => face.tokenLost(lost))
    this.facts = new Facts(this.herd, this.routing, this.causality)
    this.telemetry = new Telemetry({
      ...face.limits,
      clock,
      queryText: config.traceQueryText,
      topology: () => this.herd.topology,
      connections: () => face.connections(),
      freshness: () => this.herd.freshness,
      decisions: () => (config.routing === 'observe' ? [] : this.decisions.list()),
      waiting: () => this.herd.waiting,
    })
  }

  /** A call of query(), as a statement. Throws where its config is refused. */
  statement(options: RouteOptions, query: unknown, second?: unknown, third?: unknown): Statement {
    return new Statement(this.routing.texts, options, queryArgs(query, second, third), this.causality.scope)
  }

  /** One server is known: all runs there, and nothing is read, unless a statement insists on a replica. */
  get isAlone(): boolean {
    return !this.herd.topology.plural && this.#config.attributes === 'any'
  }

  /** A stand-alone statement. */
  run(statement: Statement, runOn: RunOn<unknown>): Promise<unknown> {
    // One server: nothing to decide, and nothing to remember for another.
    if (this.isAlone) {
      if (statement.route !== 'replica') {
        const routed = statement.text === null ? ON_PRIMARY : this.routing.onlyServer(statement)
        return this.#attempt(routed, statement, runOn, null)
      }
      if (!this.herd.informed && !statement.reads) {
        return this.herd.inform(statement.signal).then(() => this.#runRouted(statement, runOn))
      }
    }
    return this.#runRouted(statement, runOn)
  }

  #runRouted(statement: Statement, runOn: RunOn<unknown>): Promise<unknown> {
    const written = this.written(statement)
    const routed = this.#routed(statement, written)
    if (this.#config.routing !== 'observe') return this.#attempt(routed, statement, runOn, written)
    this.decisions.count(this.herd.look(routed.target), routed, statement.text)
    const stays = ON_PRIMARY.target === routed.target || routed.reason === NOWHERE
    return this.#attempt(stays ? routed : { ...routed, target: ON_PRIMARY.target }, statement, runOn, null)
  }

  /** `written`: what the statement must see; null: it is not routed. */
  #attempt(
    first: Routed,
    statement: Statement,
    runOn: RunOn<unknown>,
    written: ReadConstraints | null
  ): Promise<unknown> {
    const { signal, text, scope } = statement
    if (signal?.aborted) return Promise.reject(signal.reason)
    const anew = written === null ? null : () => this.#routed(statement, this.#anew(written, scope))
    const asked = new Asked(first, anew, signal, text === null, statement)
    const attempt = (place: Attempt) => {
      if (written !== null && !place.isHedge) this.decisions.count(place, asked.routed)
      const answer = runOn(place, asked.routed.reading && !place.doubtful)
      return scope === undefined ? answer : answer.then((result) => this.#sawRead(place, statement, result))
    }
    return this.#request('statement', text, asked, attempt)
  }

  #routed(statement: Statement, written: ReadConstraints): Routed {
    const routed = this.routing.route(statement, written)
    if (routed.target.role === 'primary' || statement.route === 'replica' || !this.#face.sharesSession()) return routed
    const { attributes } = this.#config
    return attributes === 'any' ? { ...routed, target: ON_PRIMARY.target, reason: SHARED } : routed
  }

  /** Whatever it was sent as: what a session has seen must be there from then on. */
  #sawRead(place: Attempt, { text, reads, scope }: Statement, result: unknown): unknown {
    if ((text === null || reads) && hasWon(place)) this.causality.readOn(place.node, scope)
    return result
  }

  /** A connection to hold. `discard`: it came when its caller had given up. */
  connect<T>(
    options: RouteOptions,
    signal: AbortSignal | undefined,
    runOn: (place: Attempt) => Promise<T>,
    discard: (late: T) => void
  ): Promise<T> {
    const { attributes } = this.#config
    const mayRead = attributes === 'standby' || (attributes === 'any' && options.route === 'replica')
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (mayRead) return this.#connectToRead(options, signal, runOn, discard)
    return this.#request('connect', null, signal === undefined ? PRIMARY : asksPrimary(signal), runOn, discard)
  }

  async #connectToRead<T>(
    options: RouteOptions,
    signal: AbortSignal | undefined,
    runOn: (place: Attempt) => Promise<T>,
    discard: (late: T) => void
  ): Promise<T> {
    const { scope } = this.causality
    const written = this.causality.written(scope)
    const otherwise = options.route === 'replica' ? await this.#whereNoReplica(signal) : 'refuse'
    const again = (): Routed => {
      const routed = this.#config.routing === 'on' && this.herd.topology.plural
      if (this.#config.attributes !== 'standby' && !routed && !this.isAlone) return ON_PRIMARY
      return this.routing.anyReplica(options, this.#anew(written, scope), this.isAlone ? otherwise : 'refuse')
    }
    signal?.throwIfAborted()
    return this.#request('connect', null, new Asked(again(), again, signal, false), runOn, discard)
  }

  /** A whole transaction: `begin` on a connection of its own, and what follows from that. */
  async transaction<C, T>(
    options: RouteOptions,
    { readOnly, isSerializable, text }: Beginning,
    begin: (place: Attempt) => Promise<C>,
    then: (begun: C) => Promise<T>
  ): Promise<T> {
    const { scope } = this.causality
    const written = this.causality.written(scope)
    const otherwise = options.route === 'replica' ? await this.#whereNoReplica() : 'refuse'
    const again = () => {
      const routed = this.#config.routing === 'on' && this.herd.topology.plural && !isSerializable
      const since = this.#anew(written, scope)
      return this.routing.whole(options, since, readOnly && routed, this.isAlone ? otherwise : 'refuse')
    }
    const asked = new Asked(again(), again, undefined, false)
    const attempt = (place: Attempt) => {
      this.decisions.count(place, asked.routed)
      return begin(place)
    }
    return this.#observed('transaction', text, asked, attempt, then)
  }

  /**
   * With one server a client that insists on a replica is of that server, where `whenStale` lets the primary serve reads. What
   * is a read there the catalogue tells, so that is waited for.
   */
  async #whereNoReplica(signal?: AbortSignal): Promise<'primary' | 'refuse'> {
    if (!this.isAlone || this.#config.whenStale !== 'primary') return 'refuse'
    if (!this.herd.informed) await this.herd.inform(signal)
    return this.isAlone ? 'primary' : 'refuse'
  }

  // What a client that is held may borrow.

  /** There are replicas to borrow, and clients may. */
  get lends(): boolean {
    return this.herd.topology.plural && this.#config.routeClients && this.#config.attributes === 'any'
  }

  /** A replica would serve this now: a read, or a READ ONLY transaction. Gives the request for it; null: none would. */
  borrows(statement: Statement): Routed | null {
    const routed = this.#lent(statement)
    if (routed === null) return null
    if (this.#config.routing === 'on') return this.herd.prefersReplica(routed.target) ? routed : null
    // Nothing is lent: what would have been is only told.
    this.decisions.count(this.herd.look(routed.target), routed, statement.text)
    return null
  }

  #lent(statement: Statement): Routed | null {
    const written = this.written(statement)
    const { routing } = this
    // What no replica serves at once the client's own connection does: nothing is waited for.
    const routed = statement.reads
      ? routing.route(statement, written)
      : routing.transaction(statement, written, 'primary')
    const target = routed?.target
    if (routed === null || target?.role !== 'replica' || target.otherwise === 'primary') return routed
    return { ...routed, target: { ...target, otherwise: 'primary' } }
  }

  /**
   * Runs what `borrows()` on a replica; `then`: what follows from the answer of `runOn` belongs to it. `discard`: that came when the
   * caller had given up.
   */
  borrow<R, T>(
    statement: Statement,
    first: Routed,
    signal: AbortSignal | undefined,
    runOn: (place: Attempt) => Promise<R>,
    then: (answer: R) => T | Promise<T>,
    discard?: (late: R) => void
  ): Promise<T> {
    const asked = new Asked(first, () => this.#lent(statement) ?? asked.routed, signal, false, statement)
    const attempt = (place: Attempt) => {
      if (place.node.state.kind === 'replica' && !place.isHedge) this.decisions.count(place, asked.routed)
      return runOn(place)
    }
    const { reads, text } = statement
    return this.#observed(reads ? 'statement' : 'borrow', text, asked, attempt, then, discard)
  }

  /** Makes the attempts of a request until its caller gives up; tells of them where spans, metrics or channels are in use. */
  #request<T>(
    kind: Task['kind'],
    text: string | null,
    asked: Asked,
    attempt: (place: Attempt) => Promise<T>,
    discard?: (late: T) => void
  ): Promise<T> {
    const { signal } = asked
    if (signal === undefined && !this.telemetry.active) return this.herd.run(asked, attempt)
    const go = (observed: typeof attempt) => {
      const answer = this.herd.run(asked, observed)
      return signal === undefined ? answer : abortable(answer, signal, discard)
    }
    if (!this.telemetry.active) return go(attempt)
    return this.telemetry.run(this.#task(kind, text, asked.routed), attempt, go)
  }

  /** The same; `then`: what follows from the answer belongs to it. */
  #observed<R, T>(
    kind: Task['kind'],
    text: string | null,
    asked: Asked,
    attempt: (place: Attempt) => Promise<R>,
    then: (answer: R) => T | Promise<T>,
    discard?: (late: R) => void
  ): Promise<T> {
    const { signal } = asked
    const go = (observed: typeof attempt) => {
      const answer = this.herd.run(asked, observed)
      return (signal === undefined ? answer : abortable(answer, signal, discard)).then(then)
    }
    return this.telemetry.active ? this.telemetry.run(this.#task(kind, text, asked.routed), attempt, go) : go(attempt)
  }

  #task(kind: Task['kind'], text: string | null, { reading, reason }: Routed): Task {
    const isStatement = text !== null && kind === 'statement'
    const intent = isStatement ? this.routing.texts.read(text).intent : reading ? 'read' : 'write'
    return this.telemetry.task(kind, text, { intent, reason })
  }

  explain(statement: Statement): Explanation {
    const verdict = statement.class
    const alone = this.isAlone && statement.route !== 'replica'
    const { target, reason } = alone ? ALONE : this.#routed(statement, this.written(statement))
    const choice = this.herd.look(this.#config.routing === 'observe' ? ON_PRIMARY.target : target)
    return explanationOf({
      intent: verdict?.intent ?? 'write',
      word: verdict?.readable ? verdict.word : '',
      reason,
      ...placeIn(this.herd.topology, choice),
    })
  }

  /** What a statement must see. */
  written({ scope, wroteAt }: Statement): ReadConstraints {
    return this.causality.written(scope, wroteAt)
  }

  /** What a statement must see was decided when it was called; what has become of its token is not. */
  #anew(written: ReadConstraints, scope: Scope | undefined): ReadConstraints {
    return scope === undefined ? written : { ...written, ...this.causality.fate(scope) }
  }

  /** Not to be sent over a session that is not a replica's: it must run on a replica, and is not taken for a read. */
  refusesOnPrimary(first: unknown, insists: boolean): boolean {
    // Asked of every statement of a client: most say nothing of where they shall run.
    if (first === null || first === undefined || !(insists || mayInsist(first))) return false
    return !this.routing.mayRunOnPrimary(this.statement(insists ? INSISTING : {}, first))
  }

  isReplica(key: Node['key']): boolean {
    return this.herd.topology.nodes.get(key)?.state.kind === 'replica'
  }

  isPrimary(key: Node['key']): boolean {
    return this.herd.topology.primary === key
  }

  get primaryAddress(): NodeAddress | undefined {
    const { primary, nodes } = this.herd.topology
    return primary === null ? undefined : nodes.get(primary)?.address
  }

  /** The picture has changed. */
  follow(after: Topology, before: Topology, found: readonly Change[]): void {
    this.telemetry.follow(after, before, found)
    if (after.plural && !before.plural) this.causality.becamePlural()
    this.facts.follow(after, found)
    this.routing.texts.forget(this.#face.clock.mono())
  }
}
