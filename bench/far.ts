// Servers that are far away: relays in a thread of their own, so that waiting costs the measured process nothing. Each relay
// delays what goes to its server, and what a server sends to its replicas.
//   const far = await farAway(cluster, millis); far.ports; await far.close()

import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import type { Cluster } from '../test/support/cluster.js'
import { Relay } from '../test/support/relay.js'

export interface Far {
  /** Of each node's relay, in the order of nodes. */
  readonly ports: readonly number[]
  close(): Promise<void>
}

interface Order {
  readonly targets: readonly { readonly host: string; readonly port: number }[]
  readonly millis: number
}

/** `millis`: what a round trip takes longer. Timers are coarse: measure what it is. */
export async function farAway(cluster: Cluster, millis: number): Promise<Far> {
  const targets = cluster.nodes.map(({ host, port }) => ({ host, port }))
  const worker = new Worker(new URL(import.meta.url), { workerData: { targets, millis } satisfies Order })
  const [ports] = (await once(worker, 'message')) as [number[]]
  const restore = await rerouted(cluster, ports[0] as number)
  return {
    ports,
    async close() {
      await restore()
      worker.postMessage('close')
      await once(worker, 'exit')
    },
  }
}

/** Replicas get their WAL through the primary's relay, too. */
async function rerouted(cluster: Cluster, port: number): Promise<() => Promise<void>> {
  const set = async (index: number, to: number) => {
    const client = await cluster.connect(index, 'postgres')
    const { rows } = await client.query<{ value: string }>("select current_setting('primary_conninfo') as value")
    const conninfo = String(rows[0]?.value).replace(/port='?\d+'?/, `port=${to}`)
    await client.query(`alter system set primary_conninfo = ${client.escapeLiteral(conninfo)}`)
    await client.query('select pg_reload_conf()')
    await client.end()
  }
  const replicas = cluster.nodes.slice(1)
  for (const { index } of replicas) await set(index, port)
  await cluster.streaming(0, replicas.length)
  return async () => {
    for (const { index } of replicas) await set(index, cluster.node(0).port)
  }
}

/** walreceiver connections name themselves like their nodes: n1, n2. */
const REPLICATION = /replication/

async function relay({ targets, millis }: Order): Promise<void> {
  const relays = await Promise.all(targets.map((target) => Relay.start(target)))
  for (const each of relays) {
    if (millis === 0) continue
    each.impose({ on: ({ greeting }) => !REPLICATION.test(greeting), delayMillis: { toServer: millis } })
    each.impose({ on: ({ greeting }) => REPLICATION.test(greeting), delayMillis: { toClient: Math.ceil(millis / 2) } })
  }
  parentPort?.postMessage(relays.map(({ port }) => port))
  await once(parentPort as NonNullable<typeof parentPort>, 'message')
  await Promise.all(relays.map((each) => each.close()))
  parentPort?.close()
}

if (!isMainThread) await relay(workerData as Order)
