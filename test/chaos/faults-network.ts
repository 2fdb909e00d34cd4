// What networks do between one application and the servers: `near` does not suffer from it, and the servers do not either.

import type { Direction } from '../support/relay.js'
import type { Arena } from './arena.js'
import { FAR, type Fault, NONE, ONE } from './fault.js'

const BOTH_WAYS: readonly Direction[] = ['toServer', 'toClient']

const convicted = (arena: Arena, node: number) =>
  arena.until('the pool behind the network to give it up', () => arena.stateOf(arena.far, node) === 'down')

const hole = (name: string, silent: readonly Direction[], how: 'deliver' | 'reset'): Fault => ({
  name: `a black hole before the primary (${name}), ended by ${how === 'reset' ? 'resets' : 'delivery'}`,
  cut: FAR,
  strike: async (arena) => {
    await arena.network.impose(arena.primary, { silent })
    await convicted(arena, arena.primary)
    await arena.progress(2, [arena.near])
  },
  heal: (arena) => arena.network.heal(how),
})

export const NETWORK_FAULTS: readonly Fault[] = [
  hole('both ways', BOTH_WAYS, 'deliver'),
  hole('both ways', BOTH_WAYS, 'reset'),
  hole('to the server', ['toServer'], 'deliver'),
  hole('from the server', ['toClient'], 'deliver'),
  {
    name: 'a black hole before the primary that is over soon',
    cut: NONE,
    strike: async (arena) => {
      await arena.network.impose(arena.primary, { silent: BOTH_WAYS })
      await arena.aMoment()
    },
  },
  {
    name: 'a black hole before a replica',
    cut: NONE,
    strike: async (arena) => {
      const node = arena.aReplica()
      await arena.network.impose(node, { silent: BOTH_WAYS })
      await convicted(arena, node)
      await arena.progress(3)
    },
  },
  {
    name: 'a black hole before everything',
    cut: FAR,
    strike: async (arena) => {
      for (const { index } of arena.nodes) await arena.network.impose(index, { silent: BOTH_WAYS })
      for (const { index } of arena.nodes) await convicted(arena, index)
    },
  },
  {
    name: 'new connections to the primary are refused',
    cut: FAR,
    strike: async (arena) => {
      await arena.network.refuse(arena.primary)
      await arena.network.reset(arena.primary, arena.random.below(100))
      await convicted(arena, arena.primary)
    },
  },
  {
    name: 'one socket to the primary is reset',
    cut: ONE,
    strike: (arena) => arena.network.reset(arena.primary, arena.random.below(100)),
  },
  {
    name: 'all sockets to the primary are reset',
    cut: FAR,
    strike: (arena) => arena.network.reset(arena.primary, null),
  },
  {
    name: 'all sockets to a replica are reset',
    cut: NONE,
    strike: (arena) => arena.network.reset(arena.aReplica(), null),
  },
  {
    name: 'the primary closes its half of all sockets',
    cut: FAR,
    strike: (arena) => arena.network.halfClose(arena.primary, 'toClient'),
  },
  {
    name: 'the network is slow',
    cut: NONE,
    strike: async (arena) => {
      for (const { index } of arena.nodes) {
        await arena.network.impose(index, { delayMillis: { toServer: arena.random.below(40), toClient: 20 } })
      }
      await arena.progress(3)
    },
  },
]
