// Runs the application's connection hooks on replicas without letting them end the process: a hook written for one server
// may write, and a replica refuses that. Knows promises only; what a refusal means is the pool's to decide.

import { createHook, executionAsyncId } from 'node:async_hooks'
import type { EventEmitter } from 'node:events'
import { errorOf, wordsOf } from '../core/thrown.js'
import type { Clock } from '../runtime/clock.js'
import type { Complain } from '../runtime/complaints.js'
import { isSubmittable, withOwn } from './submittable.js'

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
 * Calls `hook`. A promise made in it, or within seconds by what it set going, that is not awaited cannot become an unhandled
 * rejection; code that does await one gets the rejection as ever. Promises of the rest of the process are left alone.
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

/**
 * pg-pool's hooks, made safe: what they throw is the error of the statement that needed the connection, and told to `failed`
 * first. `isReplica`: for as long as it says so, what they leave going cannot end the process either.
 */
export function guarded(
  hooks: Hooks,
  isReplica: () => boolean,
  clock: Clock,
  failed: (error: unknown) => void,
  complain: Complain = ignore
): Hooks {
  const { onConnect, verify, log } = hooks
  const thrown = (error: unknown, hook: string) => {
    const told = errorOf(error, hook)
    failed(told)
    return told
  }
  const safe: { -readonly [K in keyof Hooks]: Hooks[K] } = {}
  if (typeof onConnect === 'function') {
    safe.onConnect = async (client) => {
      try {
        return await (isReplica() ? unharmed(() => onConnect(client), clock) : onConnect(client))
      } catch (error) {
        throw thrown(error, 'option onConnect')
      }
    }
  }
  if (typeof verify === 'function') {
    safe.verify = (client, done) => {
      const told: Done = (error) => {
        if (error) failed(error)
        done(error)
      }
      return verified(verify, client, told, isReplica, clock)
    }
  }
  if (typeof log === 'function') {
    safe.log = (...words) => {
      told(
        () => Reflect.apply(log, undefined, words),
        (error) => complain('option log', `threw ${wordsOf(error)}. The pool goes on.`)
      )
    }
  }
  return safe
}

/** One that throws, or an async one that fails, before it calls back would leave its caller waiting for ever. */
function verified(
  verify: NonNullable<Hooks['verify']>,
  client: unknown,
  done: Done,
  isReplica: () => boolean,
  clock: Clock
): unknown {
  let isDone = false
  const once: Done = (error) => {
    if (isDone) return
    isDone = true
    done(error)
  }
  const call = () => verify(client, once)
  return told(
    () => (isReplica() ? unharmed(call, clock) : call()),
    (error) => once(errorOf(error, 'option verify'))
  )
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

/**
 * A statement in whatever form of query() but those that submit themselves: before its answer is told `verdict` is asked, and an
 * error that this gives is told instead. A statement that failed is told as it is.
 */
export function judged(query: Query, args: Parameters<Query>, verdict: () => Error | null): unknown {
  const asked = (done: Listener): Listener =>
    function (this: unknown, error, ...values) {
      const refusal = error ? null : verdict()
      return Reflect.apply(done, this, refusal === null ? [error, ...values] : [refusal])
    }
  const [first, second, third] = args.map((arg) => (typeof arg === 'function' ? asked(arg as Listener) : arg))
  const { callback } = (first ?? {}) as { readonly callback?: unknown }
  // pg writes into it, and the caller's own object stays as it is.
  const inside = typeof callback === 'function' && typeof first === 'object'
  const config = inside ? withOwn(first, { callback: asked(callback as Listener) }) : first
  const result = query(config, second, third)
  const { then } = (result ?? {}) as Partial<Promise<unknown>>
  if (typeof then !== 'function') return result
  // Of whatever class the application has for promises.
  return (result as Promise<unknown>).then((answer) => {
    const refusal = verdict()
    if (refusal !== null) throw refusal
    return answer
  })
}

/** The statement as it was given, its failure told to `notice` first. */
export function noticed(
  query: Query,
  [first, second, third]: Parameters<Query>,
  notice: (error: unknown) => void
): unknown {
  const told = (value: unknown) => (typeof value === 'function' ? noticing(value as Listener, notice) : value)
  const holder = first as { callback?: unknown; handleError?: unknown } | string | null | undefined
  if (isSubmittable(holder)) {
    const { callback, handleError } = holder as { callback?: unknown; handleError?: unknown }
    Object.assign(holder, { handleError: told(handleError) }, callback ? { callback: told(callback) } : {})
    return query(holder, told(second), told(third))
  }
  const inner = typeof holder === 'object' ? holder?.callback : undefined
  if (typeof inner === 'function') return query(withOwn(first, {}), second, told(inner))
  const result = query(first, told(second), told(third))
  // Not on the side: a caller that leaves a rejection alone must hear of that as ever.
  if (!(result instanceof Promise)) return result
  return result.catch((error) => {
    notice(error)
    throw error
  })
}

/** `done`, with its error told to `notice` first. */
export function noticing(done: Listener, notice: (error: unknown) => void): Listener {
  return function (this: unknown, ...values) {
    notice(values[0])
    return Reflect.apply(done, this, values)
  }
}

type Done = (error?: unknown) => void

export interface Hooks {
  readonly onConnect?: (client: unknown) => unknown
  readonly verify?: (client: unknown, done: Done) => unknown
  readonly log?: (...words: unknown[]) => unknown
}

export type Listener = (...args: unknown[]) => unknown

/** Calls a listener of an event of ours. What it throws, or its promise rejects with, is told to `failed`. */
export function told(call: () => unknown, failed: (error: unknown) => void): unknown {
  try {
    const result = call()
    if (result instanceof Promise) result.catch(failed)
    return result
  } catch (error) {
    failed(error)
    return undefined
  }
}

/** Calls each listener as emit() would; a promise that one returns is not awaited. Lazy ones are not set going. */
export function callEach(listeners: readonly unknown[], self: unknown, values: readonly unknown[]): void {
  for (const listener of listeners) {
    const result: unknown = Reflect.apply(listener as Listener, self, values)
    if (result instanceof Promise) result.catch(ignore)
  }
}
