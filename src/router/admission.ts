// What a connection must show before an attempt may use it. Values only.

import type { ServerSession } from '../core/session/server-session.js'
import type { Attempt } from '../herd/herd.js'

/** What was chosen as proven is not proven for this very connection. */
export function needsProof({ required, node, reason }: Attempt, { proven, readyAt }: ServerSession): boolean {
  if (required === null || node.state.kind !== 'replica') return false
  // A position alone does not say whose it is.
  if (reason === 'guarded') return true
  if (proven !== null && proven >= required.lsn) return false
  const askedAt = node.state.position?.askedAt
  return readyAt === null || askedAt === undefined || readyAt.mono >= askedAt.mono
}

/** The session said 'standby' after the probe that made its node the primary: the node has changed since. */
export function isDemoted({ node }: Attempt, { standby, standbyAt }: ServerSession): boolean {
  if (node.state.kind !== 'primary' || standby !== true || standbyAt === null) return false
  return node.probedAt !== null && standbyAt.mono > node.probedAt.mono
}
