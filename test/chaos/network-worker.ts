// The relays of a network, in a thread of their own: an event loop that is blocked on purpose must not stop the network.

import { parentPort, workerData } from 'node:worker_threads'
import { Relay } from '../support/relay.js'
import type { Order, Target } from './network.js'

type Lift = (how?: 'deliver' | 'reset') => void

const port = parentPort
if (port === null) throw new Error('runs as a worker')
const relays = await Promise.all((workerData as readonly Target[]).map((target) => Relay.start(target)))
const lifts: Lift[] = []

function relayOf(node: number): Relay {
  const relay = relays[node]
  if (relay === undefined) throw new RangeError(`no relay ${node}`)
  return relay
}

async function obey(order: Order): Promise<number> {
  switch (order.verb) {
    case 'impose': {
      const { lift } = relayOf(order.node).impose(order.plan)
      return lifts.push(lift) - 1
    }
    case 'deafen': {
      const relay = relayOf(order.node)
      const open = new Set(relay.links)
      const { lift } = relay.impose({ on: (link) => !open.has(link), silent: ['toServer', 'toClient'] })
      return lifts.push(lift) - 1
    }
    case 'lift':
      lifts[order.fault]?.(order.how)
      return 0
    case 'reset': {
      const { links } = relayOf(order.node)
      const chosen = order.pick === null ? null : [...links][order.pick % Math.max(1, links.size)]
      relayOf(order.node).reset((link) => chosen === null || link === chosen)
      return links.size
    }
    case 'half-close':
      relayOf(order.node).halfClose(order.direction)
      return 0
    case 'refuse':
      await relayOf(order.node).refuse()
      return 0
    case 'accept':
      await relayOf(order.node).accept()
      return 0
    case 'count':
      return relayOf(order.node).links.size
    case 'close':
      await Promise.all(relays.map((relay) => relay.close()))
      return 0
    default:
      return order satisfies never
  }
}

port.on('message', ({ ticket, order }: { readonly ticket: number; readonly order: Order }) => {
  obey(order).then(
    (value) => port.postMessage({ ticket, value }),
    (error: unknown) => port.postMessage({ ticket, failed: String(error) })
  )
})
port.postMessage({ ports: relays.map((relay) => relay.port) })
