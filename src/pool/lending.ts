// What a pool lends to its checked-out clients: replicas, by the same rules as for query(). The other side of client.ts.

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
}

/** A borrowed read that no replica serves any more: its client's own connection does. */
const HERE = Symbol('here')
const NO_WISHES: Wishes = {}

export function lenderOf({ herd, routing, written, count, poolOf }: LendingParts): Lender {
  const read = (text: string) => routing.read(text)
  const readOf = (args: QueryArgs) => routing.route(args, NO_WISHES, read(args.text ?? ''), written())
  return {
    get lends() {
      return herd.topology.plural
    },
    read,
    effect: (text) => routing.effect(text),
    ready(args) {
      const isRead = args.text !== null && read(args.text).intent === 'read'
      const target = (isRead ? readOf(args) : routing.transaction(args, written()))?.target
      return target !== undefined && herd.prefersReplica(target)
    },
    async borrow(args, here, notice) {
      const routed = readOf(args)
      const result = await herd.run(routed, async (place) => {
        if (place.node.state.kind !== 'replica') return HERE
        count(place, routed)
        return poolOf(place).query(place, args, true, notice)
      })
      return result === HERE ? here() : result
    },
    async lend(args) {
      const errand = routing.transaction(args, written())
      if (errand === null) return null
      return herd.run(errand, (place) => {
        count(place, errand)
        return poolOf(place).connect(place)
      })
    },
  }
}
