// The tables of the console: what there is of nodes, pools, clients and server connections, with PgBouncer's column names where they mean
// the same, since exporters go by name.

import { aloneOf } from '../../core/cluster/alone.js'
import { snapshotOf } from '../../report/snapshot.js'
import type { Client } from '../client/client.js'
import type { ServerConnection } from '../server/connection.js'
import type { Rows } from '../session/local.js'
import type { Shown } from './commands.js'
import type { Managed } from './managed.js'

type Value = string | number | boolean | null

function table(columns: readonly string[], rows: readonly (readonly Value[])[]): Rows {
  return { columns, rows: rows.map((row) => row.map((value) => (value === null ? null : String(value)))) }
}

export function show(what: Exclude<Shown, 'help'>, proxy: Managed): Rows {
  return SHOWS[what](proxy)
}

const SHOWS: Readonly<Record<Exclude<Shown, 'help'>, (proxy: Managed) => Rows>> = {
  nodes,
  pools,
  clients,
  servers,
  databases,
  users,
  routes,
  stats,
  lists,
  config,
  state: ({ isPaused }) =>
    table(
      ['key', 'value'],
      [
        ['active', !isPaused],
        ['paused', isPaused],
        ['suspended', false],
      ]
    ),
  version: ({ parts }) => table(['version'], [[`pgherd ${parts.version}`]]),
}

const NODE_COLUMNS = [
  'node',
  'host',
  'port',
  'state',
  'role',
  'epoch',
  'lag_ms',
  'lag_bytes',
  'refused',
  'in_flight',
  'last_failure',
]

function nodes({ router, parts, sides }: Managed): Rows {
  const { topology } = router.herd
  const snapshot = snapshotOf(topology, parts.clock.now(), { ...parts.config, alone: aloneOf(parts.config) })
  const inFlight = new Map<string, number>()
  for (const { address, used } of sides.connections()) {
    const key = `${address.host}:${address.port}`
    inFlight.set(key, (inFlight.get(key) ?? 0) + used)
  }
  return table(
    NODE_COLUMNS,
    snapshot.nodes.map((node) => {
      const known = topology.nodes.get(node.key as never)
      const { host = '', port = 0 } = known?.address ?? {}
      const lag = node.lagMillis
      return [
        node.key,
        host,
        port,
        node.state,
        topology.primary === node.key ? 'primary' : known?.state.kind === 'replica' ? 'replica' : null,
        topology.epoch,
        lag === null || lag === undefined || !Number.isFinite(lag) ? null : Math.round(lag),
        node.lagBytes === null || node.lagBytes === undefined ? null : Number(node.lagBytes),
        node.refused ?? null,
        inFlight.get(node.key) ?? 0,
        node.failure ?? null,
      ]
    })
  )
}

const POOL_COLUMNS = [
  ...['database', 'user', 'cl_active', 'cl_waiting', 'cl_active_cancel_req', 'cl_waiting_cancel_req', 'sv_active'],
  ...[
    'sv_active_cancel',
    'sv_being_canceled',
    'sv_idle',
    'sv_used',
    'sv_tested',
    'sv_login',
    'maxwait',
    'maxwait_us',
    'pool_mode',
  ],
  ...['load_balance_hosts', 'node'],
]

function pools({ sides, clients: all, options }: Managed): Rows {
  const rows: Value[][] = []
  for (const side of sides.all) {
    for (const [name, lending] of side.lendings) {
      const [user = '', database = ''] = name.split('\0')
      const own = [...all.values()].filter(({ identity }) => identity.user === user && identity.database === database)
      const cancelling = [...lending.all].filter((connection) => connection.cancelling !== null).length
      const waited = lending.waitedMillis
      rows.push([
        ...[
          database,
          user,
          own.length - lending.waiting,
          lending.waiting,
          0,
          0,
          lending.used,
          0,
          cancelling,
          lending.idle,
          0,
          0,
          0,
        ],
        ...[Math.floor(waited / 1000), Math.floor((waited % 1000) * 1000), options.poolMode, null, side.key],
      ])
    }
  }
  return table(POOL_COLUMNS, rows)
}

const LINK_COLUMNS = [
  ...[
    'type',
    'user',
    'database',
    'replication',
    'state',
    'addr',
    'port',
    'local_addr',
    'local_port',
    'connect_time',
    'request_time',
  ],
  ...[
    'wait',
    'wait_us',
    'close_needed',
    'ptr',
    'link',
    'remote_pid',
    'tls',
    'application_name',
    'prepared_statements',
    'id',
    'worker',
  ],
]

/** From 1, as messages name them; null: there is one process. */
function workerOf({ team }: Managed['parts']): number | null {
  return team === null ? null : team.worker.slot + 1
}

function stateOf(client: Client): string {
  if (client.isWaiting) return 'waiting'
  return client.isActive || client.link !== null ? 'active' : 'idle'
}

function clients({ clients: all, parts }: Managed): Rows {
  const now = parts.clock.mono()
  return table(
    LINK_COLUMNS,
    [...all.values()].map((client) => {
      const { identity } = client
      const waited = client.waitingSince === null ? 0 : now - client.waitingSince
      return [
        ...[
          'C',
          identity.user,
          identity.database,
          'none',
          stateOf(client),
          identity.address,
          identity.port,
          null,
          null,
        ],
        ...[identity.connectedAt.toISOString(), null, Math.floor(waited / 1000), Math.floor((waited % 1000) * 1000), 0],
        ...[
          `c${identity.id}`,
          client.link === null ? '' : `s${client.link.pid ?? ''}`,
          identity.pid,
          identity.isTls ? 'TLS' : '',
        ],
        ...[client.identity.told.get('application_name') ?? '', client.prepared, identity.id, workerOf(parts)],
      ]
    })
  )
}

function servers({ sides, clients: all, parts }: Managed): Rows {
  const byLink = new Map<ServerConnection, Client>()
  for (const client of all.values()) if (client.link !== null) byLink.set(client.link, client)
  const rows: Value[][] = []
  for (const side of sides.all) {
    for (const [name, lending] of side.lendings) {
      const [user = '', database = ''] = name.split('\0')
      for (const connection of lending.all) {
        const { address } = side.node
        const client = byLink.get(connection)
        const state = connection.isDead ? 'dead' : lending.isLent(connection) ? 'active' : 'idle'
        rows.push([
          ...['S', user, database, 'none', state, address.host, address.port, null, null, null, null, 0, 0],
          ...[
            connection.isOutdated ? 1 : 0,
            `s${connection.pid ?? ''}`,
            client === undefined ? '' : `c${client.identity.id}`,
          ],
          ...[
            connection.pid,
            '',
            connection.reported.get('application_name') ?? '',
            connection.shelf.size,
            connection.pid,
            workerOf(parts),
          ],
        ])
      }
    }
  }
  return table(LINK_COLUMNS, rows)
}

function databases({ sides, options, isPaused }: Managed): Rows {
  const columns = [
    'name',
    'host',
    'port',
    'database',
    'force_user',
    'pool_size',
    'pool_mode',
    'current_connections',
    'paused',
    'disabled',
  ]
  const rows: Value[][] = []
  for (const side of sides.all) {
    const counts = new Map<string, number>()
    for (const [name, lending] of side.lendings) {
      const [, database = ''] = name.split('\0')
      counts.set(database, (counts.get(database) ?? 0) + lending.all.size)
    }
    const { host, port } = side.node.address
    for (const [database, count] of counts) {
      const { defaultPoolSize, poolMode } = options
      rows.push([database, host, port, database, null, defaultPoolSize, poolMode, count, isPaused ? 1 : 0, 0])
    }
  }
  return table(columns, rows)
}

function users({ clients: all, options }: Managed): Rows {
  const counts = new Map<string, number>()
  for (const { identity } of all.values()) counts.set(identity.user, (counts.get(identity.user) ?? 0) + 1)
  const { defaultPoolSize, poolMode } = options
  return table(
    ['name', 'pool_size', 'pool_mode', 'current_client_connections'],
    [...counts].map(([user, count]) => [user, defaultPoolSize, poolMode, count])
  )
}

function routes({ router }: Managed): Rows {
  return table(
    ['node', 'role', 'reason', 'choice', 'count'],
    router.decisions.list().map(({ node, role, reason, choice, count }) => [node, role, reason, choice, count])
  )
}

function stats(proxy: Managed): Rows {
  const counts = proxy.counted()
  const columns = ['database', 'total_query_count', 'total_received', 'total_sent', 'total_client_login_count']
  return table(columns, [['all', counts.units, counts.received, counts.sent, proxy.logins]])
}

function lists({ sides, clients: all, router }: Managed): Rows {
  let [used, idle] = [0, 0]
  for (const each of sides.connections()) {
    used += each.used
    idle += each.idle
  }
  const waiting = [...all.values()].filter((client) => client.isWaiting).length
  return table(
    ['list', 'items'],
    [
      ['databases', new Set([...all.values()].map(({ identity }) => identity.database)).size],
      ['users', new Set([...all.values()].map(({ identity }) => identity.user)).size],
      ['nodes', router.herd.topology.nodes.size],
      ['used_clients', all.size],
      ['waiting_clients', waiting],
      ['used_servers', used],
      ['free_servers', idle],
    ]
  )
}

function config({ parts }: Managed): Rows {
  return table(
    ['key', 'value', 'default', 'changeable', 'source'],
    parts
      .shown()
      .map(({ key, value, initial, changes, source }) => [key, value, initial, changes ? 'yes' : 'no', source])
  )
}
