// The asynchronous context that a piece of work belongs to.

import { AsyncResource } from 'node:async_hooks'

const KEPT = { requireManualDestroy: true }

/**
 * A statement runs in the asynchronous context of its caller, whichever statement empties the queue: tracers look for it there. Not by
 * AsyncResource.bind(), which defines a deprecated property on each function that it makes, and costs three times as much.
 */
export function inContext<A extends unknown[], T>(work: (...values: A) => T): (...values: A) => T {
  const resource = new AsyncResource('pgherd', KEPT)
  return (...values) => resource.runInAsyncScope(work, undefined, ...values)
}
