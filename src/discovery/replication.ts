// The primary's pg_stat_replication -> addresses of its replicas. The view shows where a replica connects from, not
// where it listens. The default is the same address with the primary's port; the user's `address` function can say otherwise.

import { isIP } from 'node:net'
import { type NodeAddress, type Traits, traitsOf } from '../core/cluster/address.js'
import type { Sender } from '../core/cluster/sighting.js'

/** A replica as its primary sees it. `address` is null for a role without pg_read_all_stats. */
export interface ReplicaRow {
  readonly address: string | null
  /** application_name of the WAL receiver: the replica's cluster_name unless configured. */
  readonly name: string
}

/** Where a replica listens, and what else the user says of it. */
export interface ReplicaPlace extends Traits {
  readonly host: string
  readonly port: number
}

export interface ReplicationSettings {
  /** Where the replica of this row listens, with its weight and zone if they are known; null: leave it alone. */
  readonly address?: (row: ReplicaRow, primary: { readonly host: string; readonly port: number }) => ReplicaPlace | null
}

export interface ReplicationSource extends ReplicationSettings {
  readonly source: 'replication'
}

/** For the `discovery` option: use the replicas that stream from the primary, found at addresses of your choosing. */
export function replication(settings: ReplicationSettings = {}): ReplicationSource {
  return { source: 'replication', ...settings }
}

/** Only rows in state 'streaming': a base backup or a replica still catching up is not there to be read. */
export function replicasOf(
  senders: readonly Sender[],
  primary: NodeAddress,
  settings: ReplicationSettings,
  origin: 'discovered' | 'shown'
): NodeAddress[] {
  const found: NodeAddress[] = []
  for (const { address, name, state } of senders) {
    if (state !== 'streaming') continue
    const place: ReplicaPlace | null =
      settings.address === undefined
        ? address === null || isIP(address) === 0 // `inet`: what is none was not written by PostgreSQL
          ? null
          : { host: address, port: primary.port }
        : settings.address({ address, name }, { host: primary.host, port: primary.port })
    if (place !== null) found.push({ host: place.host, port: place.port, servername: null, origin, ...traitsOf(place) })
  }
  return found
}
