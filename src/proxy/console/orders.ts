// What the console tells its process to do, and what it shows of all processes that serve the same clients.

import type { Rows } from '../session/local.js'
import { Code, type Said } from '../wire/write.js'
import type { Order, Shown } from './commands.js'
import type { Managed } from './managed.js'
import { distinct, merged } from './merge.js'
import { show } from './shows.js'

const KILLED: Said = { code: Code.adminShutdown, message: 'terminating connection due to administrator command' }

/** In this process. False: it is about a client that is not here. */
export function obey(order: Order, proxy: Managed): boolean {
  switch (order.kind) {
    case 'pause':
      proxy.pause()
      return true
    case 'resume':
      proxy.resume()
      return true
    case 'reconnect':
      for (const side of proxy.sides.all) side.reconnect()
      return true
    case 'kill':
      proxy.pause()
      for (const client of [...proxy.clients.values()]) client.close(KILLED)
      return true
    case 'kill_client': {
      const client = proxy.clients.get(order.id)
      client?.close(KILLED)
      return client !== undefined
    }
  }
}

/** The same in all of them. */
const COMMON: ReadonlySet<Shown> = new Set(['config', 'version', 'state'])

export async function shownBy(what: Exclude<Shown, 'help'>, proxy: Managed): Promise<Rows> {
  const { team } = proxy.parts
  if (team === null || COMMON.has(what)) return show(what, proxy)
  const rows = merged(what, await team.show(what))
  if (what !== 'lists') return rows
  // What several processes know of is one.
  const [clients, nodes] = [merged('clients', await team.show('clients')), merged('nodes', await team.show('nodes'))]
  const counts: Readonly<Record<string, number>> = {
    databases: distinct(clients, 'database'),
    users: distinct(clients, 'user'),
    nodes: distinct(nodes, 'node'),
  }
  return { ...rows, rows: rows.rows.map(([list = '', items = '']) => [list, String(counts[list ?? ''] ?? items)]) }
}
