// pgherd explain: where a statement would go, once every server has been asked and the catalogue is read. The statement is not run.

import { printableJson } from '../core/words.js'
import { explanationLines } from '../report/print.js'
import type { Paint } from '../report/text.js'
import type { Explanation, NodeSnapshot, TopologySnapshot } from '../report/types.js'
import { type Clock, systemClock } from '../runtime/clock.js'
import type { Command } from './args.js'
import { type Looking, lookAround, lookAt } from './herd.js'
import { verdictLines } from './page.js'
import { type Environment, type Output, paintFor, widthFor } from './terminal.js'
import { dialAnew } from './turns.js'
import { verdictOf } from './verdict.js'

export async function explain(
  wanted: Extract<Command, { kind: 'explain' }>,
  output: Output,
  environment: Environment,
  clock: Clock = systemClock
): Promise<number> {
  const looking = lookAt(wanted, environment)
  try {
    const startedAt = clock.mono()
    await lookAround(looking, clock, wanted.timeoutMillis)
    const left = () => wanted.timeoutMillis - (clock.mono() - startedAt)
    await dialAnew(looking, clock, left())
    await catalogue(looking, Math.max(100, left()))
    const snapshot = looking.pool.topology()
    const explanation = looking.pool.explain(wanted.statement)
    // An only server is chosen whatever it is, as with pg; here the question is whether it would serve.
    const reached = snapshot.nodes.some(({ state }) => REACHED.has(state))
    const lines = wanted.json
      ? [printableJson(explanation, 2)]
      : explained(explanation, snapshot, reached, paintFor(output, environment), widthFor(output))
    output.write(`${lines.join('\n')}\n`)
    return reached && explanation.node !== null ? 0 : 1
  } finally {
    await looking.pool.end()
  }
}

const REACHED: ReadonlySet<NodeSnapshot['state']> = new Set(['primary', 'replica', 'claimant'])

function explained(
  explanation: Explanation,
  snapshot: TopologySnapshot,
  reached: boolean,
  paint: Paint,
  width: number
): string[] {
  const trouble = verdictLines(verdictOf(snapshot), paint, width)
  if (!reached) return trouble
  return [...explanationLines(explanation, paint, width), ...(explanation.node === null ? ['', ...trouble] : [])]
}

/** What names hide is read from a replica, or from the primary where none is fit; without any it is not needed. */
async function catalogue({ pool }: Looking, millis: number): Promise<void> {
  const replicas = pool.topology().nodes.filter(({ state }) => state === 'replica')
  if (replicas.length === 0) return
  const isFit = replicas.some(({ refused }) => refused === null)
  try {
    await pool.ready({ primary: !isFit, replicas: isFit ? 1 : 0, timeoutMillis: millis })
  } catch {
    // The explanation itself tells that the catalogue has not been read.
  }
}
