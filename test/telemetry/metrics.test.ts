import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { ATTRIBUTES, METRICS } from '../../src/telemetry/vocabulary.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { ManualClock } from '../support/manual-clock.js'
import { endPools, eventually, keyOf, poolOn, tracked } from '../support/pools.js'
import { alone } from './alone.js'
import { type Point, type Sdk, startSdk } from './sdk.js'

interface Streaming {
  readonly connection: { readonly stream: { destroy(): void } }
}

describe('metrics', () => {
  let cluster: Cluster
  let sdk: Sdk
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
  })
  after(() => cluster.destroy())
  beforeEach(() => {
    sdk = startSdk()
  })
  afterEach(async () => {
    await endPools()
    await sdk.end()
  })

  const pick = (points: readonly Point[], name: string, attributes: Point['attributes'] = {}) =>
    points.filter(
      (point) =>
        point.name === name && Object.entries(attributes).every(([key, value]) => point.attributes[key] === value)
    )
  const poolName = (node: number) => ({ 'db.client.connection.pool.name': `${keyOf(cluster, node)}/app` })
  const sum = (points: readonly Point[]) => points.reduce((total, { value }) => total + value, 0)

  it('count what happens, per node and why', async () => {
    const pool = poolOn(cluster, { max: 2 })
    await pool.ready({ replicas: 1 })
    await pool.query('create table t (a int)')
    await cluster.caughtUp(1, 0)
    for (let i = 0; i < 5; i++) await pool.query({ text: 'select * from t', maxLagMillis: Infinity, route: 'replica' })
    const client = await pool.connect()
    await assert.rejects(pool.query('insert into t values ($1)', ['x']), { code: '22P02' })
    const points = await sdk.points()
    client.release()

    const replica = { 'server.port': cluster.node(1).port }
    const primary = { 'server.port': cluster.node(0).port }
    const operations = 'db.client.operation.duration'
    assert.equal(sum(pick(points, operations, { ...replica, 'db.query.summary': 'SELECT t' })), 5)
    assert.equal(sum(pick(points, operations, { ...primary, 'error.type': '22P02' })), 1)
    // A replica that had yet to show the position was asked for in vain, and counts, too.
    const decided = { 'pgherd.role': 'replica', 'pgherd.reason': 'a replica was asked for' }
    assert.ok(sum(pick(points, 'pgherd.decisions', decided)) >= 5)
    const [one, two] = [poolName(0), poolName(1)]
    const [used] = pick(points, 'db.client.connection.count', { ...one, 'db.client.connection.state': 'used' })
    assert.equal(used?.value, 1)
    assert.equal(pick(points, 'db.client.connection.max', one)[0]?.value, 2)
    assert.ok(sum(pick(points, 'db.client.connection.create_time', one)) >= 1)
    // Reads that share a connection take it once.
    assert.ok(sum(pick(points, 'db.client.connection.wait_time', two)) >= 1)
    assert.ok(sum(pick(points, 'db.client.connection.use_time', one)) >= 1)
    assert.equal(pick(points, 'pgherd.replica.horizon_age').length, 1)
    assert.equal(pick(points, 'pgherd.replica.lag').length, 1)
    assert.ok(sum(pick(points, 'pgherd.probe.duration', { 'pgherd.node': keyOf(cluster, 1) })) >= 1)
  })

  it('are named as the table has them, with no other attributes', async () => {
    // Long enough for a busy machine to connect: it is also how long the statement waits for the client in vain.
    const pool = poolOn(cluster, { max: 1, connectionTimeoutMillis: 3000 })
    await pool.ready({ replicas: 1 })
    const client = await pool.connect()
    await assert.rejects(pool.query("select pg_notify('a', '')"))
    client.release()
    await pool.query('select 1')
    const points = await sdk.points()
    for (const { name, attributes } of points) {
      const metric =
        Object.values(METRICS).find((each) => each.name === name) ?? assert.fail(`${name} is not in the table`)
      const known = metric.attributes.map((each) => ATTRIBUTES[each].name as string)
      assert.deepEqual(
        Object.keys(attributes).filter((key) => !known.includes(key)),
        [],
        name
      )
    }
    assert.equal(sum(pick(points, 'db.client.connection.timeouts')), 1)
  })

  it('count a wait for a connection that was too long, whatever it waited for', async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const pool = tracked({ host: '127.0.0.1', port, user: 'x', connectionTimeoutMillis: 50 })
    await assert.rejects(pool.query('select 1'), { message: 'Connection terminated due to connection timeout' })
    silent.close()
    assert.equal(sum(pick(await sdk.points(), 'db.client.connection.timeouts')), 1)
  })

  it('count the connections that a node may have once, while an older lot of them is on its way out', async () => {
    const pool = poolOn(cluster, { max: 3, maxLagMillis: Infinity })
    await pool.ready({ replicas: 1 })
    const held = await pool.view({ route: 'replica' }).connect()
    await assert.rejects(pool.drain(keyOf(cluster, 1), { timeoutMillis: 1 }), { code: 'PGHERD_BUSY' })
    pool.resume(keyOf(cluster, 1))
    await pool.query({ text: 'select 1', route: 'replica' })
    const points = await sdk.points()
    held.release()
    assert.equal(pick(points, 'db.client.connection.max', poolName(1))[0]?.value, 3)
    assert.equal(sum(pick(points, 'db.client.connection.count', poolName(1))), 2)
  })

  it('count an unknown outcome once, though it ends a transaction, too', async () => {
    const pool = poolOn(cluster, {}, 'app', [0])
    const lost = pool.transaction(async () => {
      const answer = pool.query("select pg_notify('a', ''), pg_sleep(5)")
      const admin = await cluster.connect(0)
      const busy = "pid <> pg_backend_pid() and state = 'active' and query like '%pg_sleep(5)%'"
      const running = `select pid from pg_stat_activity where ${busy}`
      await eventually('it runs', async () => (await admin.query(running)).rows.length === 1)
      for (const client of (pool as unknown as { _clients: Streaming[] })._clients) client.connection.stream.destroy()
      await answer
    })
    await assert.rejects(lost, { outcome: 'unknown' })
    assert.equal(sum(pick(await sdk.points(), 'pgherd.outcome_unknown')), 1)
  })

  it('of two pools on the same servers are summed, and a pool that ended is not missed', async () => {
    const [one, two] = [poolOn(cluster, { max: 3 }), poolOn(cluster, { max: 4 })]
    for (const pool of [one, two]) {
      await pool.query("select pg_notify('a', '')")
      await pool.query({ text: 'select 1', maxLagMillis: Infinity })
    }
    const most = poolName(0)
    assert.equal(pick(await sdk.points(), 'db.client.connection.max', most)[0]?.value, 7)
    const reads = () => one.freshness().tooFarBehind + one.freshness().unproven
    await eventually('a read was not served by a replica', async () => {
      await one.query('select 1')
      await one.query("select pg_notify('a', '')")
      await one.query({ text: 'select 1', maxLagMillis: 0.001 })
      return reads() > 0
    })
    const counted = (points: readonly Point[]) =>
      sum(pick(points, 'pgherd.reads.unproven')) + sum(pick(points, 'pgherd.reads.too_far_behind'))
    const before = counted(await sdk.points())
    assert.ok(before > 0)
    const decided = (points: readonly Point[]) => sum(pick(points, 'pgherd.decisions'))
    const decisions = decided(await sdk.points())
    await one.end()
    const after = await sdk.points()
    assert.equal(decided(after), decisions)
    assert.ok(counted(after) >= before)
    assert.equal(pick(after, 'db.client.connection.max', most)[0]?.value, 4)
  })

  it('of a contest say how long it goes on', async () => {
    const clock = new ManualClock()
    const { telemetry, topology } = alone(clock)
    const contested = { ...topology, contested: { since: clock.now(), claimants: [] } }
    const millis = async () => Math.round(1000 * sum(pick(await sdk.points(), 'pgherd.contested.time')))
    assert.ok(telemetry.measures)
    const before = await millis()
    telemetry.follow(contested, topology, [])
    await clock.advance(700)
    assert.equal((await millis()) - before, 700)
    telemetry.follow(topology, contested, [])
    await clock.advance(500)
    assert.equal((await millis()) - before, 700)
    telemetry.end()
    assert.equal((await millis()) - before, 700)
  })

  it('begin when an SDK is registered later', async () => {
    await sdk.end()
    const pool = poolOn(cluster)
    await pool.query('select 1')
    sdk = startSdk()
    await pool.query('select 1')
    assert.equal(sum(pick(await sdk.points(), 'db.client.operation.duration')), 1)
    assert.equal(sdk.spans().length, 1)
  })
})
