// What a fault is: how it strikes, whether the primary is lost with it, how it ends, and how many statements it may leave
// with an unknown fate.

import type { Arena } from './arena.js'

/**
 * How many statements may have been cut off without a word: `none`; `one`, on a single connection; or all that were under
 * way, which is one of each lane, each time that connections break. `far`: only of the pool behind the network.
 */
export type Cut =
  | { readonly kind: 'none' }
  | { readonly kind: 'one' }
  | { readonly kind: 'all'; readonly of: 'far' | 'both'; readonly times: number }

export interface Fault {
  readonly name: string
  readonly cut: Cut
  /** The primary is lost: a replica is promoted once it has struck. */
  readonly promotes?: true
  /** Too slow, or too rare, for a short run. */
  readonly long?: true
  /** No statement has a reason to fail, as none would that is sent over a connection that is open. */
  readonly harmless?: true
  strike(arena: Arena): Promise<unknown>
  /** Before everything is brought back to one primary and two replicas. */
  heal?(arena: Arena): Promise<unknown>
}

export const NONE: Cut = { kind: 'none' }
export const ONE: Cut = { kind: 'one' }
export const FAR: Cut = { kind: 'all', of: 'far', times: 1 }
export const BOTH: Cut = { kind: 'all', of: 'both', times: 1 }

export function limitOf(cut: Cut, { far, near }: Pick<Arena, 'far' | 'near'>): number {
  switch (cut.kind) {
    case 'none':
      return 0
    case 'one':
      return 1
    case 'all':
      return cut.times * (far.lanes.length + (cut.of === 'both' ? near.lanes.length : 0))
    default:
      return cut satisfies never
  }
}
