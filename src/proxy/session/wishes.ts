// What a client asks of the router with its settings: pgherd.route, pgherd.max_lag, pgherd.token. They are custom settings of PostgreSQL, so
// SET, SHOW and a startup option work as for any other.

import type { Route, RouteOptions } from '../../router/statement.js'
import { type Settings, settingOf } from './settings.js'

const ROUTES: ReadonlySet<string> = new Set(['primary', 'replica', 'auto'])

/** `500ms`, `2s`, `1min`, a number of milliseconds, `infinity`; undefined: none of these. */
export function lagIn(text: string): number | undefined {
  if (/^inf(?:inity)?$/i.test(text)) return Infinity
  const [, number, unit = 'ms'] = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|min)?\s*$/.exec(text) ?? []
  return number === undefined ? undefined : Number(number) * (unit === 's' ? 1000 : unit === 'min' ? 60_000 : 1)
}

/** What is wrong with the startup settings of this kind; null: nothing. */
export function checkWishes(values: ReadonlyMap<string, string>): string | null {
  const [route, lag] = [values.get('pgherd.route'), values.get('pgherd.max_lag')]
  if (route !== undefined && !ROUTES.has(route)) return `pgherd.route must be primary, replica or auto, not "${route}"`
  if (lag !== undefined && lagIn(lag) === undefined) return `pgherd.max_lag must be a time such as 500ms, not "${lag}"`
  return null
}

const NO_WISHES = { route: {} as RouteOptions, token: null }

/** What is none of the words that there are counts as not said. */
export function wishesIn(settings: Settings): { readonly route: RouteOptions; readonly token: string | null } {
  const value = (name: string): string | null => {
    const statement = settings.get(name)
    return statement === undefined ? null : (settingOf(statement)?.value ?? null)
  }
  // No replica can give that, and its refusal would count for all clients.
  if (value('default_transaction_isolation')?.toLowerCase() === 'serializable')
    return { route: { route: 'primary' }, token: value('pgherd.token') }
  const [route, lag, token] = [value('pgherd.route'), value('pgherd.max_lag'), value('pgherd.token')]
  if (route === null && lag === null && token === null) return NO_WISHES
  return {
    route: {
      route: route !== null && ROUTES.has(route) ? (route as Route) : undefined,
      maxLagMillis: lag === null ? undefined : lagIn(lag),
    },
    token,
  }
}
