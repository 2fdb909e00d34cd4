// Two ways to do the same, measured in turn in one process: a round gives each a second, cut into slices that alternate, so that
// whatever else the machine does disturbs both alike.

const ROUND_MILLIS = 1000
const SLICE_MILLIS = 50

/** Sends one statement; resolves with its answer. */
export type Once = () => Promise<unknown>

/** Per round, of one of them. */
export interface Figures {
  readonly perSecond: number
  /** Of this process, per statement: what other programs on the machine hardly disturb. */
  readonly cpuMicros: number
}

interface Tally {
  statements: number
  millis: number
  cpuMicros: number
}

/** `concurrency` callers, each sending its next statement after the answer to the last. */
export async function slice(once: Once, concurrency: number, millis: number): Promise<Tally> {
  const startedAt = performance.now()
  const cpu = process.cpuUsage()
  let statements = 0
  const caller = async () => {
    while (performance.now() - startedAt < millis) {
      await once()
      statements++
    }
  }
  await Promise.all(Array.from({ length: concurrency }, caller))
  const { user, system } = process.cpuUsage(cpu)
  return { statements, millis: performance.now() - startedAt, cpuMicros: user + system }
}

/** Who begins changes with every pair of slices. */
export async function round(pair: readonly [Once, Once], concurrency: number): Promise<readonly [Figures, Figures]> {
  const tallies = pair.map((): Tally => ({ statements: 0, millis: 0, cpuMicros: 0 }))
  for (let i = 0; i < ROUND_MILLIS / SLICE_MILLIS; i++) {
    for (const index of i % 2 === 0 ? [0, 1] : [1, 0]) {
      const [once, tally] = [pair[index], tallies[index]]
      if (once === undefined || tally === undefined) continue
      const { statements, millis, cpuMicros } = await slice(once, concurrency, SLICE_MILLIS)
      tally.statements += statements
      tally.millis += millis
      tally.cpuMicros += cpuMicros
    }
  }
  const figures = tallies.map(({ statements, millis, cpuMicros }) => {
    return { perSecond: (statements / millis) * 1000, cpuMicros: cpuMicros / statements }
  })
  return figures as unknown as readonly [Figures, Figures]
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const half = (sorted.length - 1) / 2
  return ((sorted[Math.floor(half)] ?? Number.NaN) + (sorted[Math.ceil(half)] ?? Number.NaN)) / 2
}
