// The names by which an application means nodes.

import { keyOf, type NodeAddress, type NodeKey } from '../core/cluster/address.js'
import type { Topology } from '../core/cluster/topology.js'

/** The nodes that the application means by `host:port`: the node of this name, or all addresses of a host of this name. */
export function namedSo({ nodes }: Topology, name: string): readonly NodeKey[] {
  if (nodes.has(name as NodeKey)) return [name as NodeKey]
  const isOf = ({ servername, port }: NodeAddress) => servername !== null && keyOf({ host: servername, port }) === name
  return [...nodes.values()].filter(({ address }) => isOf(address)).map(({ key }) => key)
}
