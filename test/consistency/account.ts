// What a run did, as its client saw it: every acknowledged write and every read, with moments of one local clock. Keeps the
// account; judges nothing.

/** Every writer has a counter of its own, and sets it to 1, 2, 3, … one write after another. */
export interface Write {
  readonly writer: number
  readonly value: number
  readonly calledAt: number
  readonly ackedAt: number
  /** By the pool under test, or by a client that it knows nothing of. */
  readonly through: 'pool' | 'foreign'
  readonly session: string | null
  /** When the server that had acknowledged it was given up without anybody else having it; null: it lives. */
  lostAt: number | null
  /**
   * Its reply was lost, at `ackedAt`: it may have happened. `settledAt`: from then on there was a primary that can tell; null: there
   * was none yet. Absent: it was acknowledged.
   */
  doubt?: { settledAt: number | null }
}

export interface Read {
  readonly calledAt: number
  readonly answeredAt: number
  /** The counters by the number of their writers. */
  readonly values: readonly number[]
  /** The number of the node that served it. */
  readonly server: number
  readonly onReplica: boolean
  /** The lag bound that it was promised. */
  readonly boundMillis: number
  /** What was being done to the cluster. */
  readonly phase: string
  /** It is the first read after a write of its own flow. */
  readonly paired: boolean
  readonly session: string | null
}

export interface History {
  readonly writes: readonly Write[]
  readonly reads: readonly Read[]
  /** `readYourWrites` of the pool. */
  readonly scope: 'pool' | 'session' | 'off'
}

let newest = 0

/** Local monotonic time in milliseconds. No two calls give the same, so that the order of events is never open. */
export function moment(): number {
  newest = Math.max(performance.now(), newest + 1e-6)
  return newest
}

export class Account implements History {
  readonly writes: Write[] = []
  readonly reads: Read[] = []
  readonly scope: History['scope']
  /** Errors that writers and readers got, by their code. */
  readonly errors = new Map<string, number>()

  constructor(scope: History['scope'] = 'pool') {
    this.scope = scope
  }

  failed(who: string, error: unknown): void {
    const { code, message } = error as { readonly code?: string; readonly message?: string }
    const name = `${who} ${code ?? message ?? String(error)}`
    this.errors.set(name, (this.errors.get(name) ?? 0) + 1)
  }

  /** Writes through the pool, from that one on. */
  ownSince(index: number): number {
    return this.writes.slice(index).filter(({ through, doubt }) => through === 'pool' && doubt === undefined).length
  }

  /** There is a primary again, which can tell what became of it. */
  settled({ doubt }: Write): void {
    if (doubt !== undefined) doubt.settledAt = moment()
  }

  /** A new primary holds only these counters: what was acknowledged beyond them died with the old one, at `at`. */
  lost(values: readonly number[], at: number): void {
    for (const write of this.writes) {
      if (write.lostAt === null && write.value > (values[write.writer] ?? 0)) write.lostAt = at
    }
  }
}
