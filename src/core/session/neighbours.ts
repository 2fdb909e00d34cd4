// Statements that share a session: what a failure of one of them is owed to another. By the server's codes (PostgreSQL docs, appendix A).

/**
 * What the code says of a prepared statement, whatever the client takes it for. absent: the session has none of that name (26000); present:
 * it has one (42P05). Null: nothing.
 */
export function preparedIn(code: unknown): 'absent' | 'present' | null {
  return code === '26000' ? 'absent' : code === '42P05' ? 'present' : null
}

export interface Neighbourhood {
  /** It is prepared under a name, as others may be. */
  readonly isNamed: boolean
  /** A cancel request is on its way, for another one. */
  readonly isCancelling: boolean
  /** Another one has failed so before, and its session is given up for that. */
  readonly isClosing: boolean
}

/** It failed for what another statement did, or was done to: sent again, it need not. */
export function isOfAnother(code: unknown, { isNamed, isCancelling, isClosing }: Neighbourhood): boolean {
  // query_canceled: a cancel request that came late.
  if (code === '57014') return isCancelling
  // The one that was to prepare it has failed, or two did so; or its plan is stale, of which the first that met that has heard.
  return isNamed && (preparedIn(code) !== null || (code === '0A000' && isClosing))
}
