// Several ways to do the same, measured in turn in one process: a round is cut into slices that alternate, so that whatever else the
// machine does disturbs all alike. A slice ends when the last answer is there, so none works for another.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Sends one statement; resolves with its answer. `n` grows by one with each call. */
export type Once = (n: number) => Promise<unknown>

export interface Entrant {
  readonly once: Once
  /** The CPU time so far of the process that stands between this one and the server, in microseconds. */
  elsewhereMicros?(): number
}

/** Per round, of one of them. */
export interface Figures {
  readonly perSecond: number
  /** Of this process, per statement: what other programs on the machine hardly disturb. */
  readonly cpuMicros: number
  /** Of the process in between, per statement. */
  readonly elsewhereMicros: number
}

export interface Cut {
  readonly slices: number
  readonly sliceMillis: number
}

interface Tally {
  statements: number
  millis: number
  cpuMicros: number
  elsewhereMicros: number
}

const CUT: Cut = { slices: 20, sliceMillis: 50 }

let called = 0

setFlagsFromString('--expose-gc')
const collect: (options: { type: 'minor' }) => void = runInNewContext('gc')

/**
 * `callers`, each sending its next statement after the answer to the last. Each entrant pays for its own young garbage: the slice ends
 * with a collection, which counts as its CPU time and not in its throughput.
 */
export async function slice(entrant: Entrant, callers: number, sliceMillis: number): Promise<Tally> {
  const elsewhere = entrant.elsewhereMicros?.() ?? 0
  const startedAt = performance.now()
  const cpu = process.cpuUsage()
  let statements = 0
  const caller = async () => {
    while (performance.now() - startedAt < sliceMillis) {
      await entrant.once(called++)
      statements++
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const millis = performance.now() - startedAt
  collect({ type: 'minor' })
  const { user, system } = process.cpuUsage(cpu)
  const passed = (entrant.elsewhereMicros?.() ?? 0) - elsewhere
  return { statements, millis, cpuMicros: user + system, elsewhereMicros: passed }
}

/** Which entrant begins changes with every slice, and so does the direction. */
export async function round<T extends readonly Entrant[]>(
  entrants: T,
  callers: number,
  { slices, sliceMillis }: Cut = CUT
): Promise<{ readonly [K in keyof T]: Figures }> {
  const lanes = entrants.map((entrant) => ({
    entrant,
    tally: { statements: 0, millis: 0, cpuMicros: 0, elsewhereMicros: 0 },
  }))
  for (let i = 0; i < slices; i++) {
    const first = Math.floor(i / 2) % lanes.length
    const turn = [...lanes.slice(first), ...lanes.slice(0, first)]
    for (const { entrant, tally } of i % 2 === 0 ? turn : turn.reverse()) {
      const more = await slice(entrant, callers, sliceMillis)
      tally.statements += more.statements
      tally.millis += more.millis
      tally.cpuMicros += more.cpuMicros
      tally.elsewhereMicros += more.elsewhereMicros
    }
  }
  return lanes.map(({ tally }) => figuresOf(tally)) as unknown as { readonly [K in keyof T]: Figures }
}

function figuresOf({ statements, millis, cpuMicros, elsewhereMicros }: Tally): Figures {
  return {
    perSecond: (statements / millis) * 1000,
    cpuMicros: cpuMicros / statements,
    elsewhereMicros: elsewhereMicros / statements,
  }
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5)
}

/** Between two values it is between them in proportion. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const place = (sorted.length - 1) * share
  const [below, above] = [sorted[Math.floor(place)] ?? Number.NaN, sorted[Math.ceil(place)] ?? Number.NaN]
  return below + (above - below) * (place - Math.floor(place))
}
