// A primary that is stopped in good order says to each session what becomes of it, and new ones are turned away meanwhile. What
// is under way hears that word: no statement of its own is cut.

import assert from 'node:assert/strict'
import type { Client } from 'pg'
import type { Pool, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { signal } from '../support/cluster-processes.js'
import { Ledger } from '../support/ledger.js'
import { endPools, eventually, keyOf, poolOn } from '../support/pools.js'

const SLOW = "insert into ledger select 1, pg_sleep(0.4)::text || 'slow'"

interface Failed {
  readonly code?: string
  readonly outcome?: string
}

const failing = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: Failed) => error
  )

for (const tls of [false, true]) {
  describe(`a primary is stopped in good order, ${tls ? 'over TLS' : 'without TLS'}`, () => {
    let cluster: Cluster
    let watcher: Client
    let stopped: Promise<void>
    beforeEach(async () => {
      cluster = await startCluster({ replicas: 1, tls })
      watcher = await cluster.connect(0, 'postgres')
      stopped = Promise.resolve()
    })
    afterEach(async () => {
      await watcher.end()
      await Promise.all([endPools(), cluster.destroy(), stopped.catch(() => undefined)])
    })

    const begun = async (options: PoolConfig = {}) => {
      const pool = poolOn(cluster, options, 'monitor')
      await pool.ready({ replicas: 1 })
      await pool.query('create table ledger (id int not null, note text)')
      return pool
    }
    const running = (text: string) =>
      eventually('the statement runs', async () => {
        const found =
          "select 1 from pg_stat_activity where query like $1 and state = 'active' and pid <> pg_backend_pid()"
        return (await watcher.query(found, [`${text.slice(0, 30)}%`])).rowCount === 1
      })
    /** A new connection is turned away, so all know. */
    const noticed = async (pool: Pool) => {
      const written = pool.query("insert into ledger values (2, 'waits')")
      written.catch(() => undefined)
      const down = () => pool.topology().nodes.find(({ key }) => key === keyOf(cluster, 0))?.state === 'down'
      await eventually('the primary is given up', down)
      return { written }
    }
    const promoted = async () => {
      await stopped
      await cluster.promote(1)
    }
    const ids = async (pool: Pool) => {
      const { rows } = await pool.query<{ id: number }>({ text: 'select id from ledger order by id', route: 'primary' })
      return rows.map(({ id }) => id)
    }

    it('smart: a write that runs is acknowledged, however long it takes', async () => {
      const pool = await begun()
      const slow = pool.query(SLOW.replace('0.4', '2.5'))
      await running(SLOW)
      stopped = cluster.stop(0, 'smart')
      const { written } = await noticed(pool)
      assert.equal((await slow).rowCount, 1)
      await watcher.end()
      await promoted()
      await written
      assert.deepEqual(await ids(pool), [1, 2])
    })

    it('fast: a write whose server has not got to it is carried over, once', async () => {
      const pool = await begun({ max: 1 })
      const { rows } = await pool.query<{ pid: number }>({ text: 'select pg_backend_pid() as pid', route: 'primary' })
      const pids = rows.map(({ pid }) => pid)
      signal(pids, 'SIGSTOP')
      const slow = pool.query(SLOW)
      stopped = cluster.stop(0, 'fast')
      const down = () => pool.topology().nodes.find(({ key }) => key === keyOf(cluster, 0))?.state === 'down'
      await eventually('the primary is given up', down)
      signal(pids, 'SIGCONT')
      await promoted()
      await slow
      assert.deepEqual(await ids(pool), [1])
    })

    it('a COMMIT that runs is answered; a transaction that rests is undone at once', async () => {
      const pool = await begun()
      await pool.query(`create function slowly() returns trigger language plpgsql as
        $$begin perform pg_sleep(0.4); return null; end$$`)
      await pool.query(`create constraint trigger late after insert on ledger deferrable initially deferred
        for each row when (new.id = 1) execute function slowly()`)
      const [resting, busy] = [await pool.connect(), await pool.connect()]
      const broken = new Promise((resolve) => resting.once('error', resolve))
      for (const [id, client] of [resting, busy].entries()) {
        await client.query('begin')
        await client.query('insert into ledger values ($1)', [id])
      }
      const committed = busy.query('commit')
      await running('commit')
      stopped = cluster.stop(0, 'smart')
      const { written } = await noticed(pool)
      await broken
      assert.equal((await committed).command, 'COMMIT')
      assert.ok(await failing(busy.query('select 1')), 'the connection goes with the answer')
      for (const client of [resting, busy]) client.release(true)
      await watcher.end()
      await promoted()
      await written
      assert.deepEqual(await ids(pool), [1, 2])
    })

    it('what is not answered when another primary is proven is cut off', async () => {
      const pool = await begun()
      const slow = failing(pool.query(SLOW.replace('0.4', '60')))
      await running(SLOW)
      stopped = cluster.stop(0, 'smart')
      const { written } = await noticed(pool)
      await cluster.promote(1)
      const seen = slow.then((error) => [error?.outcome, pool.topology().primary])
      assert.deepEqual(await seen, ['unknown', keyOf(cluster, 1)])
      await written
      assert.deepEqual(await ids(pool), [2])
    })

    it('end() waits for what runs there', async () => {
      const pool = await begun()
      const slow = pool.query(SLOW)
      await running(SLOW)
      stopped = cluster.stop(0, 'smart')
      const waiting = failing((await noticed(pool)).written)
      const ended = pool.end()
      assert.equal((await slow).rowCount, 1)
      await Promise.all([ended, waiting])
      await watcher.end()
      await stopped
    })
  })
}

describe('switchovers by a fast stop', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
  })
  after(() => Promise.all([endPools(), cluster.destroy()]))

  it('ten under load: no statement fails, none is lost, none is done twice', async () => {
    const pool = poolOn(cluster, { max: 4 }, 'monitor')
    const ledger = await Ledger.create(pool)
    ledger.start(6)
    for (let i = 0; i < 10; i++) {
      await ledger.progress(100)
      await cluster.switchover((i + 1) % 3)
    }
    await ledger.progress(100)
    await ledger.stop()
    const { lost, doubled, errors } = await ledger.account()
    assert.deepEqual({ lost, doubled, errors }, { lost: [], doubled: [], errors: [] })
  })
})
