/**
 * What befalls servers in our own tests only: a postmaster killed alone, a crash of one backend, an upstream taken away.
 */
import { appendFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { heal } from '../../src/testing/harm.js'
import { findProcess, signal } from '../../src/testing/processes.js'
import type { Server } from '../../src/testing/server.js'

/** Pids written there are killed by the watcher: no parent leads to them any more. */
const ORPHANS_FILE = 'orphans'

export async function killPostmaster(server: Server): Promise<void> {
  const [postmaster, ...children] = server.family()
  if (postmaster === undefined) return
  for (const pid of children) server.orphans.add(pid)
  appendFileSync(join(dirname(server.directory), ORPHANS_FILE), children.map((pid) => `${pid}\n`).join(''))
  signal([postmaster], 'SIGKILL')
  await server.until('to end', () => !server.running)
}

/** Kills the server process of one session: the postmaster then ends all others and recovers. */
export function crash(server: Server): Promise<void> {
  return server.session(async (client) => {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    const pids = rows.map(({ pid }) => pid)
    signal(pids, 'SIGKILL')
    await server.until('to notice the crash', () => !pids.some(findProcess))
  })
}

/** Takes the upstream away; resolves when nothing is received any more. */
export async function unplug(server: Server): Promise<void> {
  heal(server)
  server.writeUpstream(undefined)
  if (server.installation.major >= 13) server.hangUp()
  else {
    await server.stop('fast')
    await server.start()
  }
  await server.askUntil<{ count: number }>(
    'to stop receiving',
    'select count(*)::int from pg_stat_wal_receiver',
    (row) => row?.count === 0
  )
}
