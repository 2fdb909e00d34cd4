// On real servers: what waits is asked again, what end() has accepted is finished, standbys alone serve, and a write whose outcome is
// unknown stops nobody's reads but those of its own session.

import assert from 'node:assert/strict'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { failed } from '../support/failed.js'
import { endPools, eventually, keyOf, poolOn, served } from '../support/pools.js'

/** Resolves with what the promise gives, or with 'late' when it has not in time. */
async function inTime<T>(promise: Promise<T>, millis: number): Promise<T | 'late'> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), millis)
  })
  const first = await Promise.race([promise, late])
  clearTimeout(timer)
  return first
}

const READ = 'select count(*)::int as n from items'
const count = async (pool: Pick<Pool, 'query'>) => (await pool.query<{ n: number }>(READ)).rows[0]?.n

async function withItems(cluster: Cluster): Promise<void> {
  const client = await cluster.connect(0)
  await client.query('create table if not exists items (n int primary key)')
  await client.end()
  for (const { index } of cluster.nodes.slice(1)) await cluster.caughtUp(index, 0)
}

describe('decided anew: without a primary', () => {
  let cluster: Cluster
  beforeEach(async () => {
    cluster = await startCluster({ replicas: 1 })
    await withItems(cluster)
  })
  afterEach(async () => {
    await Promise.all([endPools(), cluster.destroy()])
  })

  it('a new process reads at once what may be of any age, though the catalogue had to be read first', async () => {
    await cluster.kill(0)
    const pool = poolOn(cluster, { maxLagMillis: Infinity })
    const reads = Promise.all(Array.from({ length: 20 }, () => count(pool)))
    assert.deepEqual(new Set(await reads), new Set([0]))
    assert.deepEqual(Object.keys(served(pool)), [keyOf(cluster, 1)])
    const readOnly = pool.transaction((client) => count(client as unknown as Pool), { readOnly: true })
    assert.equal(await readOnly, 0)
  })

  it('a read waits for a replica that is late, and runs when it is no more', async () => {
    const pool = poolOn(cluster, {}, 'monitor')
    await pool.ready({ replicas: 1 })
    assert.equal(await count(pool), 0)
    await cluster.delay(1, 2500)
    await pool.query('insert into items values (1)')
    // The write's position is known, and has reached the replica's disk.
    await new Promise((resolve) => setTimeout(resolve, 300))
    await cluster.kill(0)
    assert.equal(await inTime(count(pool), 15_000), 1)
  })

  it('a write whose outcome is unknown stops the reads of its own session, and no others', async () => {
    const pool = poolOn(cluster, {}, 'monitor')
    await pool.ready({ replicas: 1 })
    await pool.query('insert into items values (1)')
    await cluster.caughtUp(1, 0)
    await eventually('a replica serves what was written', async () => (await count(pool)) === 1)
    const lost = (n: number) => failed(pool.query('insert into items select $1 from pg_sleep(20)', [n]))
    const outside = lost(2)
    let insideRead: Promise<unknown> = Promise.resolve()
    const inside = pool.session(async () => {
      const error = await lost(3)
      insideRead = failed(pool.query({ text: READ, signal: AbortSignal.timeout(1000) }))
      return error
    })
    const commit = failed(pool.transaction((client) => client.query('insert into items select 4 from pg_sleep(20)')))
    await new Promise((resolve) => setTimeout(resolve, 300))
    await cluster.kill(0)
    assert.deepEqual([(await outside).outcome, (await inside).outcome], ['unknown', 'unknown'])
    await commit
    assert.equal(await inTime(count(pool), 5000), 1, 'reads of the pool go on')
    assert.equal(
      await inTime(
        pool.session(() => count(pool)),
        5000
      ),
      1,
      'and those of other sessions'
    )
    assert.match(String(await insideRead), /TimeoutError/, 'what the session must see nobody can prove')
    await cluster.promote(1)
    assert.equal(await count(pool), 1, 'and the new primary tells')
    await pool.query({ text: READ, route: 'primary' } as never)
  })
})

describe('decided anew: standbys alone', () => {
  let cluster: Cluster
  const warnings: string[] = []
  const warned = (warning: Error & { code?: string }) => warnings.push(warning.code ?? '')
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    await withItems(cluster)
    process.on('warning', warned)
  })
  beforeEach(() => warnings.splice(0))
  afterEach(endPools)
  after(async () => {
    process.off('warning', warned)
    await cluster.destroy()
  })

  const standbys = (options: PoolConfig = {}) =>
    poolOn(cluster, { failoverTimeoutMillis: 1500, ...options }, 'app', [1, 2])
  const told = async () => {
    await new Promise((resolve) => setImmediate(resolve))
    return warnings.filter((code) => code === 'PGHERD_UNPROVEN')
  }

  for (const targetSessionAttrs of ['standby', 'read-only'] as const) {
    it(`${targetSessionAttrs}: reads run at once, and a write gets 25006 at once`, async () => {
      const pool = standbys({ targetSessionAttrs })
      assert.equal(await inTime(count(pool), 1000), 0)
      assert.equal((await failed(pool.query('insert into items values (1)'))).code, '25006')
      const client = await pool.connect()
      assert.equal((await client.query(READ)).rowCount, 1)
      client.release()
      assert.deepEqual(await told(), [])
      await pool.end()
    })
  }

  it('any, no bound given: reads run at once after one warning; a write waits', async () => {
    const pool = standbys()
    const write = failed(pool.query('insert into items values (1)'))
    assert.deepEqual(await Promise.all([count(pool), count(pool), count(pool.view({ route: 'replica' }))]), [0, 0, 0])
    const borrowed = await pool.view({ route: 'replica' }).connect()
    borrowed.release()
    assert.equal(await pool.transaction((client) => count(client as unknown as Pool), { readOnly: true }), 0)
    assert.equal(await pool.session(() => Promise.all([count(pool), count(pool)]).then(() => count(pool))), 0)
    assert.deepEqual(await told(), ['PGHERD_UNPROVEN'])
    const { node, refused } = pool.explain(READ)
    assert.ok(node !== null, JSON.stringify(refused))
    assert.deepEqual(
      pool.topology().nodes.map((each) => each.refused),
      [null, null]
    )
    assert.deepEqual([pool.health().readable, pool.health().writable, pool.health().replicas], [true, false, 2])
    await pool.ready({ primary: false, replicas: 2 })
    assert.deepEqual([(await write).code, (await write).outcome], ['PGHERD_NO_PRIMARY', 'not-sent'])
  })

  it('any, with Infinity: reads run at once, and nothing is warned of', async () => {
    const pool = standbys({ maxLagMillis: Infinity })
    assert.equal(await inTime(count(pool), 1000), 0)
    assert.deepEqual(await told(), [])
  })

  it('any, with a bound, of the pool, a view or a statement: PGHERD_NO_REPLICA at once', async () => {
    const strict = standbys({ maxLagMillis: 500 })
    assert.equal((await failed(strict.query(READ))).code, 'PGHERD_NO_REPLICA')
    assert.equal((await failed(standbys({ whenStale: 'error' }).query(READ))).code, 'PGHERD_NO_REPLICA')
    const pool = standbys()
    const refused = [
      pool.view({ maxLagMillis: 500 }).query(READ),
      pool.query({ text: READ, maxLagMillis: 500 } as never),
      pool.view({ route: 'replica', maxLagMillis: 500 }).connect(),
      pool.transaction((client) => client.query(READ), { readOnly: true, maxLagMillis: 500 }),
    ].map((each) => failed(each))
    for (const error of await Promise.all(refused)) {
      assert.equal(error.code, 'PGHERD_NO_REPLICA')
      assert.match(error.message, /no primary was ever seen/)
    }
    assert.equal(
      await inTime(strict.query({ text: READ, maxLagMillis: Infinity } as never), 1000).then(() => 'read'),
      'read'
    )
  })

  it('one standby named alone is one server, as with pg', async () => {
    const pool = poolOn(cluster, {}, 'app', [1])
    assert.equal(await count(pool), 0)
    assert.equal((await failed(pool.query('insert into items values (1)'))).code, '25006')
    const only = poolOn(cluster, { targetSessionAttrs: 'standby' }, 'app', [1])
    assert.equal(await inTime(count(only), 1000), 0)
  })
})

describe('decided anew: end() finishes what it has accepted', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await withItems(cluster)
  })
  afterEach(endPools)
  after(() => cluster.destroy())

  it('reads behind a write, of a replica that is late', async () => {
    await cluster.delay(1, 60)
    let n = 1000
    for (let i = 0; i < 15; i++) {
      const pool = poolOn(cluster, {}, 'monitor')
      await pool.ready({ replicas: 1 })
      await count(pool)
      await pool.query('insert into items values ($1)', [n++])
      const reads = [count(pool), count(pool)]
      await pool.end()
      assert.deepEqual(await Promise.all(reads), [i + 1, i + 1])
    }
    await cluster.delay(1, 0)
  })

  it('a write and reads under way at once', async () => {
    for (let i = 0; i < 10; i++) {
      const pool = poolOn(cluster, {}, 'monitor')
      await pool.ready({ replicas: 1 })
      const all = [pool.query('insert into items values ($1)', [2000 + i]), pool.query(READ), pool.query(READ)]
      await pool.end()
      await Promise.all(all)
    }
  })

  it('all statements of a cold pool, of two hosts, also more than it has connections for', async () => {
    const pool = poolOn(cluster)
    const text = 'select $1::int as n'
    const statements = Array.from({ length: 500 }, (_, i) => pool.query(text, [i]))
    const transaction = pool.transaction((client) => client.query('select 1'))
    const client = pool.connect()
    const token = pool.token()
    const end = pool.end()
    assert.deepEqual([pool.ending, pool.ended], [true, false])
    ;(await client).release()
    const answers = await Promise.all(statements)
    assert.ok(answers.every(({ rows }, i) => rows[0].n === i))
    await Promise.all([transaction, token, end])
    assert.match((await failed(pool.query('select 1'))).message, /after calling end/)
  })

  it('what waits behind clients that are all held is told so at once', async () => {
    const pool = poolOn(cluster, { max: 2 })
    const [one, two] = await Promise.all([pool.connect(), pool.connect()])
    const waiting = [failed(pool.query('insert into items values (4000)')), failed(pool.connect())]
    const end = pool.end()
    for (const error of await Promise.all(waiting)) assert.equal(error.outcome, 'not-sent')
    assert.ok(one && two)
    one.release()
    two.release()
    await end
  })

  it('what waits behind statements runs, until a held client stops the rest', async () => {
    const pool = poolOn(cluster, { max: 1 })
    await pool.ready()
    const running = pool.query('select 1 from pg_sleep(0.1)')
    const behind = pool.query('insert into items values (3000)')
    const client = pool.connect()
    const late = failed(pool.query('insert into items values (3001)'))
    const end = pool.end()
    await Promise.all([running, behind])
    const held = await client
    assert.equal((await late).outcome, 'not-sent')
    held.release()
    await end
  })
})
