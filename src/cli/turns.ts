// Whether servers take turns behind an address. A pool learns that from the connections that its statements make; the program sends
// no statement, so it makes a few connections for this alone.

import { probeConfigFor } from '../config/dial.js'
import type { NodeAddress, NodeKey } from '../core/cluster/address.js'
import { connectionQuestion } from '../herd/question.js'
import { herdOf } from '../pool/pool.js'
import type { NodeSnapshot } from '../report/types.js'
import { IDENTITY, identityIn } from '../router/questions.js'
import type { Clock } from '../runtime/clock.js'
import type { Looking } from './herd.js'

/** Two servers in turn are recognised by the second; two by chance by these in nine of ten cases. */
const CONNECTIONS = 6
const ENOUGH_MILLIS = 3000

/** Asks each server that answers, over new connections, which one it is, and tells the herd of it. */
export async function dialAnew({ pool, config }: Looking, clock: Clock, millis: number): Promise<void> {
  const nodes = pool.topology().nodes.filter(({ state }) => state === 'primary' || state === 'replica')
  // Of one address nothing has to be chosen.
  if (nodes.length < 2 || millis <= 0) return
  const herd = herdOf(pool)
  const ask = connectionQuestion(clock, (address) => probeConfigFor(config, address), config.requireAuth)
  const most = Math.min(millis, ENOUGH_MILLIS)
  const until = clock.mono() + most
  // The connections of questions do not keep Node alive.
  const held = clock.alarm(most, () => {}, 'process')
  const never = new AbortController().signal
  const dials = nodes.map(async (node) => {
    for (let n = 0; n < CONNECTIONS; n++) {
      const left = until - clock.mono()
      if (left <= 0) return
      const [[row] = []] = await ask(addressOf(node), [IDENTITY], left, never)
      const startedAt = identityIn(row?.answer)?.startedAt ?? ''
      herd.report({ kind: 'identified', key: node.key as NodeKey, startedAt })
    }
  })
  // A server that accepts no more connections is not judged by that.
  await Promise.allSettled(dials)
  held.cancel()
}

function addressOf({ host, port, name, origin }: NodeSnapshot): NodeAddress {
  return { host, port, servername: name, origin }
}
