// Times several ways of treating the same texts against each other. The ways take turns, one round each, and what is
// told is a median over the rounds, so that whatever else the machine does disturbs all alike.

/** Does something with the text and tells the microseconds that it took. */
export type Runner = (text: string) => number

/** In microseconds. Of several texts the percentiles are over the texts, of a single one over its runs. */
export interface Figures {
  readonly mean: number
  readonly p50: number
  readonly p99: number
}

/** Microseconds per text of the batch; whoever made the batch did so off the clock. */
export function timed(batch: readonly string[], run: (text: string) => unknown): number {
  const started = process.hrtime.bigint()
  for (const text of batch) run(text)
  return Number(process.hrtime.bigint() - started) / 1000 / batch.length
}

/** For each runner its figures, or in words why it has none. The rounds of `warmUp` come first and do not count. */
export function race(
  texts: readonly string[],
  runners: readonly Runner[],
  { rounds, warmUp }: { rounds: number; warmUp: number }
): (Figures | string)[] {
  const entrants = runners.map((runner) => ({ runner, rows: [] as number[][], failure: '' }))
  for (let round = -warmUp; round < rounds; round++) {
    for (const entrant of entrants) {
      if (entrant.failure !== '') continue
      try {
        const row = texts.map(entrant.runner)
        if (round >= 0) entrant.rows.push(row)
      } catch (error) {
        entrant.failure = String(error)
      }
    }
  }
  return entrants.map(({ rows, failure }) => (failure === '' ? figures(rows) : failure))
}

/** `rows`: a row for each round, with one time for each text. */
export function figures(rows: readonly (readonly number[])[]): Figures {
  const texts = rows[0]?.length ?? 0
  const ofText = (text: number) => rows.map((row) => row[text] ?? Number.NaN)
  const spread = texts === 1 ? ofText(0) : Array.from({ length: texts }, (_, text) => percentile(ofText(text), 0.5))
  return {
    mean: percentile(rows.map(average), 0.5),
    p50: percentile(spread, 0.5),
    p99: percentile(spread, 0.99),
  }
}

const average = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.round((sorted.length - 1) * share)] ?? Number.NaN
}
