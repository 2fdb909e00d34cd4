// Planned work on a server: drain() leaves it alone without a single error, health() tells a readiness probe what is left.

import assert from 'node:assert/strict'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn } from '../support/pools.js'

describe('maintenance', () => {
  let cluster: Cluster
  beforeEach(async () => {
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
    const setter = poolOn(cluster, {}, 'app', [0])
    await setter.query('create table ledger (id int not null)')
    await endPools()
  })
  afterEach(async () => {
    await endPools()
    await cluster.destroy()
  })

  const sessions = async (index: number) => {
    const client = await cluster.connect(index, 'postgres')
    const text = "select count(*)::int as n from pg_stat_activity where usename = 'app' and application_name = 'work'"
    const { rows } = await client.query<{ n: number }>(text)
    await client.end()
    return rows[0]?.n
  }

  it('a replica is drained under reads: they go on elsewhere, no connection is left, and resume() takes it back', async () => {
    const pool = poolOn(cluster, { application_name: 'work' })
    await pool.ready({ replicas: 2 })
    const [drained, key] = [1, keyOf(cluster, 1)]
    let stop = false
    let reads = 0
    const readers = Array.from({ length: 8 }, async () => {
      while (!stop) {
        await pool.query('select count(*) from ledger')
        reads++
      }
    })
    await eventually('it is read from', () => pool.decisions().some(({ node }) => node === key))
    await pool.drain(key)
    assert.equal(pool.topology().nodes.find((node) => node.key === key)?.draining, true)
    await eventually('no session is left', async () => (await sessions(drained)) === 0)
    const before = reads
    await cluster.stop(drained, 'fast')
    await eventually('reads go on', () => reads > before + 100)
    await cluster.start(drained)
    pool.resume(key)
    await eventually('it serves again', () => pool.explain('select count(*) from ledger').refused[key] === undefined)
    stop = true
    await Promise.all(readers)
  }).timeout(30_000)

  it('waits for what is out, tells what that is in time, and closes every connection', async () => {
    const pool = poolOn(cluster, { application_name: 'work' })
    await pool.ready()
    const key = keyOf(cluster, 0)
    const client = await pool.connect()
    await client.query('begin')
    await client.query('insert into ledger values (1)')
    await assert.rejects(pool.drain(key, { timeoutMillis: 50 }), { code: 'PGHERD_BUSY', message: /^1 connections to / })
    const waiting = pool.query('insert into ledger values (2)')
    const drained = pool.drain(key)
    await client.query('commit')
    client.release()
    await drained
    await eventually('no session is left', async () => (await sessions(0)) === 0)
    assert.deepEqual([pool.health().writable, pool.health().waiting], [false, 1])
    pool.resume(key)
    await waiting
    assert.deepEqual([pool.health().writable, pool.health().waiting, pool.health().waited > 0], [true, 0, true])
    await assert.rejects(pool.drain('nowhere:1'), /there is no node nowhere:1: known are /)
  })

  it('a server that freezes while it is drained is given up, and what runs there ends', async () => {
    const pool = poolOn(cluster, { silentMillis: 300 })
    await pool.ready()
    const slow = assert.rejects(pool.query('insert into ledger select 1 from pg_sleep(60)'), { outcome: 'unknown' })
    const watcher = await cluster.connect(0, 'postgres')
    await eventually('it runs', async () => {
      const text = "select 1 from pg_stat_activity where usename = 'app' and state = 'active' and query like 'insert%'"
      return (await watcher.query(text)).rowCount === 1
    })
    const drained = pool.drain(keyOf(cluster, 0))
    await cluster.freeze(0)
    await Promise.all([drained, slow])
    await cluster.thaw(0)
  })

  it('a planned switchover behind drain() costs no write an error, and none is lost or doubled', async () => {
    const pool = poolOn(cluster, { application_name: 'work' }, 'monitor')
    await pool.ready({ replicas: 2 })
    await pool.query('truncate ledger')
    let stop = false
    let next = 0
    const written: number[] = []
    const writers = Array.from({ length: 4 }, async () => {
      while (!stop) {
        const id = ++next
        await pool.query('insert into ledger values ($1)', [id])
        written.push(id)
      }
    })
    await eventually('writes run', () => written.length > 50)
    await pool.drain(keyOf(cluster, 0))
    await cluster.switchover(1)
    const before = written.length
    await eventually('writes go on', () => written.length > before + 50)
    stop = true
    await Promise.all(writers)
    const { rows } = await pool.query<{ id: number }>('/* pgherd:primary */ select id from ledger order by id')
    assert.deepEqual(
      rows.map(({ id }) => id),
      written.sort((a, b) => a - b)
    )
    assert.equal(pool.health().primary, keyOf(cluster, 1))
  }).timeout(30_000)

  it('a host that was configured may be drained before anything was looked at', async () => {
    const replica = keyOf(cluster, 1)
    const pool = poolOn(cluster)
    await pool.drain(replica)
    await pool.ready({ replicas: 1 })
    assert.deepEqual(
      pool.topology().nodes.flatMap(({ key, draining }) => (draining ? [key] : [])),
      [replica]
    )
    pool.resume(replica)
    await pool.ready({ replicas: 2 })
    await assert.rejects(pool.drain('nowhere:1'), /there is no node nowhere:1: known are/)
    assert.throws(() => pool.resume('nowhere:1'), TypeError)
  }).timeout(30_000)

  it('ready() tells what it has waited for, and what was there', async () => {
    const pool = poolOn(cluster)
    await assert.rejects(pool.ready({ replicas: 9, timeoutMillis: 1500 }), (error: Error) => {
      assert.equal(Reflect.get(error, 'code'), 'PGHERD_NO_REPLICA')
      assert.match(
        error.message,
        /^ready\(\) waited 1500 ms for a primary and 9 replicas within maxLagMillis \(1000 ms\), /
      )
      assert.match(error.message, /found a primary and 2 replicas\. Ask for fewer replicas, name more hosts, or raise/)
      assert.doesNotMatch(error.message, /this read/)
      return true
    })
    await Promise.all([0, 1, 2].map((index) => cluster.stop(index, 'fast')))
    await eventually('it is seen', () => pool.health().primary === null)
    await assert.rejects(pool.ready({ timeoutMillis: 50 }), (error: Error) => {
      assert.equal(Reflect.get(error, 'code'), 'PGHERD_NO_PRIMARY')
      assert.match(
        error.message,
        /^ready\(\) waited 50 ms for a primary, and found no primary\. No server answers: start one of them/
      )
      return true
    })
  }).timeout(30_000)

  it('health() follows what is there', async () => {
    const pool = poolOn(cluster, { maxStaleMillis: 60_000 })
    assert.deepEqual(pool.health(), {
      ...{ writable: false, readable: false, replicas: 0, waiting: 0, waited: 0 },
      primary: null,
    })
    await pool.ready({ replicas: 2 })
    const { writable, readable, replicas } = pool.health()
    assert.deepEqual([writable, readable, replicas], [true, true, 2])
    await cluster.kill(0)
    await eventually('there is no primary', () => !pool.health().writable && pool.health().primary === null)
    assert.deepEqual([pool.health().readable, pool.health().replicas], [true, 2])
    await pool.end()
    assert.deepEqual([pool.health().writable, pool.health().readable], [false, false])
  })
})
