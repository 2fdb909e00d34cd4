// Sources of addresses. A source only names addresses: a probe finds out whether a node is there, and what it is.

import type { NodeAddress } from '../core/cluster/address.js'

export interface Discovery {
  /** Unique within a herd; shown in errors. */
  readonly name: string
  /** Rejects when the source cannot be asked; an empty list means the same. No promise: nothing has to be asked. */
  discover(): Promise<readonly NodeAddress[]> | readonly NodeAddress[]
  /** How long after its newest answer it is to be asked again, in milliseconds. Absent or null: as often as any other. */
  readonly dueMillis?: number | null
  /** Something that it said with its newest answer: where that differs from the answer before, servers are looked at at once. */
  readonly news?: string | null
  /** Ends a question that is under way. */
  stop?(): void
}

/** What the user named as an address: nothing to look up. */
export function fixed(addresses: readonly NodeAddress[]): Discovery {
  return { name: 'configured', discover: () => addresses }
}
