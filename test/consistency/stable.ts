// Keeps the one cluster that runs now, and hands it from scenario to scenario as long as their settings are the same.

import { type Cluster, type ClusterOptions, startCluster } from '../support/cluster.js'
import type { Combination } from './scenario.js'

const TABLE = `drop table if exists counters;
create table counters (writer int primary key, value int not null) with (fillfactor = 20);
create or replace function set_counter(int, int) returns void language sql volatile
  as 'update counters set value = $2 where writer = $1';`

export class Stable {
  #cluster: Cluster | null = null
  #settings = ''

  async lead(options: ClusterOptions): Promise<Cluster> {
    const settings = JSON.stringify(options)
    if (this.#cluster !== null && settings === this.#settings) return this.#cluster
    await this.clear()
    this.#settings = settings
    this.#cluster = await startCluster(options)
    return this.#cluster
  }

  async clear(): Promise<void> {
    const cluster = this.#cluster
    this.#cluster = null
    await cluster?.destroy()
  }
}

/** Every counter at 0, commits as the combination has them, and all replicas with it. */
export async function furnish(cluster: Cluster, counters: number, { commit }: Combination): Promise<void> {
  const admin = await cluster.connect(0, 'postgres')
  await admin.query(`alter system set synchronous_commit = ${commit}`)
  await admin.end()
  await cluster.reload(0)
  const client = await cluster.connect(0)
  await client.query('set synchronous_commit = on')
  await client.query(TABLE)
  await client.query('insert into counters select i, 0 from generate_series(0, $1::int) i', [counters - 1])
  await client.end()
  await Promise.all(cluster.nodes.slice(1).map(({ index }) => cluster.caughtUp(index, 0)))
}
