// What users get wrong, and the error they read: at once where no waiting helps, always with the cure.

import assert from 'node:assert/strict'
import { PgherdError } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, keyOf, poolOn, tracked } from '../support/pools.js'

describe('bad input', () => {
  let cluster: Cluster
  let other: Cluster
  before(async () => {
    const auth = 'scram-sha-256'
    // Its own initdb, so its own system identifier.
    ;[cluster, other] = await Promise.all([
      startCluster({ replicas: 1, auth }),
      startCluster({ replicas: 0, auth, walSegmentMegabytes: 4 }),
    ])
  })
  after(() => Promise.all([cluster.destroy(), other.destroy()]))
  afterEach(endPools)

  it('a wrong password: 28P01 at once, from query and connect, as the server said it', async () => {
    const pool = poolOn(cluster, { password: 'wrong', failoverTimeoutMillis: 60_000 })
    await assert.rejects(pool.query('insert into t values (1)'), { code: '28P01' })
    await assert.rejects(pool.connect(), { code: '28P01' })
    await assert.rejects(pool.query('select 1'), { code: '28P01' })
  })

  it('unreachable hosts: PGHERD_NO_PRIMARY with a line for each and the cause', async () => {
    const pool = tracked({ host: '127.0.0.1,127.0.0.2', port: 9, failoverTimeoutMillis: 300 })
    await assert.rejects(pool.query('select 1'), (error: unknown) => {
      assert.ok(error instanceof PgherdError)
      assert.equal(error.code, 'PGHERD_NO_PRIMARY')
      assert.match(error.message, /failoverTimeoutMillis \(300 ms\)/)
      assert.match(error.message, /127\.0\.0\.1:9: down .*ECONNREFUSED/)
      assert.match(error.message, /127\.0\.0\.2:9: down .*ECONNREFUSED/)
      assert.equal(error.outcome, 'not-sent')
      assert.equal(error.nodes.size, 2)
      return true
    })
  })

  it('two clusters in one list: PGHERD_MIXED_CLUSTERS at once, with both identifiers and the cure', async () => {
    const nodes = [cluster.config(0), other.config(0)]
    const { user, password, database } = cluster.config(0)
    const pool = tracked({
      ...{ user, password, database },
      host: nodes.map(({ host }) => host),
      port: nodes.map(({ port }) => port),
      failoverTimeoutMillis: 60_000,
    })
    await assert.rejects(pool.query('create table t (id int)'), (error: unknown) => {
      assert.ok(error instanceof PgherdError)
      assert.equal(error.code, 'PGHERD_MIXED_CLUSTERS')
      assert.match(error.message, /Keep only the hosts of one cluster/)
      assert.match(error.message, new RegExp(`${keyOf(cluster, 0)}: .*\\d{15}`))
      return true
    })
  })

  it('a single host that is a replica: the server says so itself', async () => {
    const pool = poolOn(cluster, {}, 'app', [1])
    await assert.rejects(pool.query('create table t (id int)'), { code: '25006' })
  })

  it('an unknown database: 3D000 at once', async () => {
    await assert.rejects(poolOn(cluster, { database: 'nowhere' }).query('select 1'), { code: '3D000' })
  })
})
