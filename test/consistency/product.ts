// Which build of pgherd a run checks: the one that is tested, or a mutant of it in another directory.

import pg from 'pg'
import type * as pools from '../../src/pool/pool.js'
import type { PoolConstructor } from '../../src/pool/types.js'
import type * as clocks from '../../src/runtime/clock.js'

export interface Product {
  readonly systemClock: clocks.Clock
  Pool(clock: clocks.Clock): PoolConstructor
}

/** The built sources of the pgherd that is tested. */
export const BUILT = new URL('../../src/', import.meta.url)

export async function productIn(directory: URL): Promise<Product> {
  const { systemClock } = (await import(new URL('runtime/clock.js', directory).href)) as typeof clocks
  const { createPool } = (await import(new URL('pool/pool.js', directory).href)) as typeof pools
  return { systemClock, Pool: (clock) => createPool(pg, clock) }
}
