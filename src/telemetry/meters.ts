// Journeys, connections and the topology as OpenTelemetry's metrics. Events are recorded as they happen. States are read when a
// reader collects, as a sum over all pools of the process that know the same node. Nothing is made without an SDK.

import {
  type Attributes,
  type BatchObservableCallback,
  type Counter,
  createNoopMeter,
  type Histogram,
  type Meter,
  type MeterProvider,
  metrics,
  type Observable,
} from '@opentelemetry/api'
import type { NodeAddress } from '../core/cluster/address.js'
import { lagOf } from '../core/cluster/horizon.js'
import { elapsed, type Instant } from '../core/cluster/instant.js'
import type { Node } from '../core/cluster/node.js'
import type { Topology } from '../core/cluster/topology.js'
import { Memo } from '../core/sql/memo.js'
import type { Freshness } from '../herd/herd.js'
import type { Clock } from '../runtime/clock.js'
import type { Journey } from './journey.js'
import { errorAttributes } from './spans.js'
import { unharmed } from './unharmed.js'
import { ATTRIBUTES as A, METRICS, type Metric } from './vocabulary.js'

/** The connections to one node. */
export interface Connections {
  readonly address: NodeAddress
  readonly used: number
  readonly idle: number
  readonly pending: number
  /** The pool gives the node up: no new connections are made. */
  readonly leaving: boolean
}

/** So many statements went to a node of this role, for these reasons. */
export interface Decided {
  readonly role: 'primary' | 'replica' | null
  readonly choice: string
  readonly reason: string
  readonly count: number
}

/** What is read from a pool when metrics are collected. */
export interface Gauges {
  readonly clock: Clock
  /** The database that the pool connects to, if the options name one. */
  readonly namespace: string | null
  /** Spans show the text of statements, without values. */
  readonly queryText: boolean
  readonly max: number
  readonly min: number
  topology(): Topology
  connections(): Iterable<Connections>
  freshness(): Freshness
  decisions(): Iterable<Decided>
  waiting(): number
}

/** Seconds, as the conventions advise for `db.client.operation.duration`. */
const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]

const COUNTERS = ['timeouts', 'retries', 'unknown'] as const
const HISTOGRAMS = ['operation', 'create', 'acquire', 'use', 'waited', 'probe', 'failovers'] as const
const OBSERVED = [
  'connections',
  'most',
  'least',
  'pending',
  'waiting',
  'decisions',
  'age',
  'behind',
  'guards',
  'tooFar',
  'unproven',
  'contested',
] as const
type Observed = (typeof OBSERVED)[number]

export type Instruments = Readonly<
  Record<(typeof COUNTERS)[number], Counter> &
    Record<(typeof HISTOGRAMS)[number], Histogram> &
    Record<Observed, Observable>
>

const NO_METER = createNoopMeter()
/** The provider seen last: an SDK may be registered, or replaced, at any time. */
let known: { readonly provider: MeterProvider; readonly instruments: Instruments | null } | null = null

/** Null: no SDK is registered. */
export function instruments(): Instruments | null {
  const provider = metrics.getMeterProvider()
  if (known?.provider === provider) return known.instruments
  const meter = unharmed(() => provider.getMeter('pgherd'), NO_METER)
  known = { provider, instruments: meter === NO_METER ? null : unharmed(() => instrumentsOf(meter), null) }
  return known.instruments
}

function instrumentsOf(meter: Meter): Instruments {
  const made: Record<string, unknown> = {}
  for (const name of COUNTERS) made[name] = meter.createCounter(METRICS[name].name, optionsOf(METRICS[name]))
  for (const name of HISTOGRAMS) {
    const advice = { explicitBucketBoundaries: SECONDS }
    made[name] = meter.createHistogram(METRICS[name].name, { ...optionsOf(METRICS[name]), advice })
  }
  for (const name of OBSERVED) made[name] = observable(meter, METRICS[name])
  const all = made as unknown as Instruments
  const observed = OBSERVED.map((name) => all[name])
  const observe: BatchObservableCallback = (result) => {
    for (const { name, value, attributes } of readings()) result.observe(all[name], value, attributes)
  }
  meter.addBatchObservableCallback(observe, observed)
  return all
}

function observable(meter: Meter, metric: Metric): Observable {
  const options = optionsOf(metric)
  if (metric.kind === 'counter') return meter.createObservableCounter(metric.name, options)
  if (metric.kind === 'gauge') return meter.createObservableGauge(metric.name, options)
  return meter.createObservableUpDownCounter(metric.name, options)
}

function optionsOf({ meaning, unit }: Metric): { readonly description: string; readonly unit: string } {
  return { description: meaning, unit }
}

/** Records one journey. */
export function measure(meters: Instruments, journey: Journey, namespace: string | null, seconds: number): void {
  const { role, retries, waitMillis, error } = journey
  for (const { cause, role } of retries) meters.retries.add(1, { [A.cause.name]: cause, [A.role.name]: role })
  // Choosing takes microseconds: what is less was no waiting.
  if (waitMillis > 1) meters.waited.record(waitMillis / 1000, role === null ? {} : { [A.role.name]: role })
  const failed = error === null ? null : errorAttributes(error)
  if (failed?.[A.outcome.name] === 'unknown' && isNew(error)) {
    meters.unknown.add(1, { [A.error.name]: failed[A.error.name] ?? '_OTHER' })
  }
  if (journey.kind !== 'statement') return
  const kind = [journey.node, role, namespace, journey.operation, journey.summary].join('\n')
  const usual = operations.of(kind, () => operationOf(journey, namespace))
  const { [A.outcome.name]: _, ...told } = failed ?? {}
  meters.operation.record(seconds, failed === null ? usual : { ...usual, ...told })
}

const counted = new WeakSet<object>()

/** A statement's error passes through the transaction whose function asked for it. */
function isNew(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return true
  const is = !counted.has(error)
  counted.add(error)
  return is
}

/** To put them together takes longer than all the rest; there are as many as kinds of statements. */
const operations = new Memo<Attributes>(1000)

function operationOf({ operation, summary, address, role }: Journey, namespace: string | null): Attributes {
  return {
    [A.system.name]: 'postgresql',
    ...(namespace !== null && { [A.namespace.name]: namespace }),
    ...(operation !== '' && { [A.operation.name]: operation, [A.summary.name]: summary }),
    ...(address !== null && { [A.address.name]: address.host, [A.port.name]: address.port }),
    ...(role !== null && { [A.role.name]: role }),
  }
}

export function poolOf({ host, port }: NodeAddress, namespace: string | null): Attributes {
  return { [A.pool.name]: `${host}:${port}${namespace === null ? '' : `/${namespace}`}` }
}

// ---- what is read when a reader collects

interface Reading {
  readonly name: Observed
  readonly attributes: Attributes
  value: number
}

/** Weak: a pool that was never ended is not kept alive by its metrics. */
const watched = new Set<WeakRef<Watched>>()

/** What pools that have ended had counted: a counter never falls. */
const bygone = { guardsPassed: 0, guardsFailed: 0, tooFarBehind: 0, unproven: 0, contestedMillis: 0 }
const bygoneDecisions = new Map<string, Decided>()

/** One pool, as a reader of metrics sees it. */
export class Watched {
  readonly gauges: Gauges
  readonly #reference = new WeakRef(this)
  #contestedSince: Instant | null = null
  #contestedMillis = 0

  constructor(gauges: Gauges) {
    this.gauges = gauges
    watched.add(this.#reference)
  }

  noteContested(is: boolean, now: Instant): void {
    if (is) this.#contestedSince ??= now
    else {
      this.#contestedMillis = this.contestedMillis
      this.#contestedSince = null
    }
  }

  get contestedMillis(): number {
    const since = this.#contestedSince
    return this.#contestedMillis + (since === null ? 0 : elapsed(since, this.gauges.clock.now()))
  }

  end(): void {
    if (!watched.delete(this.#reference)) return
    const { guardsPassed, guardsFailed, tooFarBehind, unproven } = this.gauges.freshness()
    bygone.guardsPassed += guardsPassed
    bygone.guardsFailed += guardsFailed
    bygone.tooFarBehind += tooFarBehind
    bygone.unproven += unproven
    bygone.contestedMillis += this.contestedMillis
    for (const { role, choice, reason, count } of this.gauges.decisions()) {
      const what = { role, choice, reason }
      const key = JSON.stringify(what)
      bygoneDecisions.set(key, { ...what, count: count + (bygoneDecisions.get(key)?.count ?? 0) })
    }
  }
}

function readings(): Iterable<Reading> {
  const found = new Map<string, Reading>()
  const tell = (name: Observed, value: number, attributes: Attributes = {}) => {
    const key = name + JSON.stringify(attributes)
    const reading = found.get(key)
    if (reading === undefined) found.set(key, { name, value, attributes })
    // Several pools may know the same replica: the one that knows least is the one to worry about.
    else reading.value = METRICS[name].kind === 'gauge' ? Math.max(reading.value, value) : reading.value + value
  }
  count(tell, bygone, bygone.contestedMillis)
  countDecisions(tell, bygoneDecisions.values())
  for (const reference of watched) {
    const pool = reference.deref()
    if (pool === undefined) watched.delete(reference)
    else unharmed(() => read(pool, tell), undefined)
  }
  return found.values()
}

type Tell = (name: Observed, value: number, attributes?: Attributes) => void
type Counts = Pick<Freshness, 'guardsPassed' | 'guardsFailed' | 'tooFarBehind' | 'unproven'>

function count(tell: Tell, { guardsPassed, guardsFailed, tooFarBehind, unproven }: Counts, contestedMillis: number) {
  tell('guards', guardsPassed, { [A.guard.name]: 'passed' })
  tell('guards', guardsFailed, { [A.guard.name]: 'failed' })
  tell('tooFar', tooFarBehind)
  tell('unproven', unproven)
  tell('contested', contestedMillis / 1000)
}

function countDecisions(tell: Tell, decisions: Iterable<Decided>): void {
  for (const { role, choice, reason, count } of decisions) {
    if (role !== null)
      tell('decisions', count, { [A.role.name]: role, [A.choice.name]: choice, [A.reason.name]: reason })
  }
}

function read({ gauges, contestedMillis }: Watched, tell: Tell): void {
  const { namespace, max, min } = gauges
  count(tell, gauges.freshness(), contestedMillis)
  countDecisions(tell, gauges.decisions())
  tell('waiting', gauges.waiting())
  for (const { address, used, idle, pending, leaving } of gauges.connections()) {
    const pool = poolOf(address, namespace)
    tell('connections', used, { ...pool, [A.state.name]: 'used' })
    tell('connections', idle, { ...pool, [A.state.name]: 'idle' })
    tell('pending', pending, pool)
    if (leaving) continue
    tell('most', max, pool)
    tell('least', min, pool)
  }
  const topology = gauges.topology()
  const now = gauges.clock.now()
  for (const node of topology.nodes.values()) readReplica(node, topology, now, tell)
}

function readReplica({ key, address, state }: Node, { wal }: Topology, now: Instant, tell: Tell): void {
  if (state.kind !== 'replica' || !state.follows || state.position === null) return
  const attributes = { [A.node.name]: key, [A.address.name]: address.host, [A.port.name]: address.port }
  const lag = lagOf(wal, state.position.lsn, now)
  if (lag !== Infinity) tell('age', lag / 1000, attributes)
  const newest = wal.samples.at(-1)
  if (newest === undefined) return
  const bytes = newest.insert - state.position.lsn
  tell('behind', bytes > 0n ? Number(bytes) : 0, attributes)
}
