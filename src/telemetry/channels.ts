// Three tracing channels of Node's diagnostics_channel, for subscribers in this process. Messages hold no value of a statement, but
// for what an error says. https://nodejs.org/api/diagnostics_channel.html#class-tracingchannel

import { tracingChannel } from 'node:diagnostics_channel'
import type { NodeKey } from '../core/cluster/address.js'
import type { Phase } from '../core/cluster/outage.js'
import type { TopologySnapshot } from '../report/types.js'
import type { Journey } from './journey.js'

/** The topology has changed. The pool's own listeners of `topology` run between `start` and `end`. */
export interface TopologyChange {
  readonly after: TopologySnapshot
  readonly before: TopologySnapshot
}

/** From the loss of the primary (`start`) until there is one again, or the pool ends (`asyncEnd`). */
export interface FailoverProgress {
  /** `host:port` */
  readonly from: NodeKey | null
  /** Null until it is over, and if the pool ended first. The same as `from`: it came back. */
  to: NodeKey | null
  /** From the first sign of trouble, in milliseconds. */
  millis: number | null
  phases: readonly Phase[]
}

export const channels = {
  statement: tracingChannel<Journey, Journey>('pgherd:statement'),
  topology: tracingChannel<TopologyChange, TopologyChange>('pgherd:topology'),
  failover: tracingChannel<FailoverProgress, FailoverProgress>('pgherd:failover'),
}

/**
 * Does what `tracePromise()` does, without the result: that has the rows. Subscribers find what became of the statement in its
 * journey, which is the same object in every event.
 */
export async function traced<T>(journey: Journey, run: () => Promise<T>): Promise<T> {
  const { start, end, asyncStart, asyncEnd, error } = channels.statement
  const answer = start.runStores(journey, () => {
    const answered = run()
    end.publish(journey)
    return answered
  })
  try {
    return await answer
  } catch (failure) {
    journey.error = failure
    error.publish(journey)
    throw failure
  } finally {
    asyncStart.publish(journey)
    asyncEnd.publish(journey)
  }
}
