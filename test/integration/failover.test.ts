// The primary fails in every way we can make, with and without TLS, under writers and readers, and nothing acknowledged is
// lost, doubled, or written where it must not be. Replication is synchronous to one of two replicas: what was acknowledged survives.

import assert from 'node:assert/strict'
import type { Client } from 'pg'
import type { Failover, Pool } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { Ledger } from '../support/ledger.js'
import { endPools, eventually, keyOf, poolOn } from '../support/pools.js'

interface Fault {
  readonly name: string
  readonly strike: (cluster: Cluster) => Promise<void>
  /** Afterwards: how the old primary becomes a replica of its heir. */
  readonly rejoin: (cluster: Cluster, heir: number) => Promise<void>
}

const follow = (cluster: Cluster, heir: number) => cluster.follow(0, heir).catch(() => cluster.reclone(0, heir))

/** A commit waits for any one replica: the one that has received most is the one that must be promoted. */
async function promoteHeir(cluster: Cluster): Promise<{ readonly heir: number; readonly other: number }> {
  const received = async (index: number) => {
    const client = await cluster.connect(index, 'postgres')
    const text = "select pg_wal_lsn_diff(coalesce(pg_last_wal_receive_lsn(), '0/0'), '0/0')::bigint as bytes"
    const { rows } = await client.query<{ bytes: string }>(text)
    await client.end()
    return BigInt(rows[0]?.bytes ?? 0)
  }
  const [one, two] = await Promise.all([received(1), received(2)])
  const heir = one >= two ? 1 : 2
  await cluster.promote(heir)
  return { heir, other: heir === 1 ? 2 : 1 }
}

const FAULTS: readonly Fault[] = [
  { name: 'kill -9', strike: (cluster) => cluster.kill(0), rejoin: follow },
  { name: 'fast stop', strike: (cluster) => cluster.stop(0, 'fast'), rejoin: follow },
  { name: 'immediate stop', strike: (cluster) => cluster.stop(0, 'immediate'), rejoin: follow },
]

/**
 * How many sessions of the pool (not of its probes) a node has. A backend that waits for a synchronous replica does not
 * notice that its client has gone: there is no socket of ours behind it.
 */
async function sessions(client: Client): Promise<number> {
  const text = `select count(*)::int as n from pg_stat_activity where usename = 'monitor'
    and application_name <> 'pgherd probe' and wait_event is distinct from 'SyncRep'`
  const { rows } = await client.query<{ n: number }>(text)
  return rows[0]?.n ?? -1
}

async function started(cluster: Cluster, pool: Pool): Promise<Ledger> {
  await cluster.streaming(0, 2)
  const ledger = await Ledger.create(pool)
  await pool.ready({ replicas: 2 })
  return ledger
}

for (const tls of [false, true]) {
  describe(`failover ${tls ? 'over TLS' : 'without TLS'}`, () => {
    let cluster: Cluster
    beforeEach(async () => {
      cluster = await startCluster({ replicas: 2, tls, synchronous: 'ANY 1 (*)' })
    })
    afterEach(async () => {
      // end() waits for clients that are checked out, and those may wait for a server that a failed test left frozen.
      await Promise.all([endPools(), cluster.destroy()])
    })

    for (const { name, strike, rejoin } of FAULTS) {
      it(`${name}: writes go on at the promoted replica, reads go on meanwhile, nothing is lost or doubled`, async () => {
        const pool = poolOn(cluster, {}, 'monitor')
        // It writes nothing, so it waits for no write of its own that died with the primary.
        const reader = poolOn(cluster, {}, 'monitor')
        const failovers: Failover[] = []
        pool.on('failover', (failover) => failovers.push(failover))
        const ledger = await started(cluster, pool)
        ledger.start(4)
        await ledger.progress(50)
        await reader.ready({ replicas: 2 })

        await strike(cluster)
        await eventually('the primary is known to be gone', () => reader.topology().primary === null)
        const { rows } = await reader.query<{ n: number }>('select count(*)::int as n from ledger')
        assert.ok((rows[0]?.n ?? 0) >= 50, 'a replica answers while there is no primary')
        const { heir, other } = await promoteHeir(cluster)
        await cluster.follow(other, heir) // commits wait for a synchronous replica
        await ledger.progress(50)
        assert.equal(pool.topology().primary, keyOf(cluster, heir))
        assert.deepEqual(
          failovers.map(({ from, to }) => [from, to]),
          [[keyOf(cluster, 0), keyOf(cluster, heir)]]
        )

        await rejoin(cluster, heir)
        await eventually('both others serve reads again', async () => {
          const { nodes } = pool.topology()
          return (
            nodes.filter(({ state, lagMillis }) => state === 'replica' && (lagMillis ?? Infinity) < 1000).length === 2
          )
        })
        await ledger.stop()
        const account = await ledger.account()
        assert.deepEqual([account.lost, account.doubled, account.resurrected], [[], [], []])
        // Four writers had at most four statements under way when the primary died.
        assert.ok(account.unknown <= 4, account.errors.join(', '))
        assert.ok(
          account.errors.every((error) => error.endsWith(' unknown')),
          account.errors.join(', ')
        )
      })
    }

    it('freeze: the promoted replica takes over after silentMillis, and the thawed old primary gets no further write', async () => {
      const pool = poolOn(cluster, { silentMillis: 600 }, 'monitor')
      const ledger = await started(cluster, pool)
      ledger.start(4)
      await ledger.progress(50)
      await cluster.freeze(0)
      const { heir, other } = await promoteHeir(cluster)
      await cluster.follow(other, heir)
      await ledger.progress(50)
      await ledger.stop()
      assert.equal(pool.topology().primary, keyOf(cluster, heir))

      await cluster.thaw(0)
      await eventually('the old primary is seen to claim', () =>
        pool.topology().nodes.some(({ key, state }) => key === keyOf(cluster, 0) && state === 'claimant')
      )
      const old = await cluster.connect(0, 'postgres')
      const count = async () => (await old.query<{ n: number }>('select count(*)::int as n from ledger')).rows[0]?.n
      const before = await count()
      for (let i = 0; i < 50; i++) assert.ok(await ledger.insert())
      assert.equal(await count(), before)
      await eventually('no session of ours is left on it', async () => (await sessions(old)) === 0)
      const account = await ledger.account()
      assert.deepEqual([account.lost, account.doubled], [[], []])
      assert.ok(account.unknown <= 4, account.errors.join(', '))
    })

    it('the warm connections of the promoted replica serve at once', async () => {
      const pool = poolOn(cluster, { readYourWrites: 'off' }, 'monitor')
      await started(cluster, pool)
      await Promise.all(Array.from({ length: 40 }, () => pool.query('select pg_sleep(0.05)')))
      const warm = async (index: number) => {
        const client = await cluster.connect(index, 'postgres')
        const text = `select pid from pg_stat_activity where usename = 'monitor' and application_name <> 'pgherd probe'`
        const { rows } = await client.query<{ pid: number }>(`${text} order by pid`)
        await client.end()
        return rows.map(({ pid }) => pid)
      }
      const before = await Promise.all([warm(1), warm(2)])
      assert.ok(
        before.every(({ length }) => length >= 5),
        before.join(' and ')
      )
      await cluster.kill(0)
      const { heir, other } = await promoteHeir(cluster)
      await cluster.follow(other, heir)
      await Promise.all([1, 2, 3, 4, 5].map((id) => pool.query('insert into ledger values ($1)', [id])))
      assert.deepEqual(await warm(heir), before[heir - 1])
    })

    it('a write in flight whose reply is lost is reported as unknown, once, and never sent again', async () => {
      const pool = poolOn(cluster, { silentMillis: 600 }, 'monitor')
      await started(cluster, pool)
      // It has written its row, and sleeps before it answers.
      const slow = pool.query("insert into ledger select 7, pg_sleep(30)::text || 'x'").then(
        () => null,
        (error: Error & { outcome?: string }) => error
      )
      const watcher = await cluster.connect(0, 'postgres')
      await eventually('the statement runs', async () => {
        const text = "select 1 from pg_stat_activity where query like 'insert into ledger%' and state = 'active'"
        return (await watcher.query(text)).rowCount === 1
      })
      await cluster.kill(0)
      const { heir, other } = await promoteHeir(cluster)
      await cluster.follow(other, heir)
      const error = await slow
      assert.equal(error?.outcome, 'unknown', String(error))
      const { rows } = await pool.query({ text: 'select * from ledger', route: 'primary' })
      assert.deepEqual(rows, [])
    })

    it('switchover: writes wait and none fails but those that were under way', async () => {
      const pool = poolOn(cluster, {}, 'monitor')
      const ledger = await started(cluster, pool)
      ledger.start(4)
      await ledger.progress(50)
      await cluster.switchover(1)
      await ledger.progress(50)
      assert.equal(pool.topology().primary, keyOf(cluster, 1))
      await cluster.switchover(0)
      await eventually('the primary is the first node again', () => pool.topology().primary === keyOf(cluster, 0))
      await ledger.progress(50)
      await ledger.stop()
      const account = await ledger.account()
      assert.deepEqual([account.lost, account.doubled, account.resurrected], [[], [], []])
      assert.ok(account.unknown <= 8, account.errors.join(', '))
    })
  })
}

describe('promotion by hand', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
  })
  after(() => cluster.destroy())
  afterEach(endPools)

  it('of a replica beside a live primary that has replicas takes nothing over', async () => {
    const pool = poolOn(cluster, {}, 'monitor')
    const ledger = await started(cluster, pool)
    await cluster.promote(1)
    await eventually('the claim is seen', () =>
      pool.topology().nodes.some(({ key, state }) => key === keyOf(cluster, 1) && state === 'claimant')
    )
    for (let i = 0; i < 20; i++) assert.ok(await ledger.insert())
    assert.equal(pool.topology().primary, keyOf(cluster, 0))
    assert.deepEqual((await ledger.account()).lost, [])
    const stray = await cluster.connect(1, 'postgres')
    assert.equal((await stray.query('select 1 from ledger')).rowCount, 0)

    // Until the old one is stopped and another node follows the new: then it is no test.
    await cluster.stop(0, 'fast')
    await cluster.reclone(2, 1)
    await eventually('it is the primary', () => pool.topology().primary === keyOf(cluster, 1))
    assert.ok(await ledger.insert())
  })
})
