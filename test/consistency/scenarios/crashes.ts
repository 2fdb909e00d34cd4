// Servers that come back with less than they had, or with what nobody else has.

import { renameSync, rmSync } from 'node:fs'
import { installation, run } from '../../support/cluster-binaries.js'
import { moment } from '../account.js'
import type { Arena, Scenario, Stage } from '../scenario.js'
import { isProbe } from '../scenario.js'
import { busy, calm, harmed, settled } from './steps.js'

async function accepting({ cluster, until }: Arena, node: number): Promise<void> {
  const accepts = async () => {
    try {
      await (await cluster.connect(node)).end()
      return true
    } catch {
      return false
    }
  }
  await until(`n${node} to accept connections`, accepts).catch((error) => {
    throw new Error(`${String(error)}\n${cluster.log(node).slice(-2000)}`)
  })
}

/** A crashed replica begins here again: with the counters, but at 0. */
async function checkpointed({ cluster }: Stage): Promise<void> {
  for (const node of [0, 1]) {
    const admin = await cluster.connect(node, 'postgres')
    await admin.query('checkpoint')
    await admin.end()
    await cluster.caughtUp(1, 0)
  }
}

export async function succeed(arena: Arena, to: number, lostAt: number): Promise<void> {
  await arena.cluster.promote(to)
  await lose(arena, to, lostAt)
}

/** From now on the counters are those of this primary; what it does not have is lost. */
async function lose({ cluster, load }: Arena, to: number, lostAt: number): Promise<void> {
  const client = await cluster.connect(to)
  const { rows } = await client.query<{ value: number }>('select value from counters order by writer')
  await client.end()
  load.account.lost(
    rows.map(({ value }) => value),
    lostAt
  )
  await load.move(to)
}

/** n1 is promoted without what n2 has of n0's last writes, and n2 is not told where to go. */
async function fork(arena: Arena, applyDelayMillis: number): Promise<void> {
  const { cluster, load } = arena
  await busy(arena)
  await calm(arena)
  arena.phase('healthy')
  await arena.reads(100)
  await settled(arena)
  await cluster.unplug(1)
  if (applyDelayMillis > 0) await cluster.delay(2, applyDelayMillis)
  arena.phase('forking')
  load.free('foreign')
  await arena.reads(100)
  const client = await cluster.connect(0)
  await client.query(`select pg_logical_emit_message(true, '', repeat('x', 2000000))`)
  await load.hold('foreign')
  await client.query(`set synchronous_commit = on; select pg_logical_emit_message(true, '', 'x')`)
  if (applyDelayMillis === 0) await cluster.caughtUp(2, 0)
  else await received(arena)
  const lostAt = moment()
  await cluster.kill(0)
  await succeed(arena, 1, lostAt)
  arena.phase('forked')
  load.free('foreign')
  await arena.outlast(1.3)
  await busy(arena, 100, 'forked, busy')
}

async function received({ cluster, until }: Arena): Promise<void> {
  const [primary, replica] = [await cluster.connect(0), await cluster.connect(2)]
  const [row] = (await primary.query<{ lsn: string }>('select pg_current_wal_flush_lsn()::text as lsn')).rows
  const text = 'select pg_last_wal_receive_lsn() >= $1::pg_lsn as there'
  await until('n2 to receive all', async () => {
    const { rows } = await replica.query<{ there: boolean }>(text, [row?.lsn])
    return rows[0]?.there === true
  })
  await Promise.all([primary.end(), replica.end()])
}

/** Further than its primary will come in this run, and than the pool will have written. */
async function ahead({ cluster }: Arena, node: number): Promise<void> {
  const client = await cluster.connect(node)
  await client.query(`select pg_logical_emit_message(true, '', repeat('x', 4000000))`)
  await client.query(`set synchronous_commit = on; select pg_logical_emit_message(true, '', 'x')`)
  await client.end()
}

async function healthy(arena: Arena): Promise<void> {
  await busy(arena)
  await calm(arena)
  arena.phase('healthy')
  await arena.reads(100)
}

/** n0 comes back as it was before its last writes, on the same timeline; both replicas have these, and are ahead. */
async function restored(arena: Arena): Promise<void> {
  const { cluster, load } = arena
  const { directory } = cluster.node(0)
  const { owner } = await installation()
  await healthy(arena)
  await load.hold('pool', 'foreign', 'reads')
  await cluster.stop(0, 'fast')
  await run('cp', ['-a', directory, `${directory}.cold`], owner)
  await cluster.start(0)
  await load.move(0)
  load.free('pool', 'foreign', 'reads')
  await busy(arena, 100, 'after the copy')
  await load.hold('pool', 'foreign', 'reads')
  await ahead(arena, 0)
  await Promise.all([1, 2].map((node) => cluster.caughtUp(node, 0)))
  const lostAt = moment()
  await cluster.stop(0, 'immediate')
  rmSync(directory, { recursive: true })
  renameSync(`${directory}.cold`, directory)
  await cluster.start(0)
  await lose(arena, 0, lostAt)
  // Until the primary was looked at again a replica that is ahead, and within the bound, may show what died.
  await arena.lapse(1)
  arena.phase('restored')
  load.free('foreign', 'reads')
  await arena.outlast(1.3)
  await busy(arena, 100, 'restored, busy')
}

/** n2 follows n3, which no pool names; n3 is promoted for a test, and written to. */
async function forkedAbove(arena: Arena): Promise<void> {
  const { cluster, load } = arena
  await healthy(arena)
  await load.hold('pool', 'foreign', 'reads')
  await cluster.promote(3)
  await ahead(arena, 3)
  await cluster.caughtUp(2, 3)
  // Until all servers were looked at, and looked at again.
  await arena.lapse(1)
  arena.phase('forked')
  load.free('foreign', 'reads')
  await arena.outlast(1.3)
  await busy(arena, 100, 'forked, busy')
}

/** Both roles; short runs take the one that is named. */
function twoRoles(scenario: Omit<Scenario, 'role'>, short: 'app' | 'monitor'): readonly Scenario[] {
  return (['app', 'monitor'] as const).map((role) => {
    const named = { ...scenario, role, name: `${scenario.name}, role ${role}` }
    return role === short ? named : { ...named, longOnly: 'the other role does it in short runs' }
  })
}

export const CRASHES: readonly Scenario[] = [
  {
    name: 'a replica crashed and went backwards',
    least: { healthy: 0.5, harmed: 0.1 },
    before: checkpointed,
    steps: harmed(
      async (arena) => {
        await arena.cluster.delay(1, 60_000)
        await arena.cluster.crash(1)
        await accepting(arena, 1)
      },
      ({ cluster }) => cluster.delay(1, 0)
    ),
  },
  {
    name: 'a replica was killed and went backwards',
    least: { healthy: 0.5, harmed: 0.1 },
    before: checkpointed,
    steps: harmed(
      async ({ cluster }) => {
        await cluster.delay(1, 60_000)
        await cluster.kill(1)
        await cluster.start(1)
      },
      ({ cluster }) => cluster.delay(1, 0)
    ),
  },
  {
    name: 'a crash that no probe noticed',
    relayed: [1],
    options: () => ({ idleTimeoutMillis: 1, silentMillis: 60_000 }),
    short: { interval: 1000 },
    before: checkpointed,
    steps: async (arena) => {
      const { cluster, load } = arena
      await busy(arena)
      await calm(arena)
      arena.phase('healthy')
      await arena.reads(100)
      await settled(arena)
      await calm(arena)
      await arena.reads(100)
      await load.hold('reads')
      await cluster.delay(1, 60_000)
      await arena.until('idle connections to close', () => arena.pool.totalCount === 0)
      const fault = arena.relay(1).impose({ on: isProbe, silent: ['toClient'] })
      await cluster.crash(1)
      await accepting(arena, 1)
      arena.phase('harmed')
      load.free('reads')
      await arena.reads(100)
      fault.lift()
      load.free('foreign')
      await cluster.delay(1, 0)
      await calm(arena)
    },
  },
  ...twoRoles(
    {
      name: 'a replica on a dead fork',
      spoils: true,
      steps: async (arena) => {
        await fork(arena, 0)
        // It goes to and fro between the new primary, which turns it away, and itself.
        await arena.cluster.follow(2, 1).catch(() => {})
        arena.phase('turned away')
        await arena.outlast(1)
      },
    },
    'app'
  ),
  ...twoRoles(
    {
      name: 'a dead fork that crosses the new primary from below',
      spoils: true,
      steps: async (arena) => {
        await fork(arena, 700)
        await arena.outlast(1)
      },
    },
    'monitor'
  ),
  ...twoRoles(
    {
      name: 'a primary restored from a cold copy, its replicas ahead',
      spoils: true,
      steps: restored,
    },
    'app'
  ),
  ...twoRoles(
    {
      name: 'a leaf below a fork',
      cluster: { replicas: 3 },
      named: [0, 1, 2],
      spoils: true,
      before: ({ cluster }) => cluster.follow(2, 3),
      steps: forkedAbove,
    },
    'app'
  ),
]
