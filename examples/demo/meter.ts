// Which node serves how many statements: differences of pool.decisions(), which counts every statement at its node.

import type { Decision, NodeSnapshot, Pool } from 'pgherd'
import type { Frame, NodeRow } from './screen.js'

export interface Served {
  readonly reads: number
  readonly writes: number
}

interface Sample {
  readonly at: number
  readonly served: ReadonlyMap<string, Served>
}

/** Rates are those of the last second, at four samples in it. */
export const TICK_MILLIS = 250
const TICKS_PER_SECOND = 4
/** How many ticks the charts go back. */
const TICKS = 64

const NOTHING: Served = { reads: 0, writes: 0 }

export class Meter {
  readonly #pool: Pool
  /** `host:port` -> what the demo calls the node. */
  readonly #names: ReadonlyMap<string, string>
  #samples: Sample[]

  constructor(pool: Pool, names: ReadonlyMap<string, string>) {
    this.#pool = pool
    this.#names = names
    this.#samples = [this.#sample()]
  }

  /** Everything served since the start, per node. */
  served(): ReadonlyMap<string, Served> {
    const counts = new Map<string, { reads: number; writes: number }>()
    for (const decision of this.#pool.decisions()) {
      const key = decision.node ?? ''
      const sum = counts.get(key) ?? { reads: 0, writes: 0 }
      sum[kindOf(decision)] += decision.count
      counts.set(key, sum)
    }
    return counts
  }

  /** Once per tick. */
  frame(): Frame {
    this.#samples = [...this.#samples, this.#sample()].slice(-TICKS - 1)
    const then = this.#samples.at(-1 - TICKS_PER_SECOND) ?? this.#samples[0]
    const now = this.#samples.at(-1)
    const rows = this.#pool.topology().nodes.map((node) => this.#row(node, then, now))
    const waiting = this.#pool.waitingCount
    return { rows, waiting, reads: this.#perTick('reads'), writes: this.#perTick('writes') }
  }

  #sample(): Sample {
    return { at: performance.now(), served: this.served() }
  }

  #row(node: NodeSnapshot, then: Sample | undefined, now: Sample | undefined): NodeRow {
    const seconds = ((now?.at ?? 0) - (then?.at ?? 0)) / 1000
    const of = (kind: keyof Served) => {
      const served = (now?.served.get(node.key) ?? NOTHING)[kind] - (then?.served.get(node.key) ?? NOTHING)[kind]
      return seconds > 0 ? Math.round(served / seconds) : 0
    }
    return {
      name: this.#names.get(node.key) ?? '?',
      key: node.key,
      role: node.state === 'primary' || node.state === 'replica' ? node.state : '–',
      state: stateOf(node),
      readsPerSecond: of('reads'),
      writesPerSecond: of('writes'),
      lagMillis: node.lagMillis,
    }
  }

  #perTick(kind: keyof Served): number[] {
    const sums = this.#samples.map(({ served }) => [...served.values()].reduce((sum, each) => sum + each[kind], 0))
    return sums.slice(1).map((sum, i) => sum - (sums[i] ?? 0))
  }
}

/** A read is served by a replica, or by the primary because no replica qualified; the rest of the workload writes. */
function kindOf({ role, choice }: Decision): keyof Served {
  return role === 'replica' || choice === 'no-replica-qualifies' ? 'reads' : 'writes'
}

function stateOf({ state, suspect, lagMillis }: NodeSnapshot): string {
  if (suspect) return 'suspect'
  if (state === 'replica') return lagMillis === null ? 'not proven' : 'up'
  return state === 'primary' ? 'up' : state
}
