// What keeps a replica behind, and what only looks like it.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { EVERY as EVERY_READING, READ_ONLY } from '../readings.js'
import type { Scenario } from '../scenario.js'
import { EVERY as EVERY_WRITING } from '../writings.js'
import { busy, calm, harmed, settled } from './steps.js'

export const LAG: readonly Scenario[] = [
  {
    name: 'healthy',
    plan: { writings: EVERY_WRITING, readings: EVERY_READING },
    least: { healthy: 0.5 },
    steps: async (arena) => {
      await busy(arena, 400)
      await calm(arena)
      arena.phase('healthy')
      await arena.reads(400)
    },
  },
  {
    name: 'READ ONLY transactions',
    plan: { readings: READ_ONLY },
    least: { healthy: 0.5 },
    steps: harmed(
      ({ cluster }) => cluster.pauseReplay(1),
      ({ cluster }) => cluster.resumeReplay(1)
    ),
  },
  {
    name: 'apply delay',
    steps: harmed(
      async ({ cluster, boundMillis }) => {
        await cluster.delay(1, 60_000)
        await cluster.delay(2, boundMillis / 2)
      },
      async ({ cluster }) => {
        await cluster.delay(1, 0)
        await cluster.delay(2, 0)
      }
    ),
  },
  {
    name: 'paused replay',
    least: { healthy: 0.5, harmed: 0.1 },
    steps: harmed(
      async ({ cluster }) => {
        await cluster.pauseReplay(1)
        await cluster.pauseReplay(2)
      },
      async ({ cluster }) => {
        await cluster.resumeReplay(1)
        await cluster.resumeReplay(2)
      }
    ),
  },
  {
    name: 'frozen walreceiver',
    steps: harmed(
      async ({ cluster }) => {
        await cluster.cut(1)
        await cluster.cut(2)
      },
      async ({ cluster }) => {
        await cluster.heal(1)
        await cluster.heal(2)
      }
    ),
  },
  {
    name: 'missing walreceiver',
    steps: harmed(
      async ({ cluster }) => {
        await Promise.all([cluster.unplug(1), cluster.unplug(2)])
      },
      async ({ cluster }) => {
        await Promise.all([cluster.replug(1, 0), cluster.replug(2, 0)])
      }
    ),
  },
  {
    name: 'archive recovery without a walreceiver',
    before: async ({ cluster }) => {
      await cluster.unplug(1)
      const file = join(cluster.node(1).directory, 'upstream.conf')
      const from = join(cluster.node(0).directory, 'pg_wal')
      writeFileSync(file, `restore_command = 'cp ${from}/%f %p'\nrecovery_target_timeline = 'latest'\n`)
      if (cluster.major >= 14) return cluster.reload(1)
      await cluster.stop(1, 'fast')
      await cluster.start(1)
    },
    steps: harmed(
      ({ cluster }) => cluster.cut(2),
      ({ cluster }) => cluster.heal(2)
    ),
    after: ({ cluster }) => cluster.replug(1, 0),
  },
  {
    name: 'cut off while idle, then the first write',
    least: { healthy: 0.5, idle: 0.9 },
    short: { interval: 300 },
    steps: async (arena) => {
      const { cluster, load } = arena
      await busy(arena)
      await calm(arena)
      arena.phase('healthy')
      await arena.reads(100)
      await settled(arena)
      await Promise.all([cluster.cut(1), cluster.cut(2)])
      await calm(arena)
      arena.phase('idle')
      await arena.outlast(2)
      arena.phase('first write')
      load.free('foreign')
      await arena.outlast(1.6)
      await Promise.all([cluster.heal(1), cluster.heal(2)])
      await calm(arena)
    },
  },
  {
    name: 'a server whose positions cannot be compared',
    leaveOut: () => 'Aurora is not to be had here',
    steps: async () => {},
  },
  {
    name: 'bound in bytes beside it',
    options: () => ({ maxLagBytes: 64 * 1024 }),
    steps: harmed(
      ({ cluster }) => cluster.pauseReplay(1),
      ({ cluster }) => cluster.resumeReplay(1)
    ),
  },
  {
    name: 'role with pg_monitor',
    role: 'monitor',
    steps: harmed(
      ({ cluster }) => cluster.pauseReplay(1),
      ({ cluster }) => cluster.resumeReplay(1)
    ),
  },
  {
    name: 'cascaded replicas',
    before: ({ cluster }) => cluster.follow(2, 1),
    steps: harmed(
      ({ cluster }) => cluster.cut(1),
      ({ cluster }) => cluster.heal(1)
    ),
    after: ({ cluster }) => cluster.follow(2, 0),
  },
  {
    name: 'fresh connections',
    options: () => ({ idleTimeoutMillis: 1, maxUses: 10 }),
    steps: harmed(
      async ({ cluster }) => {
        await cluster.pauseReplay(1)
        await cluster.delay(2, 60_000)
      },
      async ({ cluster }) => {
        await cluster.resumeReplay(1)
        await cluster.delay(2, 0)
      }
    ),
  },
]
