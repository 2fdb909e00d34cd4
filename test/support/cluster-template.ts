/**
 * A data directory with the roles in it that was never started: what every node of every cluster is a copy of.
 * Made once per process for each way of making it. Nodes copied from it share their system identifier, as replicas must.
 */
import { join } from 'node:path'
import { type Installation, run } from './cluster-binaries.js'
import { homeDirectory } from './cluster-home.js'
import { type Authentication, ROLE_STATEMENTS } from './cluster-settings.js'

const made = new Map<string, Promise<string>>()

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
