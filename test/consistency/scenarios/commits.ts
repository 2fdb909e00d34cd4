// When a commit counts as made, and where it is then: synchronous_commit in all its values, and who may set it.

import { signal } from '../../support/cluster-processes.js'
import type { Arena, Scenario, Stage } from '../scenario.js'
import * as writings from '../writings.js'
import { busy, course, harmed, settled } from './steps.js'

async function asAdmin({ cluster }: Stage, text: string): Promise<void> {
  const admin = await cluster.connect(0, 'postgres')
  await admin.query(text)
  await admin.end()
}

/** The process that writes asynchronous commits to disk. */
async function signalWriter({ cluster }: Stage, name: 'SIGSTOP' | 'SIGCONT'): Promise<void> {
  const admin = await cluster.connect(0, 'postgres')
  const { rows } = await admin.query<{ pid: number }>(
    `select pid from pg_stat_activity where backend_type = 'walwriter'`
  )
  await admin.end()
  signal(
    rows.map(({ pid }) => pid),
    name
  )
}

async function stopped(arena: Arena): Promise<void> {
  await course(arena)
  arena.phase('harmed')
  await signalWriter(arena, 'SIGSTOP')
  arena.load.free('pool')
  await arena.outlast(1.3)
  await arena.load.hold('pool')
  await arena.outlast(1.3)
  // The last asynchronous commits: nobody writes them to disk now.
  await arena.load.hold('foreign')
  await arena.outlast(1.3)
  arena.load.free('foreign')
  await signalWriter(arena, 'SIGCONT')
  arena.phase('mended')
  await arena.outlast(1)
}

/** One small commit that nobody writes to disk: the two positions stay within a page. */
async function stoppedWhileQuiet(arena: Arena): Promise<void> {
  const { load } = arena
  await course(arena)
  await settled(arena)
  await arena.lapse(1)
  arena.phase('harmed')
  await signalWriter(arena, 'SIGSTOP')
  const written = load.account.writes.length
  load.free('foreign')
  await arena.until('a foreign write', () => load.account.writes.length > written)
  await load.hold('foreign')
  await arena.outlast(1.6)
  load.free('foreign')
  await signalWriter(arena, 'SIGCONT')
  arena.phase('mended')
  await arena.outlast(1)
}

const LEVELS = ['off', 'local', 'on', 'remote_apply'] as const
const sessions = { writings: LEVELS.map(writings.setOnClient), foreign: LEVELS.map(writings.foreignCommit) }
const transactions = {
  writings: [...LEVELS.map(writings.setInTransaction), writings.setByFunction('off'), writings.simple],
}

const twice = (what: string) => `every commit is ${what} already`

export const COMMITS: readonly Scenario[] = [
  {
    name: 'synchronous_commit set by sessions',
    plan: sessions,
    // From the first such text on own writes are looked for where asynchronous commits are.
    least: { healthy: 0.1 },
    steps: course,
  },
  {
    name: 'synchronous_commit set in transactions',
    plan: transactions,
    least: { healthy: 0.1 },
    steps: course,
  },
  {
    name: 'synchronous_commit = off for the role',
    least: { healthy: 0.1 },
    leaveOut: ({ commit }) => (commit === 'off' ? twice('asynchronous') : null),
    before: (stage) => asAdmin(stage, 'alter role app set synchronous_commit = off'),
    steps: course,
    after: (stage) => asAdmin(stage, 'alter role app reset synchronous_commit'),
  },
  {
    name: 'synchronous_commit turned off for the role by somebody else',
    // Sessions that began later only; and no synchronous commits of others, which would write these to disk, too.
    options: () => ({ maxUses: 5 }),
    plan: { foreign: [] },
    least: { healthy: 0.1 },
    leaveOut: ({ commit }) => (commit === 'off' ? twice('asynchronous') : null),
    steps: async (arena) => {
      await course(arena)
      await asAdmin(arena, 'alter role app set synchronous_commit = off')
      await busy(arena, 400, 'changed')
    },
    after: (stage) => asAdmin(stage, 'alter role app reset synchronous_commit'),
  },
  {
    name: 'synchronous_commit turned off for the server by somebody else',
    least: { healthy: 0.1 },
    leaveOut: ({ commit }) => (commit === 'off' ? twice('asynchronous') : null),
    steps: async (arena) => {
      await course(arena)
      await asAdmin(arena, 'alter system set synchronous_commit = off')
      await arena.cluster.reload(0)
      await busy(arena, 400, 'changed')
    },
  },
  {
    name: 'a WAL writer that stands still on a quiet primary',
    options: () => ({ strictAsyncCommit: true }),
    least: { healthy: 0.01 },
    steps: stoppedWhileQuiet,
    after: (stage) => signalWriter(stage, 'SIGCONT'),
  },
  {
    name: 'a WAL writer that stands still, without strictAsyncCommit',
    least: { healthy: 0.01 },
    longOnly: 'with strictAsyncCommit it is the harder case',
    leaveOut: ({ commit }) =>
      commit === 'off' ? 'the documents except it: the bound assumes that the WAL writer keeps its period' : null,
    steps: stopped,
    after: (stage) => signalWriter(stage, 'SIGCONT'),
  },
  {
    name: 'a WAL writer that stands still on a quiet primary, without strictAsyncCommit',
    least: { healthy: 0.01 },
    longOnly: 'with strictAsyncCommit it is the harder case',
    leaveOut: ({ commit }) =>
      commit === 'off' ? 'the documents except it: the bound assumes that the WAL writer keeps its period' : null,
    steps: stoppedWhileQuiet,
    after: (stage) => signalWriter(stage, 'SIGCONT'),
  },
  {
    name: 'synchronous_commit = local for the role',
    leaveOut: ({ commit }) => (commit === 'off' ? 'the role overrules what the combination sets' : null),
    before: (stage) => asAdmin(stage, 'alter role app set synchronous_commit = local'),
    steps: harmed(
      ({ cluster }) => cluster.pauseReplay(1),
      ({ cluster }) => cluster.resumeReplay(1)
    ),
    after: (stage) => asAdmin(stage, 'alter role app reset synchronous_commit'),
  },
  {
    name: 'remote_apply on one of two',
    leaveOut: ({ commit }) => (commit === 'off' ? 'the role overrules what the combination sets' : null),
    before: async (stage) => {
      await asAdmin(stage, `alter system set synchronous_standby_names = 'ANY 1 (n1, n2)'`)
      await asAdmin(stage, 'alter role app set synchronous_commit = remote_apply')
      await stage.cluster.reload(0)
    },
    steps: harmed(
      ({ cluster }) => cluster.pauseReplay(1),
      ({ cluster }) => cluster.resumeReplay(1)
    ),
    after: async (stage) => {
      await asAdmin(stage, 'alter system reset synchronous_standby_names')
      await stage.cluster.reload(0)
      await asAdmin(stage, 'alter role app reset synchronous_commit')
    },
  },
  {
    name: 'a WAL writer that stands still',
    options: () => ({ strictAsyncCommit: true }),
    least: { healthy: 0.01 },
    steps: stopped,
    after: (stage) => signalWriter(stage, 'SIGCONT'),
  },
  {
    name: 'a slow WAL writer',
    cluster: { settings: { wal_writer_delay: '700ms' } },
    short: { commit: 'off' },
    least: { healthy: 0.05 },
    steps: course,
  },
]
