// reduce(), whose failure the process must survive. Where no picture can be made of an event, the node that the event is about counts
// as failed, as if its probe had failed.

import type { NodeKey } from '../core/cluster/address.js'
import { type Failure, failureOf } from '../core/cluster/failure.js'
import type { Node } from '../core/cluster/node.js'
import { reduce } from '../core/cluster/reduce.js'
import type { Topology, TopologyEvent } from '../core/cluster/topology.js'
import type { Clock } from '../runtime/clock.js'

/** `defect` is told what reduce() threw. */
export function folded(
  topology: Topology,
  event: TopologyEvent,
  clock: Pick<Clock, 'now'>,
  defect: (error: unknown) => void
): Topology {
  try {
    return reduce(topology, event)
  } catch (error) {
    defect(error)
    return instead(topology, event, clock, { ...failureOf(error, 'connect'), kind: 'lost', accuses: true })
  }
}

function instead(topology: Topology, event: TopologyEvent, clock: Pick<Clock, 'now'>, failure: Failure): Topology {
  try {
    if (event.kind === 'probed') return reduce(topology, { ...event, result: { kind: 'failure', failure } })
    if (event.kind === 'discovered') return reduce(topology, { ...event, kind: 'discovery-failed', failure })
  } catch {
    // No event can be folded into this picture any more.
  }
  return 'key' in event ? suspected(topology, event.key, { since: clock.now(), failure }) : topology
}

/** No statement is sent there before the node has answered a probe with an answer that can be folded. */
function suspected(topology: Topology, key: NodeKey, suspect: NonNullable<Node['suspect']>): Topology {
  const node = topology.nodes.get(key)
  if (node === undefined || node.suspect !== null) return topology
  return { ...topology, nodes: new Map(topology.nodes).set(key, { ...node, suspect }) }
}
