// A replica is to show its own position before what was chosen as proven is believed of this very connection.

import type { PoolClient } from 'pg'
import type { Instant } from '../core/cluster/instant.js'
import type { ServerSession } from '../core/session/server-session.js'
import type { Attempt } from '../herd/herd.js'
import { ask } from '../pg/own-query.js'
import { mark, sourceOf } from '../pg/tap.js'
import { REPLAYED, replayedIn } from '../router/questions.js'
import { inContext } from '../runtime/context.js'
import { staleError } from './refusals.js'
import type { Site } from './site.js'

export { needsProof } from '../router/admission.js'

/**
 * A connection younger than its node's known position may lead to a server that crashed and went backwards: it shows its own.
 * `reject` has the client released.
 */
export function prove(
  { parts, node }: Site,
  client: PoolClient,
  session: ServerSession,
  place: Attempt,
  run: () => void,
  reject: (error: unknown) => void
): void {
  const { router, clock } = parts
  const { required } = place
  const askedAt = clock.now()
  const since = mark()
  const go = inContext(run)
  session.asks()
  ask(client, REPLAYED, (error, [row]) => {
    session.answered()
    const { lsn, receiver } = replayedIn(row?.answer)
    session.shows(lsn)
    if (lsn !== null && required !== null) {
      router.facts.shown(node, { lsn, askedAt }, receiver, required, place.reason === 'guarded' ? required : null)
      if (lsn >= required.lsn && router.herd.vouches(place)) return go()
    }
    client.release((error as Error | null) ?? undefined)
    place.source = error ? sourceOf(error, client, since) : 'pgherd'
    reject(error ?? staleError(node.key))
  })
}

/** What a guard has proved of the rows behind it; a promise: the primary is asked, and then that is known. */
export type Shown = 'passed' | 'stale' | Promise<boolean>

/** `answer`: of a guard, null or undefined where it failed, and so proved nothing. */
export function shownBy(
  { parts, node }: Pick<Site, 'parts' | 'node'>,
  session: ServerSession,
  place: Attempt,
  askedAt: Instant,
  answer: string | null | undefined
): Shown {
  const { router } = parts
  const { required } = place
  const { lsn, receiver } = replayedIn(answer)
  // Null behind an answer: it is in recovery no longer.
  if (lsn === null || required === null) return 'stale'
  session.shows(lsn)
  router.facts.shown(node, { lsn, askedAt }, receiver, required, required)
  if (lsn < required.lsn) return 'stale'
  return router.herd.vouches(place) ? 'passed' : router.herd.confirms(place)
}
