// The public names, nothing else.

import pg from 'pg'
import { classify } from './core/sql/classify.js'
import { dns } from './discovery/dns.js'
import { patroni } from './discovery/patroni.js'
import { replication } from './discovery/replication.js'
import { PgherdError } from './errors.js'
import type { PgLike } from './pg/abilities.js'
import { moduleOf } from './pool/module.js'
import { createPool as bind } from './pool/pool.js'
import type { PoolConstructor, Pool as PoolType } from './pool/types.js'

export type { HerdOptions, TargetSessionAttrs } from './config/options.js'

export type { BalancePolicy, Moment } from './core/cluster/balance.js'
export type { Outcome } from './core/cluster/failure.js'
export type { Intent } from './core/sql/classify.js'

export type { DnsSettings, DnsSource } from './discovery/dns.js'
export type { PatroniSettings, PatroniSource } from './discovery/patroni.js'
export type { ReplicaPlace, ReplicaRow, ReplicationSettings, ReplicationSource } from './discovery/replication.js'

export type { NodeReport, PgherdErrorCode } from './errors.js'

export type { Freshness, Health, Readiness } from './herd/herd.js'
export type { TransactionOptions } from './pool/transaction.js'
export type { Failover, PoolClient, PoolConfig, PoolConstructor, ReadyOptions, StatementOptions } from './pool/types.js'

export type { Hidden } from './report/hidden.js'
export type { Explanation, NodeSnapshot, TopologySnapshot } from './report/types.js'
export type { TokenLost } from './router/causality.js'
export type { Decision } from './router/decisions.js'
export type { Repair } from './router/repairs.js'
export type { Route, RouteOptions as Wishes } from './router/statement.js'
export type { SessionOptions, Tokens } from './router/tokens.js'

export type { FailoverProgress, TopologyChange } from './telemetry/channels.js'

export type { Journey } from './telemetry/journey.js'

export { classify, dns, PgherdError, patroni, replication }

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

/** All of this and of pg in one value, for what takes pg as a whole: `driver: pgherd`, `pgp.pg = pgherd`. */
const pgherd = moduleOf(pg, { createPool, classify, dns, patroni, replication, PgherdError }, bind, Pool)
export default pgherd
export type Pgherd = typeof pgherd
