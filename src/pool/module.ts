// A whole module in the shape of pg, with our Pool in the place of pg's: for what takes pg as a value. Binds nothing before it
// is asked for.

import type pg from 'pg'
import type { PgLike } from '../pg/abilities.js'
import type { PoolConstructor } from './types.js'

/** Everything of pg, and everything of ours. */
export type PgModule<Own extends object> = Omit<typeof pg, 'Pool' | 'native'> &
  Own & { readonly Pool: PoolConstructor; readonly native: PgModule<Own> | null }

/**
 * `own`: what is not pg's. `native` is as lazy as pg's own, since only a caller that asks for libpq's binding may miss it;
 * null where it is not installed.
 */
export function moduleOf<Own extends object>(
  copy: PgLike,
  own: Own,
  bind: (copy: PgLike) => PoolConstructor,
  PoolClass = bind(copy)
): PgModule<Own> {
  const module = { ...copy, ...own, Pool: PoolClass }
  const settle = (value: unknown) =>
    Object.defineProperty(module, 'native', { value, configurable: true, enumerable: false })
  Object.defineProperty(module, 'native', {
    configurable: true,
    enumerable: false,
    get() {
      const native = (copy as Partial<typeof pg>).native as PgLike | null | undefined
      const value = native ? moduleOf(native, own, bind) : null
      settle(value)
      return value
    },
  })
  return module as unknown as PgModule<Own>
}
