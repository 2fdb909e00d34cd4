/**
 * The operating system's processes: who is whose child, who is alive, signals. Knows nothing of PostgreSQL.
 *
 * Linux tells it in /proc (a slim container has no `ps`); elsewhere `ps` is asked.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

export interface Process {
  readonly pid: number
  readonly parent: number
  /** The first letter of what `ps` shows as STAT: T is stopped, Z is dead but not yet collected by its parent. */
  readonly state: string
}

const HAS_PROC = existsSync('/proc/self/stat')

export function processes(): Process[] {
  if (!HAS_PROC) return processesByPs()
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => processByProc(Number(name)) ?? [])
}

/** The process with that pid, unless it is gone; a zombie is gone. */
export function findProcess(pid: number): Process | undefined {
  const found = HAS_PROC ? processByProc(pid) : processesByPs().find((each) => each.pid === pid)
  return found?.state === 'Z' ? undefined : found
}

export function childrenOf(parent: number): number[] {
  return processes().flatMap((each) => (each.parent === parent && each.state !== 'Z' ? [each.pid] : []))
}

export function descendantsOf(ancestor: number): number[] {
  return childrenOf(ancestor).flatMap((pid) => [pid, ...descendantsOf(pid)])
}

/** The words of its command line; none when the process is gone. */
export function commandOf(pid: number): string[] {
  try {
    if (HAS_PROC) return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8', stdio: 'pipe' }).split(' ')
  } catch {
    return [] // it ended while we looked
  }
}

export function signal(pids: Iterable<number>, name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name)
    } catch (error) {
      if (!isGone(error)) throw error
    }
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ESRCH'
}

function processByProc(pid: number): Process | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined // it ended while we looked
  }
  // "pid (name) state parent …", and the name may hold blanks and parentheses
  const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return state === undefined ? undefined : { pid, parent: Number(parent), state }
}

function processesByPs(): Process[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat='], { encoding: 'utf8' }).trim().split('\n')
  return lines.map((line) => {
    const [pid, parent, state] = line.trim().split(/\s+/)
    return { pid: Number(pid), parent: Number(parent), state: state?.[0] ?? '?' }
  })
}
