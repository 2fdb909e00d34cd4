/**
 * Builds a cluster: finds PostgreSQL, makes the directories, and removes everything again when a server does not start.
 */
import { chownSync, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { type Installation, installation } from './binaries.js'
import { homeDirectory } from './home.js'
import type { BuildOptions, LiveCluster } from './live.js'
import { Server } from './server.js'

type Kind<T> = new (servers: readonly Server[], directory: string, postgres: Installation) => T

/** `kind` is the class of the cluster: one may have more that can be done to its nodes than LiveCluster has. */
export async function build<T extends LiveCluster>(options: BuildOptions, kind: Kind<T>): Promise<T> {
  const postgres = await installation()
  const directory = mkdtempSync(join(homeDirectory(postgres.owner), 'cluster-'))
  if (postgres.owner) chownSync(directory, postgres.owner.uid, postgres.owner.gid)
  const ca = options.certificates?.authority
  const servers = Array.from({ length: 1 + (options.replicas ?? 2) }, (_, index) => {
    const [host, port] = [options.hosts?.[index] ?? '127.0.0.1', options.ports?.[index]]
    return new Server({ index, host, port, cluster: directory, installation: postgres, ca })
  })
  const cluster = new kind(servers, directory, postgres)
  try {
    await cluster.create(options)
    return cluster
  } catch (error) {
    await cluster.destroy()
    throw error
  }
}
