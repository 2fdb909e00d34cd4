/**
 * What can befall the processes of a server: killed, frozen, cut off. By signals; the server is never asked
 * to do it to itself.
 */
import { findProcess, signal } from './processes.js'
import type { Server } from './server.js'

const END_MILLIS = 3000

export async function kill(server: Server): Promise<void> {
  signal(server.family().slice(0, 1), 'SIGSTOP') // so that it forks no more while its children are counted
  const family = [...server.family(), ...server.orphans]
  signal(family, 'SIGKILL')
  await server.until('to be gone', () => !server.running && !family.some(findProcess))
  server.orphans.clear()
  server.remove('postmaster.pid') // its pid may soon be another process's, and then no start succeeds
}

export async function freeze(server: Server): Promise<void> {
  signal(server.family().slice(0, 1), 'SIGSTOP')
  await server.until('to be frozen', () => {
    const family = server.family()
    signal(family, 'SIGSTOP')
    return family.every((pid) => isStopped(pid) || !findProcess(pid))
  })
}

/** What was cut stays cut. */
export function thaw(server: Server): void {
  const family = server.family().filter((pid) => !server.cutOff.has(pid))
  signal(family.reverse(), 'SIGCONT')
}

export function isFrozen(server: Server): boolean {
  return server.pid !== undefined && isStopped(server.pid)
}

function isStopped(pid: number): boolean {
  return findProcess(pid)?.state === 'T'
}

/** Stops the process that receives WAL; its connection stays open and silent. */
export function cut(server: Server): Promise<void> {
  return server.session(async (client) => {
    const pid = await server.until('to have a walreceiver', async () => {
      const { rows } = await client.query<{ pid: number }>('select pid from pg_stat_wal_receiver')
      return rows[0]?.pid
    })
    server.cutOff.add(pid)
    signal([pid], 'SIGSTOP')
    await server.until('to be cut off', () => isStopped(pid))
  })
}

export function heal(server: Server): void {
  if (server.running) signal(server.cutOff, 'SIGCONT')
  server.cutOff.clear()
}

/** Whatever state it is in. */
export async function end(server: Server): Promise<void> {
  signal(server.family().reverse(), 'SIGCONT')
  signal(server.family().slice(0, 1), 'SIGQUIT')
  await server.until('to end', () => !server.running, END_MILLIS).catch(() => undefined) // then by force
  await kill(server)
}
