// Servers that go on from a point which the primary left behind or never reached: what they show is not the primary's history,
// whatever their timeline's number and however far they are.

import { renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { moment } from '../consistency/account.js'
import { Archiver } from '../support/archiver.js'
import { installation, run } from '../support/cluster-binaries.js'
import type { Arena } from './arena.js'
import { BOTH, type Fault, NONE } from './fault.js'

/** Long enough for many reads to be given to a replica that must not have them. */
const LONG = 15

/** A replica behind the spare, which itself follows the primary: the leaf. Nobody names the spare. */
async function cascade(arena: Arena, leaf: number): Promise<number> {
  const middle = await arena.spare(arena.primary)
  await arena.cluster.follow(leaf, middle)
  await arena.cluster.caughtUp(leaf, arena.primary)
  return middle
}

/** As by hand: the file that makes it a standby is removed, and it starts. Its timeline goes on. */
async function startAsPrimary(arena: Arena, node: number): Promise<void> {
  await arena.cluster.stop(node, 'fast')
  rmSync(join(arena.cluster.node(node).directory, 'standby.signal'))
  await arena.cluster.start(node)
}

/** Its leaf has the fork's rows, and everybody goes on for a while. */
async function forked(arena: Arena, middle: number, leaf: number, begin: () => Promise<unknown>): Promise<void> {
  await arena.unseen(leaf, async () => {
    await begin()
    await arena.fork(middle)
    await arena.cluster.caughtUp(leaf, middle)
  })
  await arena.progress(LONG)
}

async function restartpoint(arena: Arena, middle: number, leaf: number): Promise<void> {
  await arena.asOwner(middle, ['checkpoint'])
  await arena.cluster.caughtUp(leaf, middle)
  await arena.asOwner(leaf, ['checkpoint'])
}

const anew = async (arena: Arena) => {
  for (const node of arena.replicas) await arena.cluster.reclone(node, arena.primary)
}

/** Followed by an archiver, whatever happens meanwhile. */
async function archived(arena: Arena, node: number, work: () => Promise<unknown>): Promise<void> {
  const archiver = Archiver.start(arena.cluster.node(node))
  try {
    await arena.cluster.streaming(node, 1)
    await work()
  } finally {
    await archiver.stop()
  }
}

/** PostgreSQL 14 and newer tell each session of it with the next reply; what older ones are, the next probe finds. */
const SELF_TOLD = 14

const promotedForATest = async (arena: Arena, node: number) => {
  const promoted = async () => {
    await arena.cluster.promote(node)
    await arena.fork(node)
  }
  if (arena.cluster.major >= SELF_TOLD) await promoted()
  else await arena.unseen(node, promoted)
  await arena.progress(LONG)
}

async function coldCopy(arena: Arena): Promise<string> {
  const { directory } = arena.cluster.node(arena.primary)
  const { owner } = await installation()
  await arena.cluster.stop(arena.primary, 'fast')
  await run('cp', ['-a', directory, `${directory}.cold`], owner)
  await arena.cluster.start(arena.primary)
  return `${directory}.cold`
}

/** Its directory is the copy from now on; what it acknowledged since is lost, and the replicas are ahead. */
async function restoreFrom(arena: Arena, copy: string): Promise<void> {
  const { directory } = arena.cluster.node(arena.primary)
  await arena.cluster.stop(arena.primary, 'immediate')
  rmSync(directory, { recursive: true })
  renameSync(copy, directory)
  const at = moment()
  await arena.cluster.start(arena.primary)
  arena.cameBackWith(await arena.idsOn(arena.primary), at)
}

/** The primary dies, and the other one takes its place; nobody follows it yet. */
async function failOver(arena: Arena, heir: number): Promise<void> {
  await arena.cluster.kill(arena.primary)
  await arena.synchronous(false, [heir])
  await arena.cluster.promote(heir)
  arena.primary = heir
}

export const FORK_FAULTS: readonly Fault[] = [
  {
    name: 'cascade: the middle is promoted for a test, and its leaf follows',
    cut: NONE,
    strike: async (arena) => {
      const leaf = arena.aReplica()
      const middle = await cascade(arena, leaf)
      await forked(arena, middle, leaf, () => arena.cluster.promote(middle))
    },
    heal: anew,
  },
  {
    name: 'cascade: the middle becomes a primary without a new timeline',
    cut: NONE,
    strike: async (arena) => {
      const leaf = arena.aReplica()
      const middle = await cascade(arena, leaf)
      await forked(arena, middle, leaf, async () => {
        await startAsPrimary(arena, middle)
        await arena.cluster.follow(leaf, middle)
      })
    },
    heal: anew,
  },
  {
    name: 'cascade: the primary dies, and its heir gets the number of the fork',
    cut: BOTH,
    strike: async (arena) => {
      const leaf = arena.aReplica()
      const [heir = 0] = arena.replicas.filter((node) => node !== leaf)
      const middle = await cascade(arena, leaf)
      await forked(arena, middle, leaf, () => arena.cluster.promote(middle))
      await restartpoint(arena, middle, leaf)
      await failOver(arena, heir)
      await arena.progress(LONG)
    },
    heal: async (arena) => {
      await anew(arena)
      await arena.synchronous(true, [arena.primary, ...arena.replicas])
    },
  },
  {
    name: 'cascade: the middle serves, and goes',
    cut: NONE,
    strike: async (arena) => {
      const leaf = arena.aReplica()
      const middle = await cascade(arena, leaf)
      await arena.progress(LONG)
      await arena.cluster.kill(middle)
      await arena.progress(LONG)
    },
  },
  {
    name: 'an archiver follows a replica that is promoted for a test',
    cut: NONE,
    strike: (arena) => {
      const node = arena.aReplica()
      return archived(arena, node, () => promotedForATest(arena, node))
    },
    heal: anew,
  },
  {
    name: 'an archiver follows a replica that is promoted for a test, and nobody the primary',
    cut: NONE,
    strike: async (arena) => {
      const [node = 0, other = 0] = arena.replicas
      await arena.synchronous(false)
      await arena.cluster.stop(other, 'fast')
      await archived(arena, node, () => promotedForATest(arena, node))
    },
    heal: async (arena) => {
      await anew(arena)
      await arena.synchronous(true, [0, 1, 2])
    },
  },
  {
    name: 'the primary comes back from a cold copy, and its replicas are ahead',
    cut: { kind: 'all', of: 'both', times: 2 },
    strike: async (arena) => {
      await arena.synchronous(false)
      const copy = await coldCopy(arena)
      await arena.progress(3)
      // As much as the primary will write until it is made whole again.
      await arena.asOwner(arena.primary, [
        "create table ballast as select repeat('x', 1000) from generate_series(1, 8000)",
      ])
      for (const node of arena.replicas) await arena.cluster.caughtUp(node, arena.primary)
      const [one = 0, two = 0] = arena.replicas
      await arena.unseen(one, () => arena.unseen(two, () => restoreFrom(arena, copy)))
      await arena.progress(LONG)
    },
    heal: async (arena) => {
      await anew(arena)
      await arena.synchronous(true, [0, 1, 2])
    },
  },
  {
    name: 'a standby becomes the primary without a new timeline, and all follow',
    cut: BOTH,
    strike: async (arena) => {
      const heir = arena.aReplica()
      await arena.cluster.stop(arena.primary, 'fast')
      await startAsPrimary(arena, heir)
      const others = arena.replicas.filter((node) => node !== heir)
      arena.primary = heir
      for (const node of others) await arena.cluster.follow(node, heir)
      await arena.progress(LONG)
    },
  },
  {
    name: 'the primary freezes, and its heir is followed before that is noticed',
    cut: BOTH,
    strike: async (arena) => {
      await arena.cluster.freeze(arena.primary)
      await arena.promote()
      await arena.progress(LONG)
      for (const { index } of arena.nodes) await arena.cluster.thaw(index)
      await arena.progress(LONG)
    },
  },
]
