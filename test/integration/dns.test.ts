// Servers that come and go by DNS alone: a name server of the application's choosing, records SRV with ports, while reads go on.

import assert from 'node:assert/strict'
import { dns, type Pool } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { type DnsServer, startDns } from '../support/dns-server.js'
import { endPools, eventually, keyOf, served, tracked } from '../support/pools.js'

const SERVICE = '_postgresql._tcp.pg.test'

describe('servers that DNS names', () => {
  let cluster: Cluster
  let names: DnsServer
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
    const admin = await cluster.connect(0)
    await admin.query('create table ledger (id int not null)')
    await admin.end()
    for (const index of [1, 2]) await cluster.caughtUp(index, 0)
    names = await startDns({ 'node.pg.test': { a: ['127.0.0.1'] } })
  })
  afterEach(endPools)
  after(async () => {
    await names?.close()
    await cluster?.destroy()
  })

  function name(...nodes: readonly number[]): void {
    names.zone.set(SERVICE, { srv: nodes.map((index) => ({ name: 'node.pg.test', port: cluster.node(index).port })) })
  }
  function poolBy(): Pool {
    const { user, password, database } = cluster.config(0)
    return tracked({
      user,
      password,
      database,
      host: 'pg.test',
      discovery: dns({ servers: [names.address], srv: true }),
    })
  }
  const listed = (pool: Pool) =>
    pool
      .topology()
      .nodes.map(({ key }) => key)
      .sort()
  const keys = (...nodes: readonly number[]) => nodes.map((index) => keyOf(cluster, index)).sort()
  const serves = (pool: Pool, index: number) => {
    const before = served(pool)[keyOf(cluster, index)] ?? 0
    return eventually(`node ${index} serves`, () => (served(pool)[keyOf(cluster, index)] ?? 0) > before)
  }

  /** Reads without a pause until `work` is over. */
  async function reading(pool: Pool, work: () => Promise<void>): Promise<void> {
    let over = false
    const read = async () => {
      while (!over) await pool.query('select count(*) from ledger')
    }
    const reads = [read(), read()]
    for (const each of reads) each.catch(() => {})
    try {
      await work()
    } finally {
      over = true
    }
    await Promise.all(reads)
  }

  it('a replica that is added serves, one that is removed is forgotten, and no read fails', async () => {
    name(0, 1)
    const pool = poolBy()
    await pool.ready({ replicas: 1 })
    assert.deepEqual(listed(pool), keys(0, 1))
    await reading(pool, async () => {
      name(0, 1, 2)
      await serves(pool, 2)
      name(0, 2)
      await eventually('it is forgotten', () => !listed(pool).includes(keyOf(cluster, 1)))
      await serves(pool, 2)
    })
    assert.deepEqual(listed(pool), keys(0, 2))
    assert.ok(pool.topology().nodes.every((node) => node.name === 'pg.test' && node.foundBy === 'dns'))
  })

  for (const mode of ['servfail', 'nxdomain', 'silent'] as const) {
    it(`${mode}: the last servers stay, and are used`, async () => {
      name(0, 1)
      const pool = poolBy()
      await pool.ready({ replicas: 1 })
      names.mode = mode
      try {
        await reading(pool, () => eventually('it is noticed', () => Object.keys(pool.topology().blind).length === 1))
        await pool.query('insert into ledger values (1)')
        assert.deepEqual(listed(pool), keys(0, 1))
      } finally {
        names.mode = 'ok'
      }
      await reading(pool, () => eventually('it is over', () => Object.keys(pool.topology().blind).length === 0))
    })
  }

  it('the primary is gone, and the name leads to the new one: the write that waited is done there', async () => {
    name(0, 1)
    const pool = poolBy()
    await pool.ready({ replicas: 1 })
    await cluster.kill(0)
    await cluster.promote(2)
    const write = pool.query('insert into ledger values (2)')
    name(1, 2)
    assert.equal((await write).rowCount, 1)
    assert.equal(pool.topology().primary, keyOf(cluster, 2))
  })
})
