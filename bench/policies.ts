// Ways to choose one of several replicas, for bench/balance.ts and bench/balance-simulated.ts.

import { type BalancePolicy, leastInFlight } from '../src/core/cluster/balance.js'
import type { Node } from '../src/core/cluster/node.js'

const at = (candidates: readonly Node[], index: number) => candidates[index] as Node

/** Two that chance has drawn: the less busy. */
const twoChoices: BalancePolicy = (candidates, { random, inFlight }) => {
  const { length } = candidates
  const drawn = Math.floor(random * length * (length - 1))
  const first = at(candidates, drawn % length)
  const second = at(candidates, ((drawn % length) + 1 + Math.floor(drawn / length)) % length)
  return inFlight(second.key) < inFlight(first.key) ? second : first
}

function roundRobin(): BalancePolicy {
  let turn = 0
  return (candidates) => at(candidates, turn++ % candidates.length)
}

const random: BalancePolicy = (candidates, moment) => at(candidates, Math.floor(moment.random * candidates.length))

/** `far`: of each port, how far it is. */
function nearest(far: ReadonlyMap<number, number>): BalancePolicy {
  const distance = ({ address }: Node) => far.get(address.port) ?? Infinity
  return (candidates) => candidates.reduce((best, node) => (distance(node) < distance(best) ? node : best))
}

export function policiesFor(far: ReadonlyMap<number, number>): Readonly<Record<string, () => BalancePolicy>> {
  return {
    'least in flight': () => leastInFlight,
    'two choices': () => twoChoices,
    'round robin': roundRobin,
    random: () => random,
    nearest: () => nearest(far),
  }
}
