// What a face refuses by itself, on the way to another attempt: errors that name the node.

import type { NodeKey } from '../core/cluster/address.js'
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

export function promotedError(key: NodeKey): PgherdError {
  return new PgherdError(
    'PGHERD_STALE',
    `${key} was promoted, and what it shows may be of a history that no primary has`
  )
}

export function notReplica(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_NOT_REPLICA', `${key} is not in recovery: it is no replica`)
}

export function notPrimary(key: NodeKey): PgherdError {
  return new PgherdError('PGHERD_NOT_PRIMARY', `${key} is in recovery: it is no primary`)
}
