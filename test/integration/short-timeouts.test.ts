// A connectionTimeoutMillis that is over before a silent server is given up: the error tells of the server, not of the pool.

import assert from 'node:assert/strict'
import type { PgherdError } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, tracked } from '../support/pools.js'
import { Relay } from '../support/relay.js'

const FULL = 'timeout exceeded when trying to connect'
const LIMITS = { connectionTimeoutMillis: 700, silentMillis: 10_000 }

describe('connectionTimeoutMillis is shorter than silentMillis', () => {
  let cluster: Cluster
  let relay: Relay
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
  })
  after(() => cluster.destroy())
  beforeEach(async () => {
    relay = await Relay.start(cluster.node(0))
  })
  afterEach(async () => {
    await relay.close()
    await endPools()
  })

  const made = async (max: number, ports: readonly number[]) => {
    const { user, password, database, host } = cluster.config(0)
    const where = { host: ports.map(() => host), port: [...ports] }
    const pool = tracked({ user, password, database, ...where, ...LIMITS, max })
    await pool.ready()
    await pool.query('create table if not exists items (id int)')
    return pool
  }
  const write = 'insert into items values (1)'

  for (const [what, max] of [
    ['all connections are stuck', 1],
    ['a new one is dialed', 2],
  ] as const) {
    it(`${what}: PGHERD_TIMEOUT, which tells of every node`, async () => {
      const pool = await made(max, [relay.port, cluster.node(1).port])
      relay.impose({ silent: ['toServer', 'toClient'] })
      pool.query(write).catch(() => undefined)
      await assert.rejects(pool.query(write), (error: PgherdError) => {
        assert.deepEqual(
          [error.code, error.outcome, error.nodes.size],
          ['PGHERD_TIMEOUT', 'not-sent', 2],
          String(error)
        )
        assert.match(error.message, /connectionTimeoutMillis \(700 ms\): timeout exceeded .* attempts? to connect/)
        assert.match(error.message, /Nothing was heard of \S+ for \d+ ms|no answer to a probe in time/)
        assert.match(error.message, /replica \(in-recovery/)
        return true
      })
    })
  }

  it('all connections of a server that is well are busy: the error is pg’s', async () => {
    const pool = await made(1, [relay.port, cluster.node(1).port])
    const client = await pool.connect()
    await assert.rejects(pool.query(write), { message: FULL, outcome: 'not-sent' })
    client.release()
  })

  it('with one server it is pg’s, too', async () => {
    const pool = await made(1, [relay.port])
    relay.impose({ silent: ['toServer', 'toClient'] })
    pool.query(write).catch(() => undefined)
    await assert.rejects(pool.query(write), { message: FULL, outcome: 'not-sent' })
  })
})
