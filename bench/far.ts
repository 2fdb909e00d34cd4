// Servers that are far away: relays in a thread of their own, so that waiting costs the measured process nothing. Each relay
// delays what goes to its server, and what a server sends to its replicas.
//   const far = await farAway(cluster, millis); far.ports; far.stall(2, 100); await far.close()

import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import type { Cluster } from '../test/support/cluster.js'
import { Relay } from '../test/support/relay.js'

export interface Far {
  /** Of each node's relay, in the order of nodes. */
  readonly ports: readonly number[]
  /** Nothing that this node sends arrives for so long. */
  stall(index: number, millis: number): void
  close(): Promise<void>
}

interface Order {
  readonly targets: readonly { readonly host: string; readonly port: number }[]
  /** Of each. */
  readonly millis: readonly number[]
}

type Word = 'close' | { readonly index: number; readonly millis: number }

/** `away`: what a round trip takes longer, to all nodes or to each. Timers are coarse: measure what it is. */
export async function farAway(cluster: Cluster, away: number | readonly number[]): Promise<Far> {
  const targets = cluster.nodes.map(({ host, port }) => ({ host, port }))
  const millis = targets.map((_, i) => (typeof away === 'number' ? away : (away[i] ?? 0)))
  const worker = new Worker(new URL(import.meta.url), { workerData: { targets, millis } satisfies Order })
  const [ports] = (await once(worker, 'message')) as [number[]]
  const restore = millis[0] === 0 ? async () => {} : await rerouted(cluster, ports[0] as number)
  const tell = (word: Word) => worker.postMessage(word)
  return {
    ports,
    stall: (index, stalled) => tell({ index, millis: stalled }),
    async close() {
      await restore()
      tell('close')
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
  for (const [i, each] of relays.entries()) {
    const own = millis[i] ?? 0
    if (own === 0) continue
    each.impose({ on: ({ greeting }) => !REPLICATION.test(greeting), delayMillis: { toServer: own } })
    each.impose({ on: ({ greeting }) => REPLICATION.test(greeting), delayMillis: { toClient: Math.ceil(own / 2) } })
  }
  parentPort?.postMessage(relays.map(({ port }) => port))
  for (;;) {
    const [word] = (await once(parentPort as NonNullable<typeof parentPort>, 'message')) as [Word]
    if (word === 'close') break
    const fault = relays[word.index]?.impose({ silent: ['toClient'] })
    setTimeout(() => fault?.lift(), word.millis)
  }
  await Promise.all(relays.map((each) => each.close()))
  parentPort?.close()
}

if (!isMainThread) await relay(workerData as Order)
