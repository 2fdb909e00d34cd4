/**
 * A program: waits until the process that started it has ended, then kills what that process left running and
 * removes its directory. It never looks at anything outside the directory named by its argument.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { commandOf, descendantsOf, findProcess, processes, signal } from './processes.js'
import { until } from './wait.js'

/** pgbouncer and pgpool: pgherd's own tests run them there, too. */
const PROGRAMS = new Set(['postgres', 'initdb', 'pg_ctl', 'cp', 'pgbouncer', 'pgpool'])

/** Programs running on something in the directory, and all they started: initdb runs a shell that runs postgres. */
function programsIn(directory: string): number[] {
  const found = processes()
    .filter(({ pid, state }) => state !== 'Z' && isProgramIn(directory, pid))
    .map(({ pid }) => pid)
  signal(found, 'SIGSTOP') // so that it forks no more children while they are counted
  return found.flatMap((pid) => [pid, ...descendantsOf(pid)])
}

function isProgramIn(directory: string, pid: number): boolean {
  const [program, ...rest] = commandOf(pid)
  return program !== undefined && PROGRAMS.has(basename(program)) && rest.some((word) => word.includes(directory))
}

/** Backends whose postmaster was killed alone: no parent leads to them, so each cluster writes them down. */
function orphansIn(directory: string): number[] {
  return readdirSync(directory)
    .map((name) => join(directory, name, 'orphans'))
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, 'utf8').trim().split('\n').map(Number))
    .filter((pid) => findProcess(pid) && commandOf(pid)[0]?.startsWith('postgres'))
}

async function cleanUp(directory: string): Promise<void> {
  await until('the servers to end and their files to go', () => {
    if (!existsSync(directory)) return true
    const left = [...programsIn(directory), ...orphansIn(directory)]
    signal(left, 'SIGKILL')
    return left.length === 0 && isRemoved(directory)
  })
}

function isRemoved(directory: string): boolean {
  try {
    rmSync(directory, { recursive: true, force: true })
    return true
  } catch {
    return false // a process that ends is still writing there; another look follows
  }
}

const [, , directory] = process.argv
if (directory === undefined) throw new Error('usage: watcher <directory>')
process.stdin.on('error', () => undefined) // a reset is an end as well; 'close' follows
process.stdin.once('close', () => void cleanUp(directory))
process.stdin.resume()
