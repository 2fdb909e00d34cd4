// What the proxy does, as text for Prometheus, and the server that gives it out. Counts only: no names of clients, no texts.

import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { lagOf } from '../core/cluster/horizon.js'
import type { Managed } from './console/managed.js'

interface Sample {
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

export interface Metric {
  readonly name: string
  readonly type: 'gauge' | 'counter'
  readonly help: string
  readonly samples: readonly Sample[]
  /** How those of several processes become one. */
  readonly fold: keyof typeof FOLDS
}

const FOLDS = {
  sum: (a: number, b: number) => a + b,
  greatest: (a: number, b: number) => Math.max(a, b),
  least: (a: number, b: number) => Math.min(a, b),
}

function metric(
  name: string,
  type: Metric['type'],
  help: string,
  samples: readonly Sample[],
  fold: Metric['fold'] = 'sum'
): Metric {
  return { name, type, help, samples, fold }
}

/** Of several processes that serve the same clients: samples with the same labels become one. */
export function folded(all: readonly (readonly Metric[])[]): readonly Metric[] {
  const found = new Map<string, { readonly metric: Metric; readonly samples: Map<string, Sample> }>()
  for (const each of all.flat()) {
    const { samples } = found.get(each.name) ?? { samples: new Map<string, Sample>() }
    found.set(each.name, { metric: each, samples })
    for (const sample of each.samples) {
      const key = JSON.stringify(sample.labels ?? {})
      const before = samples.get(key)
      samples.set(
        key,
        before === undefined ? sample : { ...sample, value: FOLDS[each.fold](before.value, sample.value) }
      )
    }
  }
  return [...found.values()].map(({ metric: each, samples }) => ({ ...each, samples: [...samples.values()] }))
}

export function textOf(metrics: readonly Metric[]): string {
  const texts = metrics.map(({ name, type, help, samples }) => {
    const lines = samples.map(({ labels = {}, value }) => {
      const shown = Object.entries(labels).map(([label, text]) => `${label}="${text.replace(/[\\"\n]/g, '_')}"`)
      return `${name}${shown.length === 0 ? '' : `{${shown.join(',')}}`} ${value === Infinity ? '+Inf' : value}`
    })
    return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines].join('\n')
  })
  return `${texts.join('\n')}\n`
}

/** Of one process. */
export function metricsOf(proxy: Managed): readonly Metric[] {
  const { clients, router, sides, logins } = proxy
  const { topology } = router.herd
  const counts = proxy.counted()
  const all = [...clients.values()]
  const now = proxy.parts.clock.now()
  const connections = [...sides.connections()].map(({ address, ...each }) => ({
    ...each,
    node: `${address.host}:${address.port}`,
  }))
  const nodes = [...topology.nodes.values()]
  const routes = router.decisions.list()
  return [
    metric('pgherd_proxy_clients', 'gauge', 'Clients that are logged in.', [{ value: clients.size }]),
    metric('pgherd_proxy_clients_active', 'gauge', 'Clients with a statement under way.', [
      { value: all.filter(({ isActive }) => isActive).length },
    ]),
    metric('pgherd_proxy_clients_waiting', 'gauge', 'Clients whose statement waits for a server connection.', [
      { value: all.filter(({ isWaiting }) => isWaiting).length },
    ]),
    metric('pgherd_proxy_logins_total', 'counter', 'Clients that have logged in.', [{ value: logins }]),
    metric('pgherd_proxy_units_total', 'counter', 'Units of clients: simple queries, and what ends with a Sync.', [
      { value: counts.units },
    ]),
    metric('pgherd_proxy_received_bytes_total', 'counter', 'Bytes from clients.', [{ value: counts.received }]),
    metric('pgherd_proxy_sent_bytes_total', 'counter', 'Bytes to clients.', [{ value: counts.sent }]),
    metric(
      'pgherd_proxy_server_connections',
      'gauge',
      'Server connections, by node and use.',
      connections.flatMap(({ node, used, idle, leaving }) => [
        { labels: { node, state: leaving ? 'leaving' : 'used' }, value: used },
        { labels: { node, state: leaving ? 'leaving_idle' : 'idle' }, value: idle },
      ])
    ),
    metric(
      'pgherd_proxy_routed_total',
      'counter',
      'Statements, by node, role and reason.',
      routes.map(({ node, role, choice, reason, count }) => ({
        labels: { node: node ?? '', role: role ?? '', choice, reason },
        value: count,
      }))
    ),
    metric('pgherd_proxy_epoch', 'gauge', '+1 with every new primary.', [{ value: topology.epoch }], 'greatest'),
    metric(
      'pgherd_proxy_primary',
      'gauge',
      'Whether there is a primary.',
      [{ value: topology.primary === null ? 0 : 1 }],
      'least'
    ),
    metric(
      'pgherd_proxy_node_up',
      'gauge',
      'Whether a node serves, by its state.',
      nodes.map(({ key, state }) => ({
        labels: { node: key, state: state.kind },
        value: state.kind === 'primary' || state.kind === 'replica' ? 1 : 0,
      })),
      'least'
    ),
    metric(
      'pgherd_proxy_replica_lag_seconds',
      'gauge',
      'Everything that was acknowledged longer ago than this is on the replica.',
      nodes.flatMap((node) => {
        if (node.state.kind !== 'replica' || node.state.position === null) return []
        const lag = lagOf(topology.wal, node.state.position.lsn, now)
        return [{ labels: { node: node.key }, value: lag / 1000 }]
      }),
      'greatest'
    ),
  ]
}

export function serveMetrics(
  metrics: () => Promise<readonly Metric[]>,
  host: string,
  port: number
): Promise<{ readonly address: AddressInfo; end(): void }> {
  const server = http.createServer(({ method, url }, response) => {
    const isThere = (method === 'GET' || method === 'HEAD') && (url === '/metrics' || url === '/')
    const say = (status: number, text: string) => {
      response.writeHead(status, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
      response.end(text)
    }
    if (!isThere || method === 'HEAD') return say(isThere ? 200 : 404, '')
    metrics().then(
      (found) => say(200, textOf(found)),
      (error: unknown) => say(503, `${error instanceof Error ? error.message : String(error)}\n`)
    )
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => resolve({ address: server.address() as AddressInfo, end: () => server.close() }))
  })
}
