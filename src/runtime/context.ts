// Which asynchronous context a piece of work belongs to.

import { AsyncResource } from 'node:async_hooks'

/** Whoever works the line off, a statement runs in the asynchronous context of whoever sent it: tracers look for it there. */
export function inContext<A extends unknown[], T>(work: (...values: A) => T): (...values: A) => T {
  return AsyncResource.bind(work)
}
