// The contract's servers: two clusters for all files of a run, one of a single server and one of a primary with a replica.

import { type AddressInfo, createServer } from 'node:net'
import { type Cluster, startCluster } from '../support/cluster.js'

/** A role of the contract's own: the password must differ from every other word, to be looked for. */
export const ROLE = { user: 'contract', password: 'contract-secret-word', database: 'app' } as const

const SIZES = [0, 1] as const
export type Replicas = (typeof SIZES)[number]

const clusters = new Map<Replicas, Cluster>()
let starting: Promise<unknown> | undefined

/** Resolves when all of them run. Starts them when it is called for the first time. */
export function startServers(): Promise<unknown> {
  starting ??= Promise.all(SIZES.map(start))
  return starting
}

export function clusterOf(replicas: Replicas): Cluster {
  const cluster = clusters.get(replicas)
  if (cluster === undefined) throw new Error('no servers yet')
  return cluster
}

/** A port that nobody listens on. */
export async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function start(replicas: Replicas): Promise<void> {
  const cluster = await startCluster({ replicas, auth: 'scram-sha-256' })
  clusters.set(replicas, cluster)
  const admin = await cluster.connect(0, 'postgres')
  // The many connections of a run should not spend their time on hashing.
  if (cluster.major >= 16) await admin.query('set scram_iterations = 1')
  await admin.query(`create role ${ROLE.user} login password '${ROLE.password}' in role app`)
  await admin.end()
  const app = await cluster.connect(0)
  await app.query('create table items (id int primary key, name text)')
  await app.query("insert into items values (1, 'tea'), (2, 'salt'), (3, 'rope')")
  await app.end()
  if (replicas > 0) await cluster.caughtUp(1, 0)
}

// Outside of any suite: when the last test of the run is over.
after(async () => {
  await starting
  await Promise.all([...clusters.values()].map((cluster) => cluster.destroy()))
})
