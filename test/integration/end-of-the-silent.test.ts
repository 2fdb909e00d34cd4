// end() waits for what runs on servers that are there, and for no longer than silentMillis on one that has frozen or is cut off.

import assert from 'node:assert/strict'
import type { Client } from 'pg'
import type { PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, tracked } from '../support/pools.js'
import { Relay } from '../support/relay.js'

const SLOW = 'insert into items select 1 from pg_sleep(60)'
const SILENT_MILLIS = 300
/** silentMillis, the looks that find out, and a connection that is not closed from the other side. */
const BOUND_MILLIS = SILENT_MILLIS + 3000

interface Failed {
  readonly outcome?: string
}

const outcomeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: Failed) => error.outcome
  )

/** What keeps the process alive. */
const held = () =>
  process
    .getActiveResourcesInfo()
    .filter((name) => /^(?:TCP|TLS|Timeout)/.test(name))
    .sort()

for (const tls of [false, true]) {
  for (const replicas of [0, 1]) {
    describe(`end() ${tls ? 'over TLS' : 'without TLS'}, ${replicas} replicas`, () => {
      let cluster: Cluster
      let relay: Relay
      let watcher: Client
      before(async () => {
        cluster = await startCluster({ replicas, tls })
        watcher = await cluster.connect(0, 'postgres')
        await watcher.query('create table items (id int)')
        await watcher.query('grant all on items to app')
      })
      after(() => cluster.destroy())
      beforeEach(async () => {
        relay = await Relay.start(cluster.node(0))
      })
      afterEach(async () => {
        await relay.close()
        await cluster.thaw(0)
        await endPools()
        await watcher.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
      })

      const make = (options: PoolConfig = {}) => {
        const { user, password, database, ssl, host } = cluster.config(0)
        const port = [relay.port, ...cluster.nodes.slice(1).map((node) => node.port)]
        return tracked({
          user,
          password,
          database,
          ssl,
          host: port.map(() => host),
          port,
          silentMillis: SILENT_MILLIS,
          ...options,
        })
      }
      const running = () =>
        eventually('it runs', async () => {
          const text = "select 1 from pg_stat_activity where usename = 'app' and state = 'active' and query = $1"
          return (await watcher.query(text, [SLOW])).rowCount === 1
        })
      const ended = async (end: Promise<unknown>) => {
        let over = false
        void end.then(() => {
          over = true
        })
        await eventually('the pool has ended', () => over, BOUND_MILLIS)
      }

      for (const [name, strike] of [
        ['is frozen', () => cluster.freeze(0)],
        ['is cut off', async () => void relay.impose({ silent: ['toServer', 'toClient'] })],
      ] as const) {
        it(`of a pool whose server ${name} with a statement in flight, and a client out`, async () => {
          const before = held()
          const pool = make()
          await pool.ready()
          const client = await pool.connect()
          client.on('error', () => undefined)
          const own = outcomeOf(client.query('/* pgherd:primary */ select 1 from pg_sleep(60)')).then((outcome) => {
            client.release(true)
            return outcome
          })
          const slow = outcomeOf(pool.query(SLOW))
          await running()
          await strike()
          await ended(pool.end())
          assert.deepEqual([await slow, await own, pool.totalCount], ['unknown', 'unknown', 0])
          await relay.close()
          await eventually('nothing is left of it', () => held().length <= before.length)
        })
      }

      it('of a pool whose server is there: what runs is let finish, however long it takes', async () => {
        const pool = make()
        await pool.ready()
        const client = await pool.connect()
        const slow = pool.query('insert into items select 2 from pg_sleep(1)')
        const end = pool.end()
        assert.equal((await slow).rowCount, 1)
        assert.equal((await client.query('insert into items values (3)')).rowCount, 1)
        client.release()
        await ended(end)
      })
    })
  }
}
