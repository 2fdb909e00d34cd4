// What the scenarios have in common: phases that are busy, calm, harmed and mended.

import { setTimeout as pause } from 'node:timers/promises'
import type { Arena, Scenario } from '../scenario.js'

/** So many writes of its own must a pool have made before it was busy: in short runs, and in long ones. */
const OWN_WRITES = { short: 30, long: 250 } as const
const READ = 'select value from counters'

/** The pool writes: own writes decide where reads may go. */
export async function busy(arena: Arena, reads = 150, phase = 'busy'): Promise<void> {
  arena.phase(phase)
  arena.load.free('pool')
  const least = arena.combination.seconds > 0 ? OWN_WRITES.long : OWN_WRITES.short
  const { account } = arena.load
  const [written, read] = [account.writes.length, account.reads.length]
  await arena.reads(reads)
  await arena.until('the pool to write', () => account.ownSince(written) >= least)
  // Own writes that the primary alone was asked for would prove nothing.
  const served = () => account.reads.slice(read).filter(({ onReplica }) => onReplica).length
  if (phase === 'busy') await arena.until('replicas to serve a busy pool', () => served() >= 5)
}

/** The pool writes nothing, and replicas have what it wrote: the lag bound alone decides. Foreign writers go on. */
export async function calm(arena: Arena): Promise<void> {
  arena.phase('on the way')
  await arena.load.hold('pool')
  await arena.until('a replica to be fit', () => servedByReplica(arena))
}

export function servedByReplica({ pool }: Arena): boolean {
  const { node, guarded } = pool.explain(READ)
  return node !== null && !guarded && node !== pool.topology().primary
}

/** Foreign writers rest, and both replicas have all that was committed, asynchronously or not. */
export async function settled({ cluster, load }: Arena): Promise<void> {
  await load.hold('foreign')
  const admin = await cluster.connect(0, 'postgres')
  await admin.query(`set synchronous_commit = on; select pg_logical_emit_message(true, '', 'x')`)
  await admin.end()
  await Promise.all([cluster.caughtUp(1, 0), cluster.caughtUp(2, 0)])
}

/** All is well; then `begin`, until long after the bound; then `end`, and a replica serves again. */
export function harmed(
  begin: (arena: Arena) => Promise<void>,
  end: (arena: Arena) => Promise<void>
): Scenario['steps'] {
  return async (arena) => {
    await busy(arena)
    await calm(arena)
    arena.phase('healthy')
    await arena.reads(100)
    arena.phase('harmed')
    await begin(arena)
    await arena.outlast(1.3)
    await busy(arena, 50, 'harmed, busy')
    await end(arena)
    await calm(arena)
    arena.phase('mended')
    await arena.reads(50)
  }
}

/** Does `again` over and over while `steps` are taken. */
export async function during(
  again: () => Promise<unknown>,
  everyMillis: number,
  steps: () => Promise<void>
): Promise<void> {
  let over = false
  const loop = async () => {
    while (!over) {
      await again()
      await pause(everyMillis)
    }
  }
  const loops = loop()
  try {
    await steps()
  } finally {
    over = true
    await loops
  }
}

/** The usual course while something goes on at the primary. */
export async function course(arena: Arena): Promise<void> {
  await busy(arena)
  await calm(arena)
  arena.phase('healthy')
  await arena.reads(100)
  await arena.outlast(1.3)
}
