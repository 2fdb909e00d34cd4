// What a missing privilege hides on a node, what follows from that, and the statement that grants it. Decides nothing.

import type { Node } from '../core/cluster/node.js'
import type { Detail, Sighting } from '../core/cluster/sighting.js'
import { sqlIdentifier } from '../core/words.js'

export interface Hidden {
  /** What is not seen, and what follows from that. */
  readonly what: string
  /** To be run on the primary by a role that may: roles and grants are replicated. */
  readonly grant: string
}

export function hiddenFrom({ state, seen }: Node): readonly Hidden[] {
  const detail = seen?.detail ?? null
  if (seen === null || detail === null || detail.role === null || state.kind === 'alias') return []
  const found: Hidden[] = []
  // Every role may call pg_control_*(), unless that was revoked. Without one of these functions nothing is known.
  if (detail.systemIdentifier === null) found.push({ what: IDENTITY, grant: grantControl(detail.role) })
  else if (detail.readsStats === false) {
    // What it does not receive no privilege shows.
    if (seen.inRecovery) {
      if (receives(seen)) found.push({ what: TIMELINE, grant: grantStats(detail) })
    } else if (detail.senders.length > 0) found.push({ what: SENDERS, grant: grantStats(detail) })
  }
  return found.map((each) => Object.freeze(each))
}

const IDENTITY = 'which cluster it belongs to, when it was started and who follows it: other servers may pass for it'
const TIMELINE =
  'from whom it receives, and on which timeline: after a promotion it may serve no reads until its next restartpoint'
const SENDERS = 'the addresses of the replicas: none is found there'

/** A replica that has no WAL receiver lost its upstream, or replays a WAL archive. Every role sees whether there is one. */
export function receives({ receiver, replay }: Sighting): boolean {
  // Where the functions of WAL are forbidden, nothing is known of either.
  return replay === null || receiver !== null
}

/** Null: it has the privilege, or there is no such one. */
export function grantFor(detail: Detail | null | undefined): string | null {
  return detail?.readsStats === false ? grantStats(detail) : null
}

function grantStats({ role }: Detail): string {
  return `GRANT pg_read_all_stats TO ${sqlIdentifier(role ?? 'public')}`
}

function grantControl(role: string): string {
  const names = ['system', 'checkpoint', 'recovery'].map((name) => `pg_control_${name}()`)
  return `GRANT EXECUTE ON FUNCTION ${names.join(', ')} TO ${sqlIdentifier(role)}`
}
