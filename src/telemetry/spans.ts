// Journeys and failovers as OpenTelemetry's spans. An error's message may quote a value of the statement, so no span has it: the
// SQLSTATE says what it was. https://opentelemetry.io/docs/specs/semconv/database/postgresql/

import {
  type Attributes,
  context,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import type { Outcome } from '../core/cluster/failure.js'
import type { Outage, Phase } from '../core/cluster/outage.js'
import type { Topology } from '../core/cluster/topology.js'
import type { Journey } from './journey.js'
import { ATTRIBUTES as A, EVENTS, SPANS } from './vocabulary.js'

const NOTHING = new ProxyTracerProvider().getDelegate()

/** Null: no SDK is registered. It may come later. */
export function tracer(): Tracer | null {
  const provider = trace.getTracerProvider()
  const none = provider instanceof ProxyTracerProvider && provider.getDelegate() === NOTHING
  return none ? null : provider.getTracer('pgherd')
}

export function spanOf(tracing: Tracer, journey: Journey, namespace: Attributes): Span | null {
  const { kind, summary, operation, shape, intent, reason } = journey
  // Of a call of connect() only the time that it waited is measured.
  if (kind === 'connect') return null
  const attributes: Attributes = {
    [A.system.name]: 'postgresql',
    ...namespace,
    ...(operation !== '' && { [A.operation.name]: operation, [A.summary.name]: summary }),
    ...(shape !== null && { [A.text.name]: shape }),
    [A.intent.name]: intent,
    [A.reason.name]: reason,
  }
  if (kind !== 'statement') return tracing.startSpan(SPANS[kind].name, { kind: SpanKind.INTERNAL, attributes })
  return tracing.startSpan(summary || 'postgresql', { kind: SpanKind.CLIENT, attributes })
}

/** Everything that `run` does, and all that follows from it, belongs to the span. */
export function within<T>(span: Span, run: () => T): T {
  return context.with(trace.setSpan(context.active(), span), run)
}

/** What `run` does, and all that follows from it, belongs to no caller's trace. */
export function outside(run: () => void): void {
  context.with(ROOT_CONTEXT, run)
}

export function end(span: Span, journey: Journey): void {
  if (span.isRecording()) describe(span, journey)
  span.end()
}

function describe(span: Span, journey: Journey): void {
  const { address, role, choice, lagMillis, attempts, waitMillis, error, refused, retries } = journey
  if (address !== null) span.setAttributes({ [A.address.name]: address.host, [A.port.name]: address.port })
  if (role !== null && choice !== null) span.setAttributes({ [A.role.name]: role, [A.choice.name]: choice })
  if (lagMillis !== null) span.setAttribute(A.lag.name, lagMillis)
  span.setAttributes({ [A.attempts.name]: attempts, [A.wait.name]: waitMillis })
  for (const { node, refusal, at } of refused) {
    span.addEvent(EVENTS.refused.name, { [A.node.name]: node, [A.refusal.name]: refusal }, at)
  }
  for (const { node, role, cause, code, at } of retries) {
    const why = { [A.node.name]: node, [A.role.name]: role, [A.cause.name]: cause }
    span.addEvent(EVENTS.retry.name, code === null ? why : { ...why, [A.error.name]: code }, at)
  }
  if (error === null) return
  span.setAttributes(errorAttributes(error))
  span.setStatus({ code: SpanStatusCode.ERROR })
}

interface Told {
  readonly code?: unknown
  readonly severity?: unknown
  readonly outcome?: Outcome
  readonly name?: unknown
}

/** An application's errors may have anything for a code: a sentence, a value. */
const WORD = /^\w[\w.-]{0,79}$/

/** `error.type` by what the conventions want: the server's own code, else the client's, else the class. */
export function errorAttributes(error: unknown): Attributes {
  const { code, severity, outcome, name } = (error ?? {}) as Told
  // Only the server says how severe it is; EPIPE looks like an SQLSTATE, too.
  const isState = typeof code === 'string' && typeof severity === 'string'
  const type = [code, name].find((word) => typeof word === 'string' && WORD.test(word)) ?? '_OTHER'
  return {
    [A.error.name]: type as string,
    ...(isState && { [A.status.name]: code }),
    ...(outcome !== undefined && { [A.outcome.name]: outcome }),
  }
}

/** Reports a failover once it is over, as a trace of its own: it belongs to no statement. */
export function tellFailover(tracing: Tracer, outage: Outage, after: Topology, now: number): void {
  const { from, since, phases } = outage
  const attributes = {
    [A.system.name]: 'postgresql',
    ...(from !== null && { [A.from.name]: from }),
    ...(after.primary !== null && { [A.to.name]: after.primary }),
    [A.epoch.name]: after.epoch,
  }
  const options = { kind: SpanKind.INTERNAL, attributes, startTime: since.mono, root: true }
  const span = tracing.startSpan(SPANS.failover.name, options, ROOT_CONTEXT)
  for (const phase of phases) span.addEvent(EVENTS[phase.kind].name, phaseAttributes(phase), phase.at.mono)
  span.end(now)
}

function phaseAttributes({ node, cause }: Phase): Attributes {
  return { ...(node !== null && { [A.node.name]: node }), ...(cause !== null && { [A.cause.name]: cause }) }
}
