// A unit that needs a connection: what the router is asked for it. A lone BEGIN, and one with reads behind it, begins a transaction; all
// else is one statement, as strict as the strictest text in it.

import type { Scope } from '../../core/session/causal-scope.js'
import type { Attempt } from '../../herd/herd.js'
import { type RouteOptions, Statement } from '../../router/statement.js'
import type { Ended } from '../server/exchange.js'
import { Joined, type TextPlan } from '../session/plan.js'
import type { Unit } from '../session/unit.js'
import type { ClientParts } from './parts.js'

export interface Routable {
  readonly unit: Unit
  readonly plans: readonly TextPlan[]
  readonly wish: RouteOptions
  readonly scope: Scope | undefined
}

/** Several texts are one to the router, which reads each by itself. Null: there is none. */
export function textOf({ texts }: Unit): string | null {
  return texts.length === 1 ? (texts[0] ?? null) : texts.length === 0 ? null : texts.join(';\n')
}

/** Rejects where the unit has failed, and the client was told nothing. */
export async function routed(
  { router, scopes }: ClientParts,
  { unit, plans, wish, scope }: Routable,
  run: (place: Attempt, reading: boolean) => Promise<Ended>
): Promise<void> {
  const text = textOf(unit)
  const opening = plans[0]?.opening ?? null
  const { texts } = router.routing
  const reader = unit.texts.length > 1 ? new Joined(texts, unit.texts) : texts
  const statement = new Statement(reader, wish, { query: text, values: undefined, callback: undefined, text }, scope)
  const onlyReads = plans.every(({ verdict }, i) => i === 0 || verdict.intent === 'read')
  if (opening === null || !onlyReads || statement.route === 'primary') {
    await router.run(statement, run)
    return
  }
  const { route, maxLagMillis } = statement
  const { readOnly, isolation } = opening
  const beginning = { text: text ?? '', readOnly, isSerializable: isolation === 'serializable' }
  const begin = (place: Attempt) => run(place, readOnly && place.node.state.kind === 'replica')
  await scopes.within(scope, () =>
    router.transaction({ route, maxLagMillis }, beginning, begin, async (ended) => ended)
  )
}
