// Replicas found through the primary's pg_stat_replication, and what a node that nobody named may not have: a readable password.

import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ReplicaRow, replication } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn, served } from '../support/pools.js'

/** On one machine all replicas come from one address: only their names tell them apart. */
const byNameIn = (cluster: Cluster) =>
  replication({
    address: ({ name }: ReplicaRow) => {
      const node = cluster.nodes.find((each) => each.name === name)
      return node === undefined ? null : { host: node.host, port: node.port }
    },
  })

describe('discovery by replication', () => {
  let cluster: Cluster
  let byName: ReturnType<typeof byNameIn>
  before(async () => {
    cluster = await startCluster({ replicas: 2, auth: 'scram-sha-256' })
    byName = byNameIn(cluster)
    await cluster.streaming(0, 2)
  })
  after(() => cluster.destroy())
  afterEach(endPools)

  const states = (pool: ReturnType<typeof poolOn>) =>
    Object.fromEntries(pool.topology().nodes.map(({ key, state, origin }) => [key, `${origin} ${state}`]))

  it('one configured host is enough: its replicas serve reads', async () => {
    const pool = poolOn(cluster, { discovery: byName }, 'monitor', [0])
    await pool.ready({ replicas: 2 })
    assert.deepEqual(states(pool), {
      [keyOf(cluster, 0)]: 'configured primary',
      [keyOf(cluster, 1)]: 'discovered replica',
      [keyOf(cluster, 2)]: 'discovered replica',
    })
    for (let i = 0; i < 100; i++) await pool.query('select 1')
    assert.ok((served(pool)[keyOf(cluster, 1)] ?? 0) + (served(pool)[keyOf(cluster, 2)] ?? 0) >= 90)
  })

  it('beside several configured hosts they are only shown', async () => {
    const pool = poolOn(cluster, {}, 'monitor', [0, 1])
    await pool.ready({ replicas: 1 })
    // Without a mapper every replica on this machine looks like the primary's own address: nothing new is shown.
    assert.deepEqual(Object.keys(states(pool)).sort(), [keyOf(cluster, 0), keyOf(cluster, 1)].sort())
    const named = poolOn(cluster, { discovery: byName }, 'monitor', [0, 1])
    await named.ready({ replicas: 2 })
    assert.equal(states(named)[keyOf(cluster, 2)], 'discovered replica')
  })

  it('onDiscover keeps an address out', async () => {
    const unwanted = cluster.node(2).port
    const pool = poolOn(cluster, { discovery: byName, onDiscover: ({ port }) => port !== unwanted }, 'monitor', [0])
    await pool.ready({ replicas: 1 })
    assert.equal(states(pool)[keyOf(cluster, 2)], undefined)
  })

  it('a plain role sees no addresses: nothing is found, and the one host serves', async () => {
    const pool = poolOn(cluster, { discovery: byName }, 'app', [0])
    await pool.ready()
    assert.deepEqual((await pool.query('select 1 as n')).rows, [{ n: 1 }])
    assert.deepEqual(Object.keys(states(pool)), [keyOf(cluster, 0)])
  })

  for (const method of ['password', 'md5']) {
    it(`a found node that asks for a readable password (${method}) gets none, a configured one does`, async () => {
      // An md5 hash is asked for only where the role's stored password is one.
      const encryption = method === 'md5' ? 'md5' : 'scram-sha-256'
      const admin = await cluster.connect(0, 'postgres')
      await admin.query(`set password_encryption = '${encryption}'; alter role monitor password 'monitor'`)
      await cluster.caughtUp(2, 0)
      for (const { index, directory } of cluster.nodes) {
        const file = join(directory, 'pg_hba.conf')
        const rules = await readFile(file, 'utf8')
        await writeFile(file, rules.replaceAll(/(scram-sha-256|password|md5)$/gm, index === 2 ? method : encryption))
        await cluster.reload(index)
      }
      const pool = poolOn(cluster, { discovery: byName }, 'monitor', [0])
      await pool.ready()
      await eventually('the found node was asked and refused', () => {
        const node = pool.topology().nodes.find(({ key }) => key === keyOf(cluster, 2))
        return /asks for .* password; it is refused/.test(node?.failure ?? '')
      })
      const named = poolOn(cluster, {}, 'monitor', [0, 2])
      await named.ready({ replicas: 1 })
    })
  }
})

describe('discovery by replication and failover', () => {
  it('a found replica takes over from the one configured host, and that one comes back as a replica', async () => {
    const cluster = await startCluster({ replicas: 2 })
    try {
      await cluster.streaming(0, 2)
      const pool = poolOn(cluster, { discovery: byNameIn(cluster) }, 'monitor', [0])
      await pool.ready({ replicas: 2 })
      await pool.query('create table moved (id int)')
      await cluster.kill(0)
      await cluster.promote(1)
      await pool.query('insert into moved values (1)')
      assert.equal(pool.topology().primary, keyOf(cluster, 1))
      await cluster.follow(2, 1)
      await cluster.follow(0, 1).catch(() => cluster.reclone(0, 1))
      await pool.ready({ replicas: 2 })
    } finally {
      await Promise.all([endPools(), cluster.destroy()])
    }
  })
})
