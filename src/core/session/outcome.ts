// The outcome of a statement on a client that its caller holds, perhaps in a transaction block. For a statement of pool.query()
// see outcomeOf() in failure.ts.

import type { Failure, Outcome } from '../cluster/failure.js'
import { isUndone, type Undone } from '../undone.js'
import type { Ending, Fate } from './commit.js'

export interface Situation {
  /** What the server has said, or the end of the connection has left open: what may have been committed. */
  readonly fate: Fate
  readonly undone: Undone
  /** A transaction block was open. */
  readonly inBlock: boolean
  /** The session goes on. */
  readonly alive: boolean
}

export function outcomeInSession(failure: Failure, situation: Situation): Outcome {
  const { fate, undone, inBlock, alive } = situation
  if (failure.sent === 'never') return 'not-sent'
  if (failure.sent === 'unparsed') return 'rolled-back'
  // A query_timeout: the server still does it.
  if (failure.kind === 'caller' && alive) return 'unknown'
  switch (fate) {
    case 'all':
      return 'committed'
    case 'perhaps':
      return 'unknown'
    case 'nothing':
      return isUndone(undone, inBlock) ? 'rolled-back' : 'unknown'
    default:
      return fate satisfies never
  }
}

/** Of a statement that was answered to its end, though its rows could not be read. In an open block it is undecided. */
export function outcomeOfEnding(ending: Ending): Outcome {
  if (ending === 'committed') return 'committed'
  return ending === 'undone' ? 'rolled-back' : 'unknown'
}
