// The public names, nothing else.

import pg from 'pg'
import { createPool as bind, type PgLike } from './pool/pool.js'
import type { PoolConstructor, Pool as PoolType } from './pool/types.js'

export type { HerdOptions, TargetSessionAttrs } from './config.js'
export type { BalancePolicy, Moment } from './core/balance.js'
export { classify, type Intent } from './core/classify.js'
export type { Outcome } from './core/failure.js'
export {
  type ReplicaRow,
  type ReplicationSettings,
  type ReplicationSource,
  replication,
} from './discovery/replication.js'
export { type NodeReport, PgherdError, type PgherdErrorCode } from './errors.js'
export type { Decision } from './pool/decisions.js'
export type { Route, Wishes } from './pool/query-args.js'
export type { Repair } from './pool/repairs.js'
export type { Explanation, NodeSnapshot, TopologySnapshot } from './pool/snapshot.js'
export type { Failover, PoolConfig, PoolConstructor, ReadyOptions, StatementOptions } from './pool/types.js'

/** pg.Pool for a primary with replicas, bound to the application's own copy of pg. */
export const Pool: PoolConstructor = bind(pg)
export type Pool = PoolType

/** Binds the class to another copy of pg: pg.native, a fork, a duplicated install. */
export function createPool(copy: PgLike): PoolConstructor {
  return bind(copy)
}

export const { Client, types, Query, defaults, DatabaseError, escapeIdentifier, escapeLiteral } = pg
