// New sessions are refused, and those that are open go on: news about logins, and not about the server. The same for functions of
// the application that fail, which is news about these.

import { setTimeout as pause } from 'node:timers/promises'
import type { Arena } from './arena.js'
import { type Fault, NONE } from './fault.js'

const SILENT_TWICE_MILLIS = 1500
/** Long enough for every probe to be refused several times. */
const goesOn = async (arena: Arena) => {
  await pause(SILENT_TWICE_MILLIS)
  await arena.progress(20)
}

const rejected = ({ role }: Arena) => `host all ${role} all reject`
const asked = ({ role }: Arena) => `host all ${role} all scram-sha-256`

/** Probes log in again: their sessions end, as they do once a day behind a firewall. */
const endProbes = (arena: Arena, node: number) =>
  arena.asOwner(node, [
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgherd probe'`,
  ])

const probed = async (arena: Arena, nodes: readonly number[]) => {
  for (const node of nodes) await endProbes(arena, node)
  await goesOn(arena)
}

/** pg.Pool closes the connection of a statement that fails, and now there would be no other: so none is made to fail. */
const unrefused = (fault: Fault): Fault => ({
  ...fault,
  strike: async (arena) => {
    const before = arena.workloads.map(({ writers }) => writers)
    for (const workload of arena.workloads) workload.writers = 'usual'
    try {
      await arena.progress(2)
      await fault.strike(arena)
      await fault.heal?.(arena)
    } finally {
      arena.workloads.forEach((workload, i) => {
        workload.writers = before[i] ?? workload.writers
      })
    }
  },
  heal: async () => undefined,
})

const ALL = [0, 1, 2]

const REFUSED_LOGINS: readonly Fault[] = [
  {
    name: "the role's CONNECTION LIMIT is reached",
    cut: NONE,
    harmless: true,
    strike: async (arena) => {
      await arena.asOwner(arena.primary, [`alter role ${arena.role} connection limit 6`])
      await probed(arena, [arena.primary])
    },
    heal: (arena) => arena.asOwner(arena.primary, [`alter role ${arena.role} connection limit -1`]),
  },
  {
    name: 'pg_hba.conf of the primary rejects the role',
    cut: NONE,
    strike: async (arena) => {
      await arena.admit(arena.primary, rejected(arena))
      await probed(arena, [arena.primary])
    },
    heal: (arena) => arena.dismiss(arena.primary, rejected(arena)),
  },
  {
    name: 'the password is changed, and changed back',
    cut: NONE,
    strike: async (arena) => {
      for (const node of ALL) await arena.admit(node, asked(arena))
      await arena.asOwner(arena.primary, [`alter role ${arena.role} password 'another one'`])
      await probed(arena, ALL)
    },
    heal: async (arena) => {
      await arena.asOwner(arena.primary, [`alter role ${arena.role} password '${arena.role}'`])
      for (const node of ALL) await arena.dismiss(node, asked(arena))
    },
  },
  {
    name: 'the password function rejects',
    cut: NONE,
    strike: async (arena) => {
      for (const node of ALL) await arena.admit(node, asked(arena))
      arena.mischief.password = () => Promise.reject(new Error('the vault is sealed'))
      await probed(arena, ALL)
    },
    heal: async (arena) => {
      arena.mischief.password = null
      for (const node of ALL) await arena.dismiss(node, asked(arena))
    },
  },
  {
    name: 'a firewall drops new connections to the primary',
    cut: NONE,
    strike: async (arena) => {
      await arena.network.deafen(arena.primary)
      await probed(arena, [arena.primary])
    },
    heal: (arena) => arena.network.heal('reset'),
  },
]

export const LOGIN_FAULTS: readonly Fault[] = [
  ...REFUSED_LOGINS.map(unrefused),
  ...(['throws', 'gives nothing', 'gives a stranger'] as const).map(
    (how): Fault => ({
      name: `the balance function ${how}`,
      cut: NONE,
      harmless: true,
      strike: async (arena) => {
        arena.mischief.balance = () => {
          if (how === 'throws') throw new Error('the balance function fails')
          return how === 'gives nothing' ? undefined : { key: 'nowhere:1' }
        }
        await arena.progress(20)
      },
    })
  ),
  {
    name: 'a listener throws',
    cut: NONE,
    strike: async (arena) => {
      arena.mischief.listener = true
      const node = arena.aReplica()
      await arena.cluster.stop(node, 'fast')
      await arena.progress(20)
      await arena.cluster.start(node)
      await arena.progress(5)
    },
  },
]
