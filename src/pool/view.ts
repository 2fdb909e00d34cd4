// A view of a pool: the same pool in all things, except that its statements carry route options of their own. Looks like the pool to
// instanceof, to libraries that reach into it, and to listeners. Owns nothing: to end it ends nothing but itself.

import type { RouteOptions } from '../router/statement.js'

/** What a view has of its own. The rest is the pool's. */
export type Own = Record<string | symbol, unknown>

export function viewOf<T extends object>(pool: T, own: Own): T {
  const bound = new Map<unknown, unknown>()
  const view: T = new Proxy(pool, {
    get(target, name) {
      if (Object.hasOwn(own, name)) return own[name]
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function' || name === 'constructor' || (typeof name === 'string' && /^[A-Z]/.test(name)))
        return value
      let method = bound.get(value)
      if (method === undefined) {
        // What is chainable (on, once, off) chains on the view.
        method = (...args: unknown[]) => {
          const result: unknown = Reflect.apply(value as (...args: unknown[]) => unknown, target, args)
          return result === target ? view : result
        }
        bound.set(value, method)
      }
      return method
    },
    // What is replaced on a view (a test's mock, a library's wrapper) is replaced there only, if the view has it.
    set: (target, name, value) =>
      Object.hasOwn(own, name)
        ? Reflect.defineProperty(own, name, { value, configurable: true, writable: true, enumerable: true })
        : Reflect.set(target, name, value, target),
  })
  return view
}

/** What a view of a view asks for: its own words first. */
export function merged(outer: RouteOptions, inner: RouteOptions): RouteOptions {
  return {
    route: inner.route ?? outer.route,
    maxLagMillis: inner.maxLagMillis ?? outer.maxLagMillis,
  }
}
