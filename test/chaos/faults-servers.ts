// What befalls servers and their sessions. Each fault is over in the cluster's own time: conditions are awaited.

import { setTimeout as pause } from 'node:timers/promises'
import type { StopMode } from '../support/cluster.js'
import { type Arena, FAILOVER_TIMEOUT_MILLIS } from './arena.js'
import { BOTH, type Fault, NONE, ONE } from './fault.js'

const noticed = (arena: Arena, node: number) =>
  arena.until('both pools to notice', () => arena.workloads.every((each) => arena.stateOf(each, node) === 'down'))

const killed = (arena: Arena) => arena.cluster.kill(arena.primary)

/** Sessions of the pools, not of their probes. */
const SESSIONS = `select pid from pg_stat_activity where usename in ('monitor', 'plain') and application_name <> 'pgherd probe'`

async function terminate(arena: Arena, node: number, which: string): Promise<void> {
  const client = await arena.cluster.connect(node, 'postgres')
  await arena.until(`a session that is ${which}`, async () => {
    const found = `${SESSIONS} and ${which} order by pid limit 1`
    const { rowCount } = await client.query(`select pg_terminate_backend(pid) from (${found}) as found`)
    return rowCount === 1
  })
  await client.end()
}

async function stopped(arena: Arena, node: number, mode: StopMode): Promise<void> {
  await arena.cluster.stop(node, mode)
  await arena.aMoment()
  await arena.cluster.start(node)
}

const restarted = (mode: StopMode): Fault => ({
  name: `the primary is stopped (${mode}) and started again`,
  cut: BOTH,
  strike: (arena) => stopped(arena, arena.primary, mode),
})

/** A server that ends all its sessions for one recovers first. */
const accepting = (arena: Arena, node: number) =>
  arena.until('the server to accept sessions', async () => {
    const client = await arena.cluster.connect(node, 'postgres').catch(() => null)
    await client?.end()
    return client !== null
  })

async function takeAllSlots(arena: Arena): Promise<void> {
  await arena.until('no slot to be left', async () => {
    const client = await arena.cluster.connect(arena.primary, 'app').catch((error: { code?: string }) => error.code)
    return client === '53300'
  })
  await arena.network.reset(arena.primary, null)
  await arena.aMoment()
}

async function freeSlots(arena: Arena): Promise<void> {
  const client = await arena.cluster.connect(arena.primary, 'postgres')
  await client.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
  await client.end()
}

async function conflict(arena: Arena): Promise<void> {
  const client = await arena.cluster.connect(arena.primary, 'postgres')
  await client.query('insert into scratch select generate_series(1, 1000)')
  for (const node of arena.replicas) await arena.cluster.caughtUp(node, arena.primary)
  const reads = Array.from({ length: 4 }, async () => {
    try {
      await arena.near.pool.query('select count(*), pg_sleep(0.4) from scratch')
    } catch (error) {
      const { code, outcome } = error as { readonly code?: string; readonly outcome?: string }
      // Cancelled by both replicas: then it is told.
      if (code !== '40001' || outcome !== 'rolled-back') throw error
    }
  })
  await client.query('delete from scratch')
  await client.query('vacuum scratch')
  await client.end()
  await Promise.all(reads)
}

export const SERVER_FAULTS: readonly Fault[] = [
  { name: 'kill -9 of the primary, and failover', cut: BOTH, promotes: true, strike: killed },
  {
    name: 'kill -9 of the primary, noticed, and failover',
    cut: BOTH,
    promotes: true,
    strike: async (arena) => {
      await killed(arena)
      await noticed(arena, arena.primary)
    },
  },
  { name: 'kill -9 of the primary, and it comes back', cut: BOTH, strike: killed },
  {
    name: 'kill -9 of the postmaster alone, and failover',
    cut: BOTH,
    promotes: true,
    strike: async (arena) => {
      await arena.cluster.killPostmaster(arena.primary)
      await arena.aMoment()
      await killed(arena) // fenced
    },
  },
  {
    name: 'kill -9 of one backend',
    cut: BOTH,
    strike: async (arena) => {
      await arena.cluster.crash(arena.primary)
      await accepting(arena, arena.primary)
    },
  },
  {
    name: 'an idle session is terminated',
    cut: ONE, // by the time it hears of it, it may be busy
    strike: (arena) => terminate(arena, arena.primary, "state = 'idle'"),
  },
  {
    name: 'a busy session is terminated',
    cut: ONE,
    strike: (arena) => terminate(arena, arena.primary, "state <> 'idle'"),
  },
  restarted('smart'),
  restarted('fast'),
  restarted('immediate'),
  {
    name: 'immediate stop of the primary, and failover',
    cut: BOTH,
    promotes: true,
    strike: (arena) => arena.cluster.stop(arena.primary, 'immediate'),
  },
  {
    name: 'the primary freezes for a moment',
    cut: NONE,
    strike: async (arena) => {
      await arena.cluster.freeze(arena.primary)
      await arena.aMoment()
    },
  },
  {
    name: 'the primary freezes, and failover; it thaws as a primary',
    cut: BOTH,
    promotes: true,
    strike: (arena) => arena.cluster.freeze(arena.primary),
    heal: async (arena) => {
      await arena.progress(3)
      for (const { index } of arena.nodes) await arena.cluster.thaw(index)
      await arena.progress(5)
    },
  },
  {
    name: 'a replica freezes',
    cut: NONE,
    strike: async (arena) => {
      const node = arena.aReplica()
      await arena.cluster.freeze(node)
      await arena.until('both pools to give it up', () =>
        arena.workloads.every((each) => arena.stateOf(each, node) === 'down')
      )
    },
  },
  {
    name: 'the primary flaps',
    cut: { kind: 'all', of: 'both', times: 3 },
    strike: async (arena) => {
      for (let i = 0; i < 3; i++) await stopped(arena, arena.primary, i === 1 ? 'fast' : 'immediate')
    },
  },
  {
    name: 'a replica flaps',
    cut: NONE,
    strike: async (arena) => {
      const node = arena.aReplica()
      for (let i = 0; i < 3; i++) await stopped(arena, node, i === 1 ? 'fast' : 'immediate')
    },
  },
  {
    name: 'kill -9 of a replica',
    cut: NONE,
    strike: async (arena) => {
      await arena.cluster.kill(arena.aReplica())
      await arena.progress(3)
    },
  },
  {
    name: 'all replicas are gone',
    cut: NONE,
    strike: async (arena) => {
      await Promise.all(arena.replicas.map((node) => arena.cluster.stop(node, 'immediate')))
      await arena.aMoment()
    },
  },
  {
    name: 'all servers restart at once',
    cut: BOTH,
    strike: async (arena) => {
      const all = arena.nodes.map(({ index }) => index)
      await Promise.all(all.map((node) => arena.cluster.stop(node, 'immediate')))
      await Promise.all(all.map((node) => arena.cluster.start(node)))
    },
  },
  {
    name: 'no primary for longer than statements wait',
    cut: BOTH,
    long: true,
    strike: async (arena) => {
      await killed(arena)
      await pause(FAILOVER_TIMEOUT_MILLIS * 1.5)
    },
  },
  {
    name: 'no connection slots are left',
    cut: { kind: 'all', of: 'far', times: 1 },
    strike: takeAllSlots,
    heal: freeSlots,
  },
  { name: 'reads conflict with replay', cut: NONE, strike: conflict },
  {
    name: 'the event loop is blocked for two seconds',
    cut: NONE,
    strike: async () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000)
    },
  },
]
