// Replicas of another history: a test promotion that others follow, a primary from a cold copy. What they show looks as fresh as
// ever, and misses what was written.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import pg from 'pg'
import type { Pool } from '../../src/index.js'
import { type Cluster, type Role, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn, served } from '../support/pools.js'

const ROUNDS = 30

/** Reads right behind writes, all of which must see them; and how many rows of a fork were seen. */
async function missed(pool: Pool, from: number): Promise<number> {
  let missing = 0
  for (let id = from; id < from + ROUNDS; id++) {
    await pool.query('insert into ledger values ($1)', [id])
    for (const _ of [1, 2]) {
      const { rows } = await pool.query('select count(*)::int as n from ledger where id = $1', [id])
      if (rows[0].n !== 1) missing++
    }
  }
  return missing
}

async function ledger(cluster: Cluster): Promise<void> {
  const client = await cluster.connect(0, 'postgres')
  await client.query('create table ledger (id int not null)')
  await client.query('grant all on ledger to app, monitor')
  await client.end()
}

async function fill(cluster: Cluster, index: number, rows: number): Promise<void> {
  const client = await cluster.connect(index, 'postgres')
  await client.query(`insert into ledger select -g from generate_series(1, ${rows}) g`)
  await client.end()
}

async function restartpoint(cluster: Cluster): Promise<void> {
  const [primary, replica] = [await cluster.connect(0, 'postgres'), await cluster.connect(1, 'postgres')]
  await primary.query('checkpoint')
  await cluster.caughtUp(1, 0)
  await replica.query('checkpoint')
  await primary.end()
  await replica.end()
}

for (const role of ['app', 'monitor'] as readonly Role[]) {
  describe(`a test promotion in a cascade, as ${role}`, () => {
    let cluster: Cluster
    beforeEach(async () => {
      // A feeds B and X, X feeds C.
      cluster = await startCluster({ replicas: 3 })
      await cluster.streaming(0, 3)
      await ledger(cluster)
      await cluster.follow(3, 2)
      await cluster.caughtUp(3, 0)
    })
    afterEach(async () => {
      await Promise.all([endPools(), cluster.destroy()])
    })

    for (const known of [false, true]) {
      it(`no read misses a write that the pool has made, X being ${known ? 'known' : 'unknown'}`, async () => {
        const pool = poolOn(cluster, {}, role, known ? [0, 1, 2, 3] : [0, 1, 3])
        await pool.ready({ replicas: known ? 3 : 2 })
        assert.equal(await missed(pool, 1000), 0)
        await cluster.promote(2)
        await fill(cluster, 2, 2000)
        await eventually('C has replayed the fork', async () => {
          const client = await cluster.connect(3, 'postgres')
          const { rows } = await client.query('select count(*)::int as n from ledger where id < 0')
          await client.end()
          return rows[0].n === 2000
        })
        const before = served(pool)[keyOf(cluster, 1)] ?? 0
        assert.equal(await missed(pool, 2000), 0)
        assert.equal(pool.topology().primary, keyOf(cluster, 0))
        await eventually('C is known to be on a fork', () => {
          return /not proved to follow/.test(pool.explain('select 1 from ledger').refused[keyOf(cluster, 3)] ?? '')
        })
        // A plain role cannot tell which of the two X feeds, where it knows of X.
        if (role === 'monitor' || !known) assert.ok((served(pool)[keyOf(cluster, 1)] ?? 0) > before, 'B serves')
      })
    }
  })

  describe(`a primary from a cold copy, as ${role}`, () => {
    let cluster: Cluster
    beforeEach(async () => {
      cluster = await startCluster({ replicas: 1 })
      await cluster.streaming(0, 1)
      await ledger(cluster)
    })
    afterEach(async () => {
      await Promise.all([endPools(), cluster.destroy()])
    })

    it('no read misses a write, and the replica that was ahead serves none', async () => {
      const { directory } = cluster.node(0)
      const copy = `${directory}.cold`
      await cluster.stop(0, 'fast')
      execFileSync('cp', ['-a', directory, copy])
      await cluster.start(0)
      await cluster.streaming(0, 1)
      const pool = poolOn(cluster, {}, role)
      await pool.ready({ replicas: 1 })
      assert.equal(await missed(pool, 1000), 0)
      await fill(cluster, 0, 500)
      await cluster.caughtUp(1, 0)
      // What is sent before the loss is noticed has an unknown outcome, and this process sleeps while it copies.
      const gone = once(pool, 'remove')
      await cluster.stop(0, 'immediate')
      await gone
      rmSync(directory, { recursive: true })
      execFileSync('cp', ['-a', copy, directory])
      await cluster.start(0)
      assert.equal(await missed(pool, 2000), 0)
      const before = served(pool)[keyOf(cluster, 1)] ?? 0
      assert.match(pool.explain('select 1 from ledger').refused[keyOf(cluster, 1)] ?? '', /not proved to follow/)
      await cluster.reclone(1, 0)
      // A restartpoint of a checkpoint that the primary has made since the pool saw the replica again: any role sees that.
      await eventually('the replica serves again', async () => {
        await restartpoint(cluster)
        await pool.query('select 1 from ledger limit 1')
        return (served(pool)[keyOf(cluster, 1)] ?? 0) > before
      })
    })
  })
}

/** Resolves when the pool's probe has asked this server something so many times more. */
async function lookedAt(client: pg.Client, times: number, meanwhile: () => Promise<void>): Promise<void> {
  const seen = new Set<string>()
  await eventually('the server was looked at', async () => {
    await meanwhile()
    const text = "select query_start::text as at from pg_stat_activity where application_name = 'pgherd probe'"
    for (const { at } of (await client.query<{ at: string }>(text)).rows) seen.add(at)
    return seen.size > times
  })
}

for (const replicas of [1, 2]) {
  describe(`an archiver, with ${replicas === 1 ? 'no replica left' : 'a replica'}`, () => {
    let cluster: Cluster
    beforeEach(async () => {
      cluster = await startCluster({ replicas })
      await cluster.streaming(0, replicas)
      await ledger(cluster)
    })
    afterEach(async () => {
      await Promise.all([endPools(), cluster.destroy()])
    })

    for (const role of ['app', 'monitor'] as readonly Role[]) {
      it(`attached to a test promotion takes nothing from a living primary, as ${role}`, async () => {
        const pool = poolOn(cluster, {}, role)
        await pool.ready({ replicas })
        await cluster.promote(replicas)
        const client = await cluster.connect(replicas, 'postgres')
        const { rows } = await client.query('select pg_current_wal_flush_lsn()::text as lsn')
        const { host, port, user, password } = cluster.config(replicas, 'replicator')
        const archiver = new pg.Client({ host, port, user, password, replication: 'true' } as object)
        archiver.on('error', () => {})
        await archiver.connect()
        archiver.query(`START_REPLICATION PHYSICAL ${rows[0].lsn} TIMELINE 2`).catch(() => {})
        await cluster.streaming(replicas, 1)
        await lookedAt(client, 8, async () => {
          await pool.query('insert into ledger values (1)')
          assert.equal(pool.topology().primary, keyOf(cluster, 0))
        })
        assert.equal(pool.topology().epoch, 1)
        await archiver.end()
      })
    }
  })
}

describe('a frozen primary', () => {
  let cluster: Cluster
  beforeEach(async () => {
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
    await ledger(cluster)
  })
  afterEach(async () => {
    await Promise.all([endPools(), cluster.destroy()])
  })

  it('is given up when its replicas follow another one, long before it is silent for silentMillis', async () => {
    // So long that the test fails if it takes that.
    const pool = poolOn(cluster, { silentMillis: 600_000, failoverTimeoutMillis: 30_000 }, 'monitor')
    await pool.ready({ replicas: 2 })
    await pool.query('insert into ledger values (1)')
    await cluster.freeze(0)
    await cluster.promote(1)
    await cluster.follow(2, 1)
    const from = performance.now()
    // What was sent to the frozen one may have happened; what comes now goes to its heir.
    await eventually('a new primary', () => pool.topology().primary === keyOf(cluster, 1))
    await pool.query('insert into ledger values (2)')
    if (process.env.PGHERD_TEST_FIGURES) console.log(`      ${Math.round(performance.now() - from)} ms`)
  })
})
