// What a pool lends to its checked-out clients: replicas, by the same rules as for query(). The other side of client.ts.

import type { Client } from 'pg'
import type { Herd, Place } from '../herd/herd.js'
import type { Lender } from './client.js'
import type { NodePool } from './node-pool.js'
import type { QueryArgs, Wishes } from './query-args.js'
import type { Routed, Routing, Written } from './routing.js'

export interface LendingParts {
  readonly herd: Herd
  readonly routing: Routing
  written(): Written
  count(place: Place, routed: Routed): void
  poolOf(place: Place): NodePool
  cancelOf(client: Client): Promise<void>
  /** Nothing is lent: what would have been is only told. */
  readonly observe: ((routed: Routed, text: string | null) => void) | null
}

/** A borrowed read that no replica serves any more: its client's own connection does. */
const HERE = Symbol('here')

export function lenderOf({ herd, routing, written, count, poolOf, observe, cancelOf }: LendingParts): Lender {
  const read = (text: string) => routing.read(text)
  const readOf = (args: QueryArgs, wishes: Wishes) => routing.route(args, wishes, read(args.text ?? ''), written())
  const transactionOf = (args: QueryArgs, { route, maxLagMillis }: Wishes) =>
    routing.transaction(
      { ...args, route: args.route ?? route, maxLagMillis: args.maxLagMillis ?? maxLagMillis },
      written()
    )
  return {
    get lends() {
      return herd.topology.plural
    },
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
    async borrow(args, wishes, here, notice) {
      const routed = readOf(args, wishes)
      const result = await herd.run(routed, async (place) => {
        if (place.node.state.kind !== 'replica') return HERE
        count(place, routed)
        return poolOf(place).query(place, args, true, notice)
      })
      return result === HERE ? here() : result
    },
    cancel: (client) => cancelOf(client),
    serializable: () => routing.setAside('isolation'),
    async lend(args, wishes) {
      const errand = transactionOf(args, wishes)
      if (errand === null) return null
      return herd.run(errand, (place) => {
        count(place, errand)
        return poolOf(place).connect(place)
      })
    },
  }
}
