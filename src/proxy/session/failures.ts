// What a client is told where no server has answered it: errors of the proxy and of the network -> SQLSTATE and words that client libraries
// understand. Values only.

import type { Outcome } from '../../core/cluster/failure.js'
import { isA, propertyOf, wordsOf } from '../../core/thrown.js'
import { PgherdError, type PgherdErrorCode } from '../../errors.js'
import { Code, type Said } from '../wire/write.js'

const CODES: Readonly<Partial<Record<PgherdErrorCode, string>>> = {
  PGHERD_NO_PRIMARY: Code.cannotConnectNow,
  PGHERD_CONTESTED_PRIMARY: Code.cannotConnectNow,
  PGHERD_MIXED_CLUSTERS: Code.cannotConnectNow,
  PGHERD_NO_REPLICA: Code.cannotConnectNow,
  PGHERD_TIMEOUT: Code.cannotConnectNow,
  PGHERD_DROPPED: Code.cannotConnectNow,
  PGHERD_QUEUE_FULL: Code.tooMany,
  PGHERD_WEAK_AUTH: Code.noAuthorization,
  PGHERD_AUTH: Code.noAuthorization,
  PGHERD_TOKEN: '22023',
  PGHERD_ON_REPLICA: '25006',
}

const DONE: Readonly<Record<Outcome, string>> = {
  'not-sent': 'The statement was not sent.',
  'rolled-back': 'Nothing of the statement was committed.',
  committed: 'The statement was committed.',
  unknown: 'It is not known whether the statement was committed.',
}

/** The session with its server is gone while a statement of the client ran there. `outcome`: what became of the statement. */
export function lostSaid(outcome: Outcome, cause: string): Said {
  // transaction_resolution_unknown, and what a server says that is stopped: libraries run a transaction again after that.
  const code = outcome === 'unknown' ? Code.outcomeUnknown : Code.adminShutdown
  return { code, message: `the connection to the server was lost: ${cause}`, detail: DONE[outcome] }
}

/** Of a statement of its own, outside of a transaction. */
export function failureSaid(error: unknown): Said {
  const outcome = propertyOf(error, 'outcome') as Outcome | undefined
  const words = wordsOf(error).replace(/^(?:\w*Error): /, '')
  if (isA(error, PgherdError)) {
    const [message = '', ...more] = words.split('\n')
    const code = CODES[error.code] ?? (outcome === 'unknown' ? Code.outcomeUnknown : Code.connectionFailure)
    return {
      code,
      message,
      detail: more.length === 0 ? undefined : more.map((line) => line.trim()).join('\n'),
      hint: error.code,
    }
  }
  return lostSaid(outcome ?? 'unknown', words)
}

/** A statement in a transaction on a replica that neither server can do unnoticed. */
export const ON_REPLICA: Said = {
  code: '25006',
  message: 'the statement needs the primary, and its READ ONLY transaction runs on a replica',
  hint: 'Run the statement first, or begin the transaction without READ ONLY.',
}

export const ABORTED: Said = {
  code: Code.failedTransaction,
  message: 'current transaction is aborted, commands ignored until end of transaction block',
}

export const WITHDRAWN: Said = { code: Code.cancelled, message: 'canceling statement due to user request' }

export const NO_TRANSACTIONS: Said = {
  code: Code.notSupported,
  message: 'transactions are not taken: pool_mode is statement',
}
