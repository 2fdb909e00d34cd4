// Runs the application's connection hooks on replicas without letting them end the process: a hook written for one server
// may write, and a replica refuses that. Knows promises only; what a refusal means is the pool's to decide.

import { createHook, executionAsyncId } from 'node:async_hooks'
import type { EventEmitter } from 'node:events'
import type { Clock } from '../clock.js'

const ignore = () => {}
/** So long after a hook was called what it has set going is still looked after. Connections are made rarely, and live long. */
const WATCH_MILLIS = 5_000
/** So many steps of hooks are followed at once: watching costs every promise of the process a little. */
const MOST_STEPS = 10_000

/** The asynchronous steps of hooks, by their identifiers; all hooks share them, and one watch. */
const steps = new Set<number>()
let watched = 0
let calling = false
let silencing = false

const watch = createHook({
  init(id, type, trigger, resource) {
    if (silencing || !(calling || steps.has(executionAsyncId()) || steps.has(trigger))) return
    if (steps.add(id).size > MOST_STEPS) forget()
    // Not in here: the promise is still being made.
    if (type === 'PROMISE') queueMicrotask(() => silence(resource))
  },
})

function silence(promise: object): void {
  silencing = true
  Promise.prototype.then.call(promise, undefined, ignore)
  silencing = false
}

function forget(): void {
  watch.disable()
  steps.clear()
}

/**
 * Calls `hook`. A promise made in it, or within seconds by what it set going, that nobody awaits cannot become an unhandled
 * rejection; whoever does await one gets the rejection as ever. Promises of the rest of the process are left alone.
 */
export function unharmed<T>(hook: () => T, clock: Clock): T {
  watch.enable()
  watched++
  clock.alarm(WATCH_MILLIS, () => {
    if (--watched === 0) forget()
  })
  const outer = calling
  calling = true
  try {
    return hook()
  } finally {
    calling = outer
  }
}

/** pg-pool's hooks, made safe for as long as `isReplica` says so. What they throw or tell is told to `failed` first. */
export function guarded(hooks: Hooks, isReplica: () => boolean, clock: Clock, failed: (error: unknown) => void): Hooks {
  const { onConnect, verify } = hooks
  const safe: { -readonly [K in keyof Hooks]: Hooks[K] } = {}
  if (typeof onConnect === 'function') {
    safe.onConnect = (client) => {
      return heeded(() => (isReplica() ? unharmed(() => onConnect(client), clock) : onConnect(client)), failed)
    }
  }
  if (typeof verify === 'function') {
    safe.verify = (client, tell) => {
      const done = (error?: unknown) => {
        failed(error)
        tell(error)
      }
      if (!isReplica()) return heeded(() => verify(client, done), failed)
      const result: unknown = heeded(() => unharmed(() => verify(client, done), clock), failed)
      // An async one that fails before it calls back would leave its caller waiting for ever.
      if (result instanceof Promise) result.catch(done)
      return result
    }
  }
  return safe
}

function heeded(hook: () => unknown, failed: (error: unknown) => void): unknown {
  try {
    const result = hook()
    if (result instanceof Promise) result.catch(failed)
    return result
  } catch (error) {
    failed(error)
    throw error
  }
}

type Query = (first: unknown, second: unknown, third: unknown) => unknown

/**
 * A hook's statement on a replica, in whatever form of query(): its failure is told to `notice`, and its promise counts as
 * awaited. The hook gets its answer as ever.
 */
export function lookedAfter(query: Query, args: Parameters<Query>, notice: (error: unknown) => void): unknown {
  const [first, second, third] = args.map((arg) =>
    typeof arg === 'function' ? noticing(arg as Listener, notice) : arg
  )
  const result = query(first, second, third)
  if (result instanceof Promise) result.catch(notice)
  else (result as Partial<EventEmitter> | undefined)?.on?.('error', notice)
  return result
}

/** `done`, with its error told to `notice` first. */
export function noticing(done: Listener, notice: (error: unknown) => void): Listener {
  return function (this: unknown, ...values) {
    notice(values[0])
    return Reflect.apply(done, this, values)
  }
}

export interface Hooks {
  readonly onConnect?: (client: unknown) => unknown
  readonly verify?: (client: unknown, done: (error?: unknown) => void) => unknown
}

export type Listener = (...args: unknown[]) => unknown

/** Calls each listener as emit() would; a promise that one returns is nobody's to await. Lazy ones are not set going. */
export function callEach(listeners: readonly unknown[], self: unknown, values: readonly unknown[]): void {
  for (const listener of listeners) {
    const result: unknown = Reflect.apply(listener as Listener, self, values)
    if (result instanceof Promise) result.catch(ignore)
  }
}
