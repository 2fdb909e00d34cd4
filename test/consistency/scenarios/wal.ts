// What the primary's WAL may look like: open transactions, boundaries of pages and segments, the fourth gigabyte.

import type { Cluster } from '../../support/cluster.js'
import type { Arena, Scenario } from '../scenario.js'
import { course, during } from './steps.js'

/** A message that ends about where a page does: what is inserted next lies behind a page's header. */
const TO_THE_END = `select pg_logical_emit_message(false, '', repeat('x', greatest(0, least(8000,
  8192 - mod((pg_current_wal_insert_lsn() - '0/0')::numeric, 8192)::int - $1::int))))`
const SWITCH = `select pg_logical_emit_message(true, '', 'x'), pg_switch_wal()`
const FOUR_GIGABYTES = `'1/0'::pg_lsn`
const SEGMENT = 64 * 1024 * 1024

async function asAdmin(
  { cluster }: { readonly cluster: Cluster },
  work: (ask: (text: string, values?: unknown[]) => Promise<Record<string, unknown>[]>) => Promise<void>
): Promise<void> {
  const admin = await cluster.connect(0, 'postgres')
  await admin.query('set synchronous_commit = on')
  try {
    await work(async (text, values) => (await admin.query<Record<string, unknown>>(text, values)).rows)
  } finally {
    await admin.end()
  }
}

/** In the database of the counters. */
async function besides(arena: Arena, text: string, everyMillis: number, chosen?: () => number): Promise<void> {
  const client = await arena.cluster.connect(0, 'postgres')
  const again = () => client.query(text, chosen === undefined ? [] : [chosen()])
  await during(again, everyMillis, () => course(arena))
  await client.end()
}

export const WAL: readonly Scenario[] = [
  {
    name: 'bulk load in one open transaction',
    steps: async (arena) => {
      const client = await arena.cluster.connect(0)
      await client.query('create table bulk (n int, note text); begin')
      const insert = `insert into bulk select i, repeat('x', 100) from generate_series(1, 5000) i`
      await during(
        () => client.query(insert),
        20,
        () => course(arena)
      )
      await client.query('commit; drop table bulk')
      await client.end()
    },
  },
  {
    name: 'quiet primary with a trickling transaction',
    plan: { foreignPauseMillis: 150 },
    steps: async (arena) => {
      const client = await arena.cluster.connect(0)
      await client.query('create table trickle (n int); begin')
      await during(
        () => client.query('insert into trickle values (1)'),
        30,
        () => course(arena)
      )
      await client.query('rollback')
      await client.end()
    },
  },
  {
    name: 'pg_switch_wal',
    plan: { foreignPauseMillis: 60 },
    steps: (arena) => besides(arena, SWITCH, 100),
  },
  {
    name: 'idle after pg_switch_wal',
    least: { healthy: 0.5, idle: 0.9 },
    short: { interval: 300 },
    steps: async (arena) => {
      await course(arena)
      await arena.load.hold('foreign')
      await asAdmin(arena, async (ask) => {
        await ask(SWITCH)
      })
      await Promise.all([arena.cluster.caughtUp(1, 0), arena.cluster.caughtUp(2, 0)])
      await arena.lapse(0.5)
      arena.phase('idle')
      await arena.outlast(1.5)
      arena.load.free('foreign')
      await arena.reads(100)
    },
  },
  {
    name: 'page and segment boundaries',
    cluster: { walSegmentMegabytes: 1 },
    plan: { foreignPauseMillis: 10 },
    steps: (arena) => besides(arena, TO_THE_END, 2, () => Math.floor(40 + 80 * Math.random())),
  },
  {
    name: 'positions either side of 4 GiB',
    cluster: { walSegmentMegabytes: 64, settings: { wal_init_zero: false, wal_recycle: false, max_wal_size: '8GB' } },
    spoils: true,
    longOnly: 'four gigabytes are written first',
    least: { healthy: 0.5, beyond: 0.3 },
    before: async (stage) => {
      const { cluster } = stage
      await Promise.all([cluster.stop(1, 'immediate'), cluster.stop(2, 'immediate')])
      await asAdmin(stage, async (ask) => {
        const left = async () => Number((await ask(`select ${FOUR_GIGABYTES} - pg_current_wal_lsn() as left`))[0]?.left)
        // A backup begins and ends with a segment of its own.
        while ((await left()) > 6 * SEGMENT) {
          await ask(SWITCH)
          // Or all of it stays on the disk.
          await ask('checkpoint')
        }
        await cluster.reclone(1, 0)
        await cluster.reclone(2, 0)
        while ((await left()) > SEGMENT) await ask(SWITCH)
        while ((await left()) > SEGMENT / 4) {
          await ask(`select pg_logical_emit_message(true, '', repeat('x', 1000000))`)
        }
      })
    },
    steps: async (arena) => {
      await course(arena)
      await asAdmin(arena, async (ask) => {
        const [before] = await ask(`select pg_current_wal_lsn() < ${FOUR_GIGABYTES} as below`)
        if (before?.below !== true) throw new Error('the first half ran beyond 4 GiB already')
        arena.phase('across')
        await arena.cluster.pauseReplay(1)
        await during(
          () => ask(`select pg_logical_emit_message(true, '', repeat('x', 200000))`),
          2,
          () =>
            arena.until(
              '4 GiB',
              async () => (await ask(`select pg_current_wal_lsn() > ${FOUR_GIGABYTES} as beyond`))[0]?.beyond === true
            )
        )
      })
      arena.phase('beyond')
      await arena.outlast(1.6)
      await arena.reads(100)
      await arena.cluster.resumeReplay(1)
    },
  },
]
