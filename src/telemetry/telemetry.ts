// OpenTelemetry spans, metrics, diagnostics channels of what the pool does. Without a tracer, a meter and a subscriber, a statement
// costs three checks. Decides nothing, and reports no value of a statement. The names are in vocabulary.ts.

import type { Attributes } from '@opentelemetry/api'
import type { NodeAddress, NodeKey } from '../core/cluster/address.js'
import type { Change } from '../core/cluster/changes.js'
import { type Failure, missedConnection } from '../core/cluster/failure.js'
import { elapsed } from '../core/cluster/instant.js'
import { isLost, isOver, type Outage, outageAfter } from '../core/cluster/outage.js'
import type { Topology, TopologyEvent } from '../core/cluster/topology.js'
import { Memo } from '../core/sql/memo.js'
import { shapeOf } from '../core/sql/shape.js'
import { type Summary, summaryOf } from '../core/sql/summary.js'
import { channels, type FailoverProgress, traced } from './channels.js'
import { Journey, type Task, type Tried } from './journey.js'
import { type Gauges, instruments, measure, poolOf, Watched } from './meters.js'
import { end, spanOf, tellFailover, tracer, within } from './spans.js'
import { unharmed } from './unharmed.js'
import { ATTRIBUTES as A } from './vocabulary.js'

const REMEMBERED = 1000
const NO_TEXT: Summary = { operation: '', text: '' }

export class Telemetry {
  readonly #gauges: Gauges
  readonly #watched: Watched
  readonly #namespace: Attributes
  readonly #usedSince = new WeakMap<object, number>()
  readonly #summaries = new Memo<Summary>(REMEMBERED)
  readonly #shapes = new Memo<string>(REMEMBERED)
  #outage: Outage | null = null
  #progress: FailoverProgress | null = null

  constructor(gauges: Gauges) {
    this.#gauges = gauges
    this.#watched = new Watched(gauges)
    this.#namespace = gauges.namespace === null ? {} : { [A.namespace.name]: gauges.namespace }
  }

  /** True if a tracer, meter or subscriber is registered. */
  get active(): boolean {
    return tracer() !== null || instruments() !== null || channels.statement.hasSubscribers
  }

  /** True if a meter is registered: only then the clock is read for what only metrics need. */
  get measures(): boolean {
    return instruments() !== null
  }

  task(kind: Task['kind'], text: string | null, why: Pick<Task, 'intent' | 'reason'>): Task {
    const { operation, text: summary } = text === null ? NO_TEXT : this.#summaries.of(text, summaryOf)
    const shape = text === null || !this.#gauges.queryText ? null : this.#shapes.of(text, shapeOf)
    return { kind, operation, summary, shape, ...why }
  }

  /** Runs `go`, which makes attempts, and reports what happened to the task. All of it runs in the caller's context. */
  run<T, P extends Tried, R>(
    task: Task,
    attempt: (place: P) => Promise<R>,
    go: (attempt: (place: P) => Promise<R>) => Promise<T>
  ): Promise<T> {
    const { clock } = this.#gauges
    const startedAt = clock.mono()
    const journey = new Journey(task, startedAt)
    const tracing = tracer()
    const span = tracing === null ? null : unharmed(() => spanOf(tracing, journey, this.#namespace), null)
    const observed = async (place: P) => {
      // Beside another attempt: the journey is that of the first.
      if (place.isHedge) return attempt(place)
      journey.begins(place, this.#gauges.topology(), clock.now())
      try {
        return await attempt(place)
      } catch (error) {
        journey.fails(place, error, clock.mono())
        throw error
      }
    }
    const over = (error: unknown) => {
      const now = clock.mono()
      unharmed(() => journey.ends(error, now), undefined)
      const meters = instruments()
      const seconds = (now - startedAt) / 1000
      if (meters !== null) unharmed(() => measure(meters, journey, this.#gauges.namespace, seconds), undefined)
      if (span !== null) unharmed(() => end(span, journey), undefined)
    }
    const run = () => settled(go(observed), over)
    const isTold = channels.statement.hasSubscribers && task.kind !== 'connect'
    const told = () => (isTold ? traced(journey, run) : run())
    return span === null ? told() : within(span, told)
  }

  /** The topology has changed. A failover is reported once it is over. */
  follow(after: Topology, before: Topology, found: readonly Change[]): void {
    const now = this.#gauges.clock.now()
    if ((after.contested === null) !== (before.contested === null)) {
      this.#watched.noteContested(after.contested !== null, now)
    }
    if (found.length === 0) return
    const outage = outageAfter(this.#outage, after, before, found, now)
    this.#outage = outage
    if (outage === null) return
    const isNew = isOver(outage, after)
    if (after.primary === null || isNew) this.#progressed(outage)
    if (isLost(after)) return
    this.#outage = null
    const millis = elapsed(outage.since, now)
    this.#returned(outage, after.primary, millis)
    if (!isNew) return
    unharmed(() => instruments()?.failovers.record(millis / 1000), undefined)
    const tracing = tracer()
    if (tracing !== null) unharmed(() => tellFailover(tracing, outage, after, now.mono), undefined)
  }

  #progressed({ from, phases }: Outage): void {
    if (this.#progress !== null) this.#progress.phases = phases
    else if (channels.failover.hasSubscribers) {
      const progress: FailoverProgress = { from, to: null, millis: null, phases }
      this.#progress = progress
      channels.failover.start.runStores(progress, () => channels.failover.end.publish(progress))
    }
  }

  #returned({ phases }: Outage, to: NodeKey | null, millis: number): void {
    const progress = this.#progress
    if (progress === null) return
    this.#progress = null
    Object.assign(progress, { to, millis, phases })
    channels.failover.asyncStart.publish(progress)
    channels.failover.asyncEnd.publish(progress)
  }

  /** Every event that may change the topology passes here. Measures probes. */
  heard(event: TopologyEvent): void {
    const meters = event.kind === 'probed' ? instruments() : null
    if (meters === null || event.kind !== 'probed') return
    const { key, startedAt, at, result } = event
    const failed = result.kind === 'failure' ? { [A.error.name]: result.failure.code ?? result.failure.kind } : {}
    const seconds = (at.mono - startedAt.mono) / 1000
    unharmed(() => meters.probe.record(seconds, { [A.node.name]: key, ...failed }), undefined)
  }

  /** A caller has taken a connection, or given it back. */
  connection(event: string, address: NodeAddress, client: object): void {
    const meters = instruments()
    if (meters === null) return
    const now = this.#gauges.clock.mono()
    if (event === 'acquire') this.#usedSince.set(client, now)
    if (event !== 'release') return
    const since = this.#usedSince.get(client)
    this.#usedSince.delete(client)
    if (since === undefined) return
    unharmed(() => meters.use.record((now - since) / 1000, poolOf(address, this.#gauges.namespace)), undefined)
  }

  /** A new connection was ready after `millis`. */
  created(address: NodeAddress, millis: number): void {
    unharmed(() => instruments()?.create.record(millis / 1000, poolOf(address, this.#gauges.namespace)), undefined)
  }

  /** A caller got a connection after `millis`, or `failure` instead. */
  acquired(address: NodeAddress, millis: number, failure: Failure | null): void {
    const meters = instruments()
    if (meters === null) return
    const pool = poolOf(address, this.#gauges.namespace)
    if (failure === null) unharmed(() => meters.acquire.record(millis / 1000, pool), undefined)
    else if (missedConnection(failure) !== null) unharmed(() => meters.timeouts.add(1, pool), undefined)
  }

  end(): void {
    const outage = this.#outage
    if (outage !== null) this.#returned(outage, null, elapsed(outage.since, this.#gauges.clock.now()))
    this.#outage = null
    this.#watched.end()
  }
}

/** Calls `over` before the caller gets the result or the error. */
async function settled<T>(answer: Promise<T>, over: (error: unknown) => void): Promise<T> {
  let result: T
  try {
    result = await answer
  } catch (error) {
    over(error)
    throw error
  }
  over(null)
  return result
}
