/**
 * A data directory with the roles in it that was never started: what every node of every cluster is a copy of.
 * Made once per process for each way of making it. Nodes copied from it share their system identifier, as replicas must.
 *
 * Directories of destroyed nodes are kept for the next ones, to be written over: ext4 looks for a new file's inode past
 * all those freed in the last minute (recently_deleted() in fs/ext4/ialloc.c), which made each further cluster of a
 * test run slower, by seconds. They go when the process ends, with the rest of its directory.
 */
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Installation, run } from './binaries.js'
import { homeDirectory } from './home.js'
import { ROLE_STATEMENTS } from './settings.js'
import type { Authentication } from './types.js'

const made = new Map<string, Promise<string>>()
const spent: string[] = []
let kept = 0

export function template(
  from: Installation,
  segmentMegabytes: number,
  authentication: Authentication
): Promise<string> {
  // A password kept as SCRAM would make the method md5 of pg_hba.conf speak SCRAM too.
  const encryption = authentication === 'md5' ? 'md5' : 'scram-sha-256'
  const key = `template-${segmentMegabytes}-${encryption}`
  const directory = made.get(key) ?? make(from, key, segmentMegabytes, encryption)
  made.set(key, directory)
  return directory
}

async function make({ bin, owner }: Installation, name: string, segmentMegabytes: number, encryption: string) {
  const directory = join(homeDirectory(owner), name)
  const locale = ['--encoding=UTF8', '--no-locale']
  await run(
    join(bin, 'initdb'),
    ['-D', directory, '-U', 'postgres', '-A', 'trust', '-N', `--wal-segsize=${segmentMegabytes}`, ...locale],
    owner
  )
  const single = ['--single', '-F', '-D', directory, '-c', `password_encryption=${encryption}`, 'postgres']
  const printed = await run(join(bin, 'postgres'), single, owner, `${ROLE_STATEMENTS.join('\n')}\n`)
  if (/ERROR|FATAL|PANIC/.test(printed)) throw new Error(`could not create the roles\n${printed}`)
  return directory
}

export async function copyTemplate(origin: string, directory: string, { owner }: Installation): Promise<void> {
  const old = spent.pop()
  if (old === undefined) {
    await run('cp', ['-a', origin, directory], owner)
    return
  }
  renameSync(old, directory)
  removeOthers(directory, origin)
  await run('cp', ['-a', `${origin}/.`, directory], owner)
}

/** Gives the directory of a node that ended to a later one. */
export function recycle(directory: string, { owner }: Installation): void {
  if (!existsSync(directory)) return
  kept += 1
  const place = join(homeDirectory(owner), `spent-${kept}`)
  renameSync(directory, place)
  spent.push(place)
}

/** Removes what the origin has not. */
function removeOthers(directory: string, origin: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const [mine, its] = [join(directory, entry.name), join(origin, entry.name)]
    if (!existsSync(its)) rmSync(mine, { recursive: true })
    else if (entry.isDirectory()) removeOthers(mine, its)
  }
}
