// The CPU time of another process, from Linux's /proc. It comes in ticks of 10 ms, so measure long.

import { existsSync, readFileSync } from 'node:fs'
import { descendantsOf } from '../test/support/cluster-processes.js'

/** USER_HZ: the kernel shows no other value to programs. */
const TICK_MICROS = 10_000

/** In microseconds, with its children; not a number where there is no /proc. */
export function microsOf(pid: number): number {
  if (!existsSync('/proc/self/stat')) return Number.NaN
  return [pid, ...descendantsOf(pid)].reduce((sum, each) => sum + ticksOf(each), 0) * TICK_MICROS
}

function ticksOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // "pid (name) state …": utime and stime are fields 14 and 15, and the name may hold blanks.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return Number(fields[11]) + Number(fields[12])
  } catch {
    return 0 // it ended
  }
}
