// pgherd status: probes once, prints, and ends with a code that scripts can use.

import { printableJson } from '../core/words.js'
import type { Paint } from '../report/text.js'
import type { TopologySnapshot } from '../report/types.js'
import { type Clock, systemClock } from '../runtime/clock.js'
import type { Command } from './args.js'
import { type Looking, lookAround, lookAt } from './herd.js'
import { clusterLines, hiddenLines, nodeLines, verdictLines } from './page.js'
import { type Environment, type Output, paintFor, widthFor } from './terminal.js'
import { dialAnew } from './turns.js'
import { type Verdict, verdictOf } from './verdict.js'

export async function status(
  wanted: Extract<Command, { kind: 'status' }>,
  output: Output,
  environment: Environment,
  clock: Clock = systemClock
): Promise<number> {
  const looking = lookAt(wanted, environment)
  try {
    const startedAt = clock.mono()
    const { settled } = await lookAround(looking, clock, wanted.timeoutMillis)
    await dialAnew(looking, clock, wanted.timeoutMillis - (clock.mono() - startedAt))
    const snapshot = looking.pool.topology()
    const verdict = verdictOf(snapshot, wanted.replicas)
    const unasked = settled ? [] : unaskedLines(snapshot, wanted.timeoutMillis)
    const lines = wanted.json
      ? [statusJson(snapshot, verdict)]
      : [...statusLines(looking, snapshot, verdict, paintFor(output, environment), widthFor(output)), ...unasked]
    output.write(`${lines.join('\n')}\n`)
    return verdict.healthy ? 0 : 1
  } finally {
    await looking.pool.end()
  }
}

export function statusLines(
  { target }: Pick<Looking, 'target'>,
  snapshot: TopologySnapshot,
  verdict: Verdict,
  paint: Paint,
  width: number
): string[] {
  const hidden = hiddenLines(snapshot, paint, width)
  const table = nodeLines(snapshot, paint, width)
  return [
    paint(target, 'bold'),
    ...clusterLines(snapshot, paint, width),
    ...(table.length === 0 ? [] : ['', ...table]),
    '',
    ...verdictLines(verdict, paint, width),
    ...(hidden.length === 0 ? [] : ['', ...hidden]),
  ]
}

export function statusJson(snapshot: TopologySnapshot, { healthy, text, advice }: Verdict): string {
  return printableJson({ healthy, verdict: text, advice, ...snapshot }, 2)
}

function unaskedLines({ nodes }: TopologySnapshot, millis: number): string[] {
  const unasked = nodes.filter(
    ({ state, failure, origin }) => state === 'unknown' && failure === null && origin !== 'shown'
  )
  if (unasked.length === 0 && nodes.length > 0) return []
  return [`Not every server was asked within ${millis / 1000} s: --timeout gives more time.`]
}
