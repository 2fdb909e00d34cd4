// The types of what topology() and explain() return.

import type { Hidden } from './hidden.js'

export interface NodeSnapshot {
  /** `host:port` */
  readonly key: string
  readonly host: string
  readonly port: number
  /** `claimant`: not in recovery, and not believed to be the primary. `alias`: the same server as another node. */
  readonly state: 'unknown' | 'primary' | 'replica' | 'claimant' | 'down' | 'foreign' | 'alias'
  /** `shown`: found beside several configured hosts; listed, never used. */
  readonly origin: 'configured' | 'discovered' | 'shown'
  /** `dns`: it is an address of a configured name. `replication`: the primary's pg_stat_replication lists it. `patroni`: its REST API does. */
  readonly foundBy: 'configured' | 'dns' | 'replication' | 'patroni'
  /** The configured name whose address this is. */
  readonly name: string | null
  /** Its share of the reads, beside the others'; 0: none, unless nothing else can serve. */
  readonly weight: number
  /** Where it stands, as the options or `replication({ address })` say; null: they do not. */
  readonly zone: string | null
  /** The node that stands for the same server, where this one is an `alias`. */
  readonly sameAs: string | null
  /** Accused and not yet cleared: new statements wait for its answer. */
  readonly suspect: boolean
  /** drain() was called for it. */
  readonly draining: boolean
  readonly timeline: number | null
  readonly systemIdentifier: string | null
  /** `server_version`. */
  readonly version: string | null
  /** What a replica has replayed, how far a primary's WAL is on disk, as `pg_lsn` prints it. */
  readonly position: string | null
  /** Everything acknowledged longer ago than this is there, in milliseconds; null: nothing is proven. */
  readonly lagMillis: number | null
  /** Bytes of WAL that the primary was ahead of a replica when both were last asked; null: that cannot be told. */
  readonly lagBytes: number | null
  /** Why a replica could not serve a read within the pool's bounds now, and a primary no statement; null: it could. */
  readonly refused: string | null
  /** +1 whenever all connections to the node were replaced. */
  readonly generation: number
  /** The newest failure, in the words of the server or the socket. */
  readonly failure: string | null
  /** The SQLSTATE of that failure, or the name of the system's error. */
  readonly failureCode: string | null
  /** A pooler answers at this address, so what one connection proves says nothing of the next. */
  readonly pooled: boolean
  /** What the role that pgherd logs in with may not see there. */
  readonly hidden: readonly Hidden[]
}

export interface TopologySnapshot {
  /** +1 with every new primary, 0 before the first. */
  readonly epoch: number
  /** `host:port` of the primary; null while none is known. */
  readonly primary: string | null
  /** The nodes that claim to be the primary while nothing decides between them. */
  readonly contested: readonly string[]
  readonly systemIdentifier: string | null
  readonly nodes: readonly NodeSnapshot[]
  /** Sources of addresses that could not be asked lately, such as names that do not resolve, and why. */
  readonly blind: Readonly<Record<string, string>>
}

/** What the pool asks of a replica. */
export interface Bounds {
  readonly maxLagMillis: number
  readonly maxLagBytes: number
  readonly maxStaleMillis: number
  /** Only standbys are known, and no primary ever was: they serve all the same, or do not. Default: they do not. */
  readonly alone?: 'serve' | 'refuse' | undefined
}

/** The decision for one statement as it would fall now, without running it. */
export interface Explanation {
  readonly intent: 'read' | 'write' | 'session'
  /** The token or name of the statement that decided its intent. */
  readonly word: string
  readonly reason: string
  /** `host:port` of the node that would serve it; null: it would wait, or be refused. */
  readonly node: string | null
  /** That node is not proven yet: it would prove itself together with the rows, or the primary would be asked. */
  readonly guarded: boolean
  /** A pooler answers at the address of that node. */
  readonly pooled: boolean
  /** Every node that would not, and why. */
  readonly refused: Readonly<Record<string, string>>
}
