// The asynchronous context that a piece of work belongs to.

import { AsyncResource } from 'node:async_hooks'

/** A statement runs in the asynchronous context of its caller, whichever statement empties the queue: tracers look for it there. */
export function inContext<A extends unknown[], T>(work: (...values: A) => T): (...values: A) => T {
  return AsyncResource.bind(work)
}
