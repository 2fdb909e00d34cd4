// How a replica's WAL receiver is written in the answers of probes and guards, in one line.

import { parseLsn } from './lsn.js'
import type { Receiver } from './node.js'

/** Process, timeline, whether it streams, and what it has received. A guard tells the first two only. */
export function receiverOf(text: string | null | undefined): Receiver | null {
  if (text === null || text === undefined || text === '') return null
  const [pid, timeline = '0', streaming, received] = text.split(' ')
  return {
    pid: Number(pid),
    timeline: timeline === '0' ? null : Number(timeline),
    streaming: streaming === 't',
    received: parseLsn(received),
  }
}
