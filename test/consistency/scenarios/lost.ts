// A write whose reply is lost: it was committed, and only some of the replicas have it. What does its session see, what do others,
// and what does everybody see when there is a primary again?

import { simple } from '../readings.js'
import type { Scenario } from '../scenario.js'
import { succeed } from './crashes.js'
import { settled } from './steps.js'

export const LOST: readonly Scenario[] = [
  {
    name: 'a write whose reply was lost',
    spoils: true,
    role: 'monitor',
    // Nothing but own writes decides where a read may go, and the pool has no other: those of before bind it after a failover.
    options: () => ({ maxLagMillis: Infinity }),
    plan: { readings: [simple, simple], writings: [], sessions: 0, lost: 1 },
    least: { healthy: 0.5, outage: 0.9 },
    steps: async (arena) => {
      const { cluster, load, pool, account } = { ...arena, account: arena.load.account }
      arena.phase('healthy')
      await arena.reads(100)
      await settled(arena)
      await cluster.delay(2, 60_000)
      const failover = new Promise<void>((resolve) => pool.once('failover', () => resolve()))
      const lost = await load.lose(async (written) => {
        await arena.until('n1 to have the write that will be lost', () => written(1))
        arena.phase('cut')
        await cluster.kill(0)
      }, failover)
      await arena.until('the primary to be given up', () => pool.topology().primary === null)
      arena.phase('outage')
      await arena.reads(100)
      arena.phase('promotion')
      await succeed(arena, 1, lost.write.ackedAt)
      await failover
      account.settled(lost.write)
      arena.phase('known')
      await arena.reads(100)
      await lost.over
    },
  },
]
