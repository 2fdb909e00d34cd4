// A real OpenTelemetry SDK that keeps what it is told, registered for as long as a test needs it; with or without the
// instrumentation of pg. And span trees as text.

import { context, metrics, SpanKind, trace } from '@opentelemetry/api'
import { PgInstrumentation } from '@opentelemetry/instrumentation-pg'
import {
  AggregationTemporality,
  type DataPoint,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node'
import pg from 'pg'

interface Definition {
  patch(module: unknown): unknown
  unpatch(module: unknown): void
}

export interface Point {
  readonly name: string
  readonly attributes: Readonly<Record<string, unknown>>
  /** A sum or a gauge's value; of a histogram its count. */
  readonly value: number
}

export interface Sdk {
  /** What ended since the last reset, in the order of the beginnings. */
  spans(): readonly ReadableSpan[]
  reset(): void
  points(): Promise<readonly Point[]>
  end(): Promise<void>
}

export function startSdk({ instrumented = false, metered = true } = {}): Sdk {
  const exporter = new InMemorySpanExporter()
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  provider.register()
  const measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter: measured, exportIntervalMillis: 3_600_000 })
  const meters = new MeterProvider({ readers: [reader] })
  if (metered) metrics.setGlobalMeterProvider(meters)
  const undo = instrumented ? instrument() : () => {}
  return {
    spans: () => [...exporter.getFinishedSpans()].sort((a, b) => nanosOf(a) - nanosOf(b)),
    reset: () => exporter.reset(),
    async points() {
      measured.reset()
      await reader.forceFlush()
      return pointsOf(measured)
    },
    async end() {
      undo()
      trace.disable()
      context.disable()
      metrics.disable()
      await provider.shutdown()
      await meters.shutdown()
    },
  }
}

/** As its hook on require() would; here everything is loaded already. */
function instrument(): () => void {
  const instrumentation = new PgInstrumentation()
  const [client, pool] = (instrumentation as unknown as { init(): [Definition, Definition] }).init()
  const Pool = Object.getPrototypeOf(pg.Pool.prototype).constructor
  client.patch(pg)
  pool.patch(Pool)
  return () => {
    client.unpatch(pg)
    pool.unpatch(Pool)
    instrumentation.disable()
  }
}

function nanosOf({ startTime: [seconds, nanos] }: ReadableSpan): number {
  return (seconds % 1e6) * 1e9 + nanos
}

function pointsOf(exporter: InMemoryMetricExporter): Point[] {
  const found = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics)
  return found
    .flatMap(({ metrics }) => metrics)
    .flatMap(({ descriptor: { name }, dataPoints }) =>
      (dataPoints as DataPoint<number | { readonly count: number }>[]).map(({ attributes, value }) => ({
        name,
        attributes,
        value: typeof value === 'number' ? value : value.count,
      }))
    )
}

const KINDS: Readonly<Record<number, string>> = { [SpanKind.CLIENT]: 'CLIENT', [SpanKind.INTERNAL]: 'INTERNAL' }

/**
 * One line per span, indented below its parent: name, kind, the port of its server as its node's name, and what `shown` are;
 * `! code` for an error; one line per event.
 */
export function treeOf(
  spans: readonly ReadableSpan[],
  nameOf: (port: unknown) => string,
  shown: readonly string[] = []
): string[] {
  const known = new Set(spans.map((span) => span.spanContext().spanId))
  const lines: string[] = []
  const add = (span: ReadableSpan, indent: string) => {
    const { name, kind, attributes, events } = span
    const port = attributes['server.port'] ?? attributes['net.peer.port']
    const values = shown.filter((key) => attributes[key] !== undefined).map((key) => String(attributes[key]))
    const error = attributes['error.type'] === undefined ? [] : [`! ${attributes['error.type']}`]
    const parts = [name, KINDS[kind] ?? String(kind), port === undefined ? '' : nameOf(port), ...values, ...error]
    lines.push(indent + parts.filter((part) => part !== '').join(' '))
    for (const event of events) {
      const told = Object.entries(event.attributes ?? {}).map(([key, value]) =>
        key === 'pgherd.node' ? nameOf(String(value).replace(/^.*:/, '')) : value
      )
      lines.push(`${indent}* ${[event.name, ...told].join(' ')}`)
    }
    for (const child of spans)
      if (child.parentSpanContext?.spanId === span.spanContext().spanId) add(child, `${indent}  `)
  }
  for (const span of spans) if (!known.has(span.parentSpanContext?.spanId ?? '')) add(span, '')
  return lines
}
