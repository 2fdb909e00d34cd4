// What a pool refuses by itself: errors that name the node.

import type { NodeKey } from '../core/cluster/address.js'
import type { Outcome } from '../core/cluster/failure.js'
import { PgherdError } from '../errors.js'

export function movedError(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_MOVED', `another server answers at ${key} than before`)
}

export function staleError(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_STALE', `${key} has not replayed what the read must see`)
}

export function dropped(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_DROPPED', `the connections to ${key} were given up before the statement was sent`)
}

export function notOnPrimary(key: NodeKey): PgherdError {
  return new PgherdError(
    'PGHERD_NO_REPLICA',
    `a replica was asked for (route: 'replica'), and ${key} is none. There only reads are run for that, and what begins, ` +
      'ends or shapes a transaction. Leave the route out where the statement may run on the primary.'
  )
}

export function promotedError(key: NodeKey): PgherdError {
  return new PgherdError(
    'PGHERD_STALE',
    `${key} was promoted, and what it shows may be of a history that no primary has`
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

export function notReplica(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_NOT_REPLICA', `${key} is not in recovery: it is no replica`)
}

export function notPrimary(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_NOT_PRIMARY', `${key} is in recovery: it is no primary`)
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
