// Runs the application's connection hooks on replicas without letting them end the process: a hook written for one server
// may write, and a replica refuses that. Knows promises only; what a refusal means is the pool's to decide.

import { createHook, executionAsyncId } from 'node:async_hooks'
import type { EventEmitter } from 'node:events'

const ignore = () => {}
/** A hook that goes on for ever is watched for so many of its steps. */
const MOST_STEPS = 10_000

/**
 * Runs `hook`. A promise made in it, or later by what it started, that nobody awaits cannot become an unhandled rejection;
 * whoever does await one gets the rejection as ever. Promises of the rest of the process are left alone. What the hook
 * returned is watched until it settles, and given back as it is.
 */
export function unharmed<T>(hook: () => T): T {
  const own = new Set<number>()
  let calling = true
  let silencing = false
  const silence = (promise: object) => {
    silencing = true
    Promise.prototype.then.call(promise, undefined, ignore)
    silencing = false
  }
  const watch = createHook({
    init(id, type, trigger, resource) {
      if (silencing || !(calling || own.has(executionAsyncId()) || own.has(trigger))) return
      if (own.add(id).size > MOST_STEPS) watch.disable()
      // Not in here: the promise is still being made.
      if (type === 'PROMISE') queueMicrotask(() => silence(resource))
    },
  }).enable()
  let result: T
  try {
    result = hook()
  } catch (error) {
    watch.disable()
    throw error
  } finally {
    calling = false
  }
  if (isThenable(result)) result.then(ignore, ignore).then(() => watch.disable())
  else watch.disable()
  return result
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
}

/** pg-pool's hooks, made safe for as long as `isReplica` says so. */
export function guarded(hooks: Hooks, isReplica: () => boolean): Hooks {
  const { onConnect, verify } = hooks
  const safe: { -readonly [K in keyof Hooks]: Hooks[K] } = {}
  if (typeof onConnect === 'function') {
    safe.onConnect = (client) => (isReplica() ? unharmed(() => onConnect(client)) : onConnect(client))
  }
  if (typeof verify === 'function') {
    safe.verify = (client, done) => {
      if (!isReplica()) return verify(client, done)
      const result: unknown = unharmed(() => verify(client, done))
      // An async one that fails before it calls back would leave its caller waiting for ever.
      if (isThenable(result)) result.then(undefined, done)
      return result
    }
  }
  return safe
}

type Query = (first: unknown, second: unknown, third: unknown) => unknown

/**
 * A hook's statement on a replica, in whatever form of query(): a refusal to write (25006) is told to `refused`, and its
 * promise counts as awaited. The hook gets its answer as ever.
 */
export function lookedAfter(query: Query, args: Parameters<Query>, refused: () => void): unknown {
  const notice = (error: unknown) => {
    if ((error as { readonly code?: unknown } | null | undefined)?.code === '25006') refused()
  }
  const [first, second, third] = args.map((arg) =>
    typeof arg === 'function' ? noticing(arg as Listener, notice) : arg
  )
  const result = query(first, second, third)
  if (isThenable(result)) result.then(undefined, notice)
  else (result as Partial<EventEmitter> | undefined)?.on?.('error', notice)
  return result
}

function noticing(done: Listener, notice: (error: unknown) => void): Listener {
  return (error, result) => {
    notice(error)
    return done(error, result)
  }
}

export interface Hooks {
  readonly onConnect?: (client: unknown) => unknown
  readonly verify?: (client: unknown, done: (error?: unknown) => void) => unknown
}

type Listener = (...args: unknown[]) => unknown

/** Calls each listener as emit() would, and resolves when those that return promises have settled. */
export function callEach(listeners: readonly unknown[], self: unknown, value: unknown): Promise<unknown> | undefined {
  const results = listeners.map((listener) => Reflect.apply(listener as Listener, self, [value]))
  const promises = results.filter(isThenable)
  return promises.length === 0 ? undefined : Promise.allSettled(promises)
}
