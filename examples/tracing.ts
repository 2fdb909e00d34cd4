// What pgherd reports to OpenTelemetry, printed to the console: a span for each statement with its node, and the metrics once at the end.
//   DATABASE_URL=postgres://app@db-a,db-b,db-c/shop node dist/examples/tracing.js
// Register the SDK first. @opentelemetry/instrumentation-pg may be registered beside it; its spans nest below pgherd's.

import { metrics, trace } from '@opentelemetry/api'
import { ConsoleMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { ConsoleSpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { Pool } from 'pgherd'

const tracing = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new ConsoleSpanExporter())] })
tracing.register()
const reader = new PeriodicExportingMetricReader({ exporter: new ConsoleMetricExporter() })
const metering = new MeterProvider({ readers: [reader] })
metrics.setGlobalMeterProvider(metering)

const pool = new Pool({ connectionString: process.env.DATABASE_URL, traceQueryText: true })
await pool.ready({ replicas: 1, timeoutMillis: 5000 })

await trace.getTracer('shop').startActiveSpan('GET /orders', async (request) => {
  await pool.query('create table if not exists orders (id int generated always as identity, item text)')
  await pool.query('insert into orders (item) values ($1)', ['tea']) // a span: primary
  await pool.query('select * from orders where item = $1', ['tea']) // a span: a replica, or why not
  request.end()
})

await pool.end()
await metering.shutdown()
await tracing.shutdown()
