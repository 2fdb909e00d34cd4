// The public names, nothing else.

import pg from 'pg'
import { classify } from './core/classify.js'
import { replication } from './discovery/replication.js'
import { PgherdError } from './errors.js'
import { moduleOf } from './module.js'
import { createPool as bind, type PgLike } from './pool/pool.js'
import type { PoolConstructor, Pool as PoolType } from './pool/types.js'

export type { HerdOptions, TargetSessionAttrs } from './config.js'
export type { BalancePolicy, Moment } from './core/balance.js'
export type { Intent } from './core/classify.js'
export type { Outcome } from './core/failure.js'
export type { ReplicaRow, ReplicationSettings, ReplicationSource } from './discovery/replication.js'
export type { NodeReport, PgherdErrorCode } from './errors.js'
export type { Freshness, Health } from './herd/herd.js'
export type { TokenLost } from './pool/causality.js'
export type { Decision } from './pool/decisions.js'
export type { Hidden } from './pool/hidden.js'
export type { Route, Wishes } from './pool/query-args.js'
export type { Repair } from './pool/repairs.js'
export type { SessionOptions, Tokens } from './pool/sessions.js'
export type { Explanation, NodeSnapshot, TopologySnapshot } from './pool/snapshot.js'
export type { TransactionOptions } from './pool/transaction.js'
export type { Failover, PoolConfig, PoolConstructor, ReadyOptions, StatementOptions } from './pool/types.js'

export type { FailoverProgress, TopologyChange } from './telemetry/channels.js'
export type { Journey } from './telemetry/journey.js'

export { classify, PgherdError, replication }

/** pg.Pool for a primary with replicas, bound to the application's own copy of pg. */
export const Pool: PoolConstructor = bind(pg)
export type Pool = PoolType

/** Binds the class to another copy of pg: pg.native, a fork, a duplicated install. */
export function createPool(copy: PgLike): PoolConstructor {
  return bind(copy)
}

export const { Client, Connection, Query, Result, TypeOverrides, DatabaseError } = pg
export const { types, defaults, escapeIdentifier, escapeLiteral } = pg
export type Client = pg.Client
export type PoolClient = pg.PoolClient

/** All of this and of pg in one value, for what takes pg as a whole: `driver: pgherd`, `pgp.pg = pgherd`. */
const pgherd = moduleOf(pg, { createPool, classify, replication, PgherdError }, bind, Pool)
export default pgherd
// What require('pgherd') gives: the same, so that the lazy `native` is there too.
export { pgherd as 'module.exports' }
