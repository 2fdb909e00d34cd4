// A host name -> every address it has, each a node of its own. Uses the system's resolver, as pg does, so that
// /etc/hosts counts. The name stays with the address: the server's certificate must carry it.

import { lookup } from 'node:dns/promises'
import { type NodeAddress, type Traits, traitsOf } from '../core/cluster/address.js'
import type { Discovery } from './discovery.js'

export type Lookup = (host: string) => Promise<readonly { readonly address: string }[]>

const system: Lookup = (host) => lookup(host, { all: true })

interface Name extends Traits {
  readonly host: string
  readonly port: number
}

export function dns(name: Name, resolve: Lookup = system): Discovery {
  const { host, port } = name
  const traits = traitsOf(name)
  return {
    name: `dns ${host}:${port}`,
    async discover() {
      const found = await resolve(host)
      return found.map(
        ({ address }): NodeAddress => ({ host: address, port, servername: host, origin: 'configured', ...traits })
      )
    },
  }
}
