// What a pool lends to its checked-out clients: replicas, by the same rules as for query(). The other side of borrower.ts.

import type { Client } from 'pg'
import type { Scope, Written } from '../core/session/causal-scope.js'
import type { Herd, Place } from '../herd/herd.js'
import type { Routed, Routing } from '../router/routing.js'
import type { QueryArgs, Wishes } from '../router/statement.js'
import type { Task } from '../telemetry/journey.js'
import type { Lender } from './borrower.js'
import type { NodePool } from './node-pool.js'

export type Run = <R, T>(
  kind: Task['kind'],
  text: string | null,
  routed: Routed,
  attempt: (place: Place) => Promise<R>,
  then: (answer: R) => T | Promise<T>
) => Promise<T>

export interface LendingParts {
  readonly herd: Herd
  /** Makes the attempts of an errand, and tells of them. `then`: what follows from the answer belongs to it. */
  readonly run: Run
  readonly routing: Routing
  scope(): Scope | undefined
  written(scope: Scope | undefined, wroteAt: number | null): Written
  count(place: Place, routed: Routed): void
  /** A read of this session has ended there. */
  readOn(place: Place, scope: Scope | undefined): void
  poolOf(place: Place): NodePool
  cancelOf(client: Client): Promise<void>
  /** Nothing is lent: what would have been is only told. */
  readonly observe: ((routed: Routed, text: string | null) => void) | null
}

/** A borrowed read that no replica serves any more: its client's own connection does. */
const HERE = Symbol('here')

export function lenderOf(parts: LendingParts): Lender {
  const { herd, run, routing, written, count, poolOf, observe, cancelOf } = parts
  const read = (text: string) => routing.read(text)
  const readOf = (args: QueryArgs, wishes: Wishes) =>
    routing.route(args, wishes, read(args.text ?? ''), written(args.scope, args.wroteAt ?? null))
  const transactionOf = (args: QueryArgs, { route, maxLagMillis }: Wishes) =>
    routing.transaction(
      { ...args, route: args.route ?? route, maxLagMillis: args.maxLagMillis ?? maxLagMillis },
      written(args.scope, args.wroteAt ?? null)
    )
  return {
    get lends() {
      return herd.topology.plural
    },
    scope: () => parts.scope(),
    read,
    effect: (text) => routing.effect(text),
    ready(args, wishes) {
      const isRead = args.text !== null && read(args.text).intent === 'read'
      const routed = isRead ? readOf(args, wishes) : transactionOf(args, wishes)
      if (routed === null) return false
      if (observe === null) return herd.prefersReplica(routed.target)
      observe(routed, args.text)
      return false
    },
    borrow(args, wishes, here, notice) {
      const routed = { ...readOf(args, wishes), again: () => readOf(args, wishes) }
      const attempt = async (place: Place) => {
        if (place.node.state.kind !== 'replica') return HERE
        count(place, routed)
        const answer = await poolOf(place).query(place, args, true, notice)
        parts.readOn(place, args.scope)
        return answer
      }
      return run('statement', args.text, routed, attempt, (answer) => (answer === HERE ? here() : answer))
    },
    cancel: (client) => cancelOf(client),
    serializable: () => routing.setAside('isolation'),
    async lend(args, wishes) {
      const errand = transactionOf(args, wishes)
      if (errand === null) return null
      const attempt = (place: Place) => {
        count(place, errand)
        return poolOf(place).lend(place, args.scope)
      }
      return run('borrow', args.text, errand, attempt, (client) => client)
    },
  }
}
