// What a pool refuses by itself: errors that name the node.

import type { NodeKey } from '../core/cluster/address.js'
import type { Outcome } from '../core/cluster/failure.js'
import { PgherdError } from '../errors.js'

export { dropped, movedError, notPrimary, notReplica, promotedError, staleError } from '../router/refusals.js'

export function notOnPrimary(key: NodeKey): PgherdError {
  return new PgherdError(
    'PGHERD_NO_REPLICA',
    `a replica was asked for (route: 'replica'), and ${key} is none. There only reads are run for that, and what begins, ` +
      'ends or shapes a transaction. Leave the route out where the statement may run on the primary.'
  )
}

export function promotedUnder(key: NodeKey, outcome: Outcome): PgherdError {
  return new PgherdError(
    'PGHERD_ON_REPLICA',
    `${key} was promoted while this client of a replica was out, so what it shows may be of a history that the primary does ` +
      'not have. Give the client back (in a transaction: let the error out), and begin anew.',
    { outcome }
  )
}

/** The statement is not sent: a replica would take its own lock, or change its own session, unnoticed. */
export function pinned(): PgherdError {
  return new PgherdError(
    'PGHERD_ON_REPLICA',
    'the statement needs the primary, but its READ ONLY transaction runs on a replica, and has a snapshot or a cursor ' +
      'that the primary cannot take over. Run the statement first, begin without READ ONLY, or set routeClients: false.'
  )
}

/** Its cursors live there alone, and anything else that is read there may be of a fork. */
export function promoted(): PgherdError {
  return new PgherdError(
    'PGHERD_ON_REPLICA',
    'the replica that the READ ONLY transaction runs on was promoted, so what it shows may be of a history that the primary ' +
      'does not have, and the transaction has a cursor that the primary cannot take over. Roll it back, and begin anew.'
  )
}
