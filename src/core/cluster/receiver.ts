// How a replica's WAL receiver is written in the answers of probes and guards, in one line.

import { parseLsn } from './lsn.js'
import type { Receiver } from './sighting.js'

const FORM = /^(\d{1,10})(?: (\d{1,10}))?(?: ([a-z]{1,20}))?(?: ([0-9A-F]{1,8}\/[0-9A-F]{1,8}))?$/i

/**
 * Process, timeline and status, which a plain role may not see, and what it has received. A guard tells the first two only.
 * Null: there is none.
 */
export function receiverOf(text: string | null | undefined): Receiver | null {
  const match = FORM.exec(text ?? '')
  if (match === null) return null
  const [, pid, timeline = '0', status, received] = match
  return {
    pid: Number(pid),
    timeline: timeline === '0' ? null : Number(timeline),
    streaming: status === 'streaming',
    received: parseLsn(received),
  }
}
