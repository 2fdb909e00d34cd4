// An address that leads to another server than before, or to several in turn: a new connection says where it leads before
// anything is sent over it.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Pool } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, tracked } from '../support/pools.js'

/** An address in front of servers: `next` says for each connection which one it gets. */
async function addressOf(next: () => number, cluster: Cluster): Promise<{ port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((client) => {
    const { host, port } = cluster.node(next())
    const upstream = connect(port, host)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.pipe(to)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

describe('addresses', () => {
  let cluster: Cluster
  const closers: (() => Promise<void>)[] = []
  before(async () => {
    cluster = await startCluster({ replicas: 2 })
    await cluster.streaming(0, 2)
    const client = await cluster.connect(0)
    await client.query('create table ledger (id int not null)')
    await client.end()
    for (const index of [1, 2]) await cluster.caughtUp(index, 0)
  })
  afterEach(async () => {
    await endPools()
    for (const close of closers.splice(0)) await close()
  })
  after(() => cluster.destroy())

  async function poolAt(next: () => number, others: readonly number[]): Promise<{ pool: Pool; key: string }> {
    const { port, close } = await addressOf(next, cluster)
    closers.push(close)
    const { user, password, database } = cluster.config(0)
    const ports = [port, ...others.map((index) => cluster.node(index).port)]
    const pool = tracked({ user, password, database, host: ports.map(() => '127.0.0.1'), port: ports })
    return { pool, key: `127.0.0.1:${port}` }
  }
  const refusal = (pool: Pool, key: string) => pool.explain('select count(*) from ledger').refused[key]

  it('a write waits when its address leads to a replica, though connections made before still reach the primary', async () => {
    let target = 0
    const { pool, key } = await poolAt(() => target, [2])
    await pool.ready({ replicas: 1 })
    await pool.query('insert into ledger values (1)')
    const held = await pool.connect()
    assert.equal(pool.topology().primary, key)
    target = 1
    // There is one idle connection at most, and the others are made now.
    const writes = [2, 3, 4].map((id) => pool.query('insert into ledger values ($1)', [id]))
    await eventually('the address is known to have moved', () => pool.topology().primary === null)
    await assert.rejects(held.query('insert into ledger values (5)'), 'what leads to the old server is given up')
    held.release(true)
    target = 0
    await Promise.all(writes)
    const { rows } = await pool.query('/* pgherd:primary */ select id from ledger order by id')
    assert.deepEqual(
      rows.map(({ id }) => id),
      [1, 2, 3, 4]
    )
  })

  it('bounded reads do not use an address behind which servers take turns; unbounded ones may', async () => {
    let turn = 0
    const { pool, key } = await poolAt(() => 1 + (turn++ % 2), [0])
    await pool.ready()
    const read = () => pool.query('select count(*) from ledger')
    await eventually('it is known', async () => {
      await Promise.all(Array.from({ length: 6 }, read))
      return /several servers answer/.test(refusal(pool, key) ?? '')
    })
    const before = pool.decisions()
    await read()
    const counted = (list: ReturnType<Pool['decisions']>) =>
      list.filter(({ node }) => node === key).reduce((sum, { count }) => sum + count, 0)
    assert.equal(counted(pool.decisions()), counted(before))
    await pool.query({ text: 'select count(*) from ledger', maxLagMillis: Infinity, route: 'replica' })
    assert.ok(counted(pool.decisions()) > counted(before))
    assert.equal(pool.topology().primary, keyOf(cluster, 0))
  })

  it('a server that restarts is no balancer', async () => {
    const { pool, key } = await poolAt(() => 1, [0])
    await pool.ready({ replicas: 1 })
    for (let i = 0; i < 2; i++) {
      await cluster.stop(1, 'fast')
      await eventually('it is down', () => refusal(pool, key) === 'it is down')
      await cluster.start(1)
      await eventually('it serves', async () => {
        await pool.query('select count(*) from ledger')
        return refusal(pool, key) === undefined
      })
    }
  }).timeout(30_000)
})
