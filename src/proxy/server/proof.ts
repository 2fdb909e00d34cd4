// What a connection shows of its server before a unit counts on it: which server it leads to, and how far a replica has replayed.

import type { Source } from '../../core/cluster/failure.js'
import type { Node } from '../../core/cluster/node.js'
import type { Attempt } from '../../herd/herd.js'
import { IDENTITY, identityIn, REPLAYED, replayedIn } from '../../router/questions.js'
import { movedError, notPrimary, staleError } from '../../router/refusals.js'
import type { ServerConnection } from './connection.js'
import { DialError } from './dial.js'
import type { UnitExchange } from './exchange.js'
import type { ServerParts } from './parts.js'

/** Rejects with a DialError, which says what made it. */
export function asked(connection: ServerConnection, text: string): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const told = (error: unknown, value: string | null, source: Source) =>
      error ? reject(new DialError(error, source)) : resolve(value)
    const [exchange, bytes] = connection.question(text, told)
    connection.send(exchange, [bytes])
  })
}

/** An address may have moved since its node was looked at: a new connection says where it leads before anything is sent over it. */
export async function identify(
  connection: ServerConnection,
  node: Node,
  { router, clock }: ServerParts
): Promise<void> {
  const { session } = connection
  session.asks()
  const identity = identityIn(await asked(connection, IDENTITY))
  session.answered()
  if (identity === null) return session.unidentified()
  const { inRecovery, replayed, pid, restMillis } = identity
  session.identified(inRecovery, replayed, pid !== connection.pid, restMillis, clock.mono())
  router.facts.identified(node, identity.startedAt, identity.isAsynchronous)
  const { state, seen } = router.herd.topology.nodes.get(node.key) ?? node
  if (state.kind === 'primary' && identity.inRecovery) throw new DialError(notPrimary(node.key), 'pgherd')
  const known = seen?.detail?.startedAt ?? ''
  if (known !== '' && known !== identity.startedAt) throw new DialError(movedError(node.key), 'pgherd')
}

/** A trip of its own: what follows it is a COPY, or needs an answer before its end. */
export async function prove(
  connection: ServerConnection,
  place: Attempt,
  { router, clock }: ServerParts
): Promise<void> {
  const { session } = connection
  const { required, node } = place
  const askedAt = clock.now()
  session.asks()
  const { lsn, receiver } = replayedIn(await asked(connection, REPLAYED))
  session.answered()
  session.shows(lsn)
  if (lsn === null || required === null) throw staleError(node.key)
  router.facts.shown(node, { lsn, askedAt }, receiver, required, place.reason === 'guarded' ? required : null)
  if (lsn < required.lsn || !(router.herd.vouches(place) || (await router.herd.confirms(place))))
    throw staleError(node.key)
}

/** In one trip: how far the replica is, and the rows, which count if that is far enough. */
export function guard(
  connection: ServerConnection,
  place: Attempt,
  exchange: UnitExchange,
  stale: () => void,
  { router, clock }: ServerParts
): void {
  const { session } = connection
  const { required, node } = place
  const askedAt = clock.now()
  const [question, bytes] = connection.question(REPLAYED, (error, value) => {
    const { lsn, receiver } = replayedIn(value)
    if (error || lsn === null || required === null) return stale()
    session.shows(lsn)
    router.facts.shown(node, { lsn, askedAt }, receiver, required, required)
    if (lsn < required.lsn) return stale()
    if (router.herd.vouches(place)) return exchange.open()
    connection.stop()
    void router.herd.confirms(place).then(
      (is) => {
        connection.go()
        if (is) exchange.open()
        else stale()
      },
      () => {
        connection.go()
        stale()
      }
    )
  })
  connection.lead(question, bytes)
}
