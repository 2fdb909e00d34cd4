// Who is the primary, and what replicas have: planned changes, mistakes, and replication that stands still.

import type { Arena } from './arena.js'
import { BOTH, type Fault, NONE } from './fault.js'

async function switchover(arena: Arena): Promise<void> {
  const heir = arena.aReplica()
  await arena.cluster.switchover(heir)
  arena.primary = heir
}

const elected = (arena: Arena, node: number) =>
  arena.until('both pools to believe the new primary', () =>
    arena.workloads.every((each) => arena.stateOf(each, node) === 'primary')
  )

const claimed = (arena: Arena, node: number) =>
  arena.until('both pools to see its claim', () =>
    arena.workloads.every((each) => arena.stateOf(each, node) === 'claimant')
  )

export const ROLE_FAULTS: readonly Fault[] = [
  { name: 'switchover', cut: BOTH, strike: switchover },
  {
    name: 'failover, and the old primary comes back as a primary',
    cut: BOTH,
    promotes: true,
    strike: (arena) => arena.cluster.kill(arena.primary),
    heal: async (arena) => {
      const old = arena.nodes.find(({ running }) => !running)?.index ?? 0
      // A plain role cannot see that all have left it: where the pools miss its absence, it stays in office.
      if (arena.role === 'plain') await elected(arena, arena.primary)
      await arena.cluster.start(old)
      await claimed(arena, old)
      await arena.progress(5)
    },
  },
  {
    name: 'a replica is promoted for a test',
    cut: NONE,
    strike: async (arena) => {
      const node = arena.aReplica()
      await arena.cluster.promote(node)
      await claimed(arena, node)
      await arena.progress(5)
    },
  },
  {
    name: 'a replica stops replaying',
    cut: NONE,
    strike: async (arena) => {
      const node = arena.aReplica()
      await arena.cluster.pauseReplay(node)
      await arena.outlast(30)
      await arena.cluster.resumeReplay(node)
    },
  },
  {
    name: 'a replica is cut off from the primary',
    cut: NONE,
    strike: async (arena) => {
      const node = arena.aReplica()
      await arena.cluster.cut(node)
      await arena.outlast(30)
      await arena.cluster.heal(node)
    },
  },
  {
    name: 'a replica is made anew',
    cut: NONE,
    strike: (arena) => arena.cluster.reclone(arena.aReplica(), arena.primary),
  },
]
