// A role with no more connections than the pool's `max`: no statement hears of 53300 while the pool has a connection there.

import assert from 'node:assert/strict'
import type { Client } from 'pg'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, poolOn } from '../support/pools.js'

const SLOW = 'insert into items select 1 from pg_sleep(0.02)'

describe('a server that is full', () => {
  let cluster: Cluster
  let watcher: Client
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    watcher = await cluster.connect(0, 'postgres')
    await watcher.query('create table items (id int)')
    await watcher.query('grant all on items to app')
  })
  after(() => cluster.destroy())
  afterEach(async () => {
    await endPools()
    await watcher.query('alter role app connection limit -1')
    await watcher.query("select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = 'app'")
    // A login that was given up half-way has no name yet, and takes a place when it gets one.
    await eventually('no login is under way', async () => {
      const text =
        "select 1 from pg_stat_activity where backend_type = 'client backend' and coalesce(usename, 'app') = 'app'"
      return (await watcher.query(text)).rowCount === 0
    })
  })

  /** Replicas have the limit, too. */
  const limit = async (most: number) => {
    await watcher.query(`alter role app connection limit ${most}`)
    await cluster.caughtUp(1, 0)
  }
  const refusals = () => cluster.log(0).split('too many connections for role').length - 1

  for (const [name, nodes] of [
    ['one server', [0]],
    ['several servers', [0, 1]],
  ] as const) {
    for (const max of [1, 2, 10]) {
      it(`${name}, max ${max} is the CONNECTION LIMIT: bursts of ${2 * max}, cold and warm, lose nothing`, async () => {
        await limit(max)
        const pool = poolOn(cluster, { max, discovery: 'dns' }, 'app', nodes)
        for (let burst = 0; burst < 3; burst++) {
          const answers = await Promise.allSettled(Array.from({ length: 2 * max }, () => pool.query(SLOW)))
          assert.deepEqual(
            answers.flatMap((answer) => (answer.status === 'rejected' ? [String(answer.reason)] : [])),
            []
          )
        }
      })
    }
  }

  it('with one server the pool makes no connection more than its own: the server refuses none', async () => {
    await limit(5)
    const before = refusals()
    const pool = poolOn(cluster, { max: 5, discovery: 'dns', monitorIntervalMillis: 20 }, 'app', [0])
    for (let burst = 0; burst < 5; burst++) await Promise.all(Array.from({ length: 20 }, () => pool.query(SLOW)))
    assert.equal(refusals(), before)
    assert.ok(pool.topology().primary, 'it was looked at over an idle connection')
  })

  it('another process has the places: the number reached is the max, and the rest waits in line', async () => {
    await limit(4)
    const other = await Promise.all([cluster.connect(0), cluster.connect(0)])
    const pool = poolOn(cluster, { max: 4, discovery: 'dns' }, 'app', [0])
    const order: number[] = []
    await Promise.all(Array.from({ length: 12 }, (_, i) => pool.query(SLOW).then(() => order.push(i))))
    assert.equal(order.length, 12)
    assert.ok(pool.totalCount <= 2)
    for (const client of other) await client.end()
  })

  it('connectionTimeoutMillis bounds the wait, in the words of pg', async () => {
    await limit(1)
    const pool = poolOn(cluster, { max: 2, discovery: 'dns', connectionTimeoutMillis: 300 }, 'app', [0])
    const client = await pool.connect()
    await assert.rejects(pool.query('select 1'), {
      message: 'timeout exceeded when trying to connect',
      outcome: 'not-sent',
    })
    assert.equal(pool.waitingCount, 0)
    client.release()
    assert.equal((await pool.query('select 1')).rowCount, 1)
  })

  it('end() answers what waits in line', async () => {
    await limit(1)
    const pool = poolOn(cluster, { max: 2, discovery: 'dns' }, 'app', [0])
    const client = await pool.connect()
    const waits = assert.rejects(pool.query('select 1'), { outcome: 'not-sent' })
    while (pool.waitingCount === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    const end = pool.end()
    await waits
    client.release()
    await end
  })

  it('without a connection of its own there, 53300 is shown at once', async () => {
    await limit(1)
    const other = await cluster.connect(0)
    const pool = poolOn(cluster, { max: 2, discovery: 'dns' }, 'app', [0])
    await assert.rejects(pool.query('select 1'), { code: '53300', outcome: 'not-sent' })
    await other.end()
  })
})
