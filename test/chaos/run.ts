// A sequence of faults chosen by a seed, and the verdict over all that was told meanwhile. After each fault the cluster is
// whole again, so that each has the same beginning and what goes wrong has one cause.

import { moment, type Read } from '../consistency/account.js'
import { judge, told } from '../consistency/judge.js'
import type { Random } from '../support/grammar.js'
import { type Strike, settle, type Totals } from './accounting.js'
import { Arena, type ArenaOptions } from './arena.js'
import { type Fault, limitOf } from './fault.js'
import { REINDEX } from './statements.js'
import type { Workload } from './workload.js'

export interface Report {
  readonly faults: readonly { readonly name: string; readonly millis: number }[]
  /** null: broken off. */
  readonly totals: Totals | null
  readonly reads: number
  /** Not judged: of a replica that had just got another history, before two looks at all servers were over. */
  readonly unprovable: number
  readonly readErrors: ReadonlyMap<string, number>
  readonly worstMillis: number
  /** `rule: detail`. None: all is as it should be. */
  readonly violations: readonly string[]
}

/** Each fault once in an order of chance, then all again in another: no seed leaves one out for long. */
export function sequence(table: readonly Fault[], count: number, random: Random): Fault[] {
  const chosen: Fault[] = []
  while (chosen.length < count) {
    const left = [...table]
    while (left.length > 0 && chosen.length < count) chosen.push(...left.splice(random.below(left.length), 1))
  }
  return chosen
}

export interface ChaosOptions extends ArenaOptions {
  readonly faults: readonly Fault[]
  /** Asked after each: no more of them, and the verdict. */
  readonly isOver?: () => boolean
  /** Told after each. */
  readonly suffered?: (fault: Fault, millis: number, well: boolean) => void
}

/** One fault after the other, until all are done or one is not recovered from. */
export async function chaos(options: ChaosOptions): Promise<Report> {
  const arena = await Arena.start(options)
  try {
    const run = new Run(arena)
    for (const fault of options.faults) {
      const from = performance.now()
      const well = await run.suffer(fault)
      options.suffered?.(fault, Math.round(performance.now() - from), well)
      if (!well || options.isOver?.()) break
    }
    return await run.end()
  } finally {
    await arena.close()
  }
}

export class Run {
  readonly #arena: Arena
  readonly #strikes: Strike[] = []
  readonly #faults: { name: string; millis: number }[] = []
  readonly #violations: string[] = []
  #reads = 0
  #unprovable = 0
  #worstMillis = 0

  constructor(arena: Arena) {
    this.#arena = arena
  }

  /** Strikes, heals, and waits until all is well; false: it did not get well, and there is no going on. */
  async suffer(fault: Fault): Promise<boolean> {
    await this.#arena.aMoment()
    const from = moment()
    for (const workload of this.#arena.workloads) workload.phase = fault.name
    try {
      await fault.strike(this.#arena)
      if (fault.promotes) await this.#arena.promote()
      await fault.heal?.(this.#arena)
      await this.#arena.restore()
    } catch (error) {
      this.#violations.push(`stuck: ${fault.name}: ${String(error)}`)
      return false
    } finally {
      const to = moment()
      const { name, cut, harmless = false } = fault
      this.#strikes.push({ fault: name, from, to, limit: limitOf(cut, this.#arena), harmless })
      this.#faults.push({ name: fault.name, millis: to - from })
      for (const workload of this.#arena.workloads) workload.phase = `after: ${fault.name}`
      this.#judgeReads()
    }
    return true
  }

  #isUnprovable({ server, calledAt }: Pick<Read, 'server' | 'calledAt'>): boolean {
    return this.#arena.unprovable.some(({ port, from, to }) => server === port && calledAt >= from && calledAt <= to)
  }

  /** Reads so far, against the writes of both pools: to each its own are its own, and the other's are foreign. */
  #judgeReads(): void {
    for (const workload of this.#arena.workloads) {
      const writes = this.#arena.workloads.flatMap((each) =>
        each.writes.map((write) => ({
          ...write,
          through: each === workload ? ('pool' as const) : ('foreign' as const),
        }))
      )
      const answered = workload.reads.splice(0)
      const reads = answered.filter((read) => !this.#isUnprovable(read))
      this.#unprovable += answered.length - reads.length
      const verdict = judge({ writes, reads, scope: workload.scope })
      this.#reads += verdict.reads
      this.#worstMillis = Math.max(this.#worstMillis, verdict.worstMillis)
      this.#violations.push(...verdict.violations.map((each) => `${workload.name}: ${told(each)}`))
    }
    for (const workload of this.#arena.workloads) {
      for (const { port, calledAt, phase } of workload.strays.splice(0)) {
        if (this.#isUnprovable({ server: port, calledAt })) continue
        this.#violations.push(`fork: ${workload.name}: in '${phase}' ${port} showed rows that the primary never had`)
      }
    }
    this.#violations.push(...this.#arena.found.splice(0))
    // What is older is told by what is left: a read that misses it misses that, too.
    for (const workload of this.#arena.workloads) prune(workload)
  }

  async end(): Promise<Report> {
    const arena = this.#arena
    const isStuck = this.#violations.some((violation) => violation.startsWith('stuck'))
    const readErrors = new Map<string, number>()
    for (const workload of arena.workloads) {
      for (const [code, count] of workload.readErrors) readErrors.set(code, (readErrors.get(code) ?? 0) + count)
    }
    const told = {
      faults: this.#faults,
      reads: this.#reads,
      unprovable: this.#unprovable,
      readErrors,
      worstMillis: this.#worstMillis,
    }
    // Whoever is stuck would not stop, and the cluster is in no state to be asked.
    if (isStuck) return { ...told, totals: null, violations: this.#violations }
    await arena.stop()
    const rows = await arena.rows()
    const entries = arena.workloads.flatMap((workload) => workload.entries)
    const { erased } = arena
    const { totals, violations } = settle({ entries, strikes: this.#strikes, rows, erased, runs: arena.runs() })
    const lines = violations.map(({ rule, detail }) => `${rule}: ${detail}`)
    const cut = entries.filter(({ form, fate }) => form === REINDEX && (fate === 'unknown' || fate === 'committed'))
    const left = await arena.leftovers()
    if (left > cut.length)
      lines.push(`leftover: ${left} indexes of ${REINDEX}, of which ${cut.length} may be half done`)
    for (const name of readErrors.keys()) if (name.endsWith('no outcome')) lines.push(`nameless: a read, ${name}`)
    return { ...told, totals, violations: [...this.#violations, ...lines] }
  }
}

const KEPT_WRITES = 2000

function prune({ writes }: Workload): void {
  if (writes.length > KEPT_WRITES) writes.splice(0, writes.length - KEPT_WRITES)
}
