// What does not fit into a sequence of faults, as it needs names, addresses or clusters of its own: each a story by itself,
// under writers whose account must be right at the end.

import assert from 'node:assert/strict'
import dns from 'node:dns/promises'
import { once } from 'node:events'
import { syncBuiltinESMExports } from 'node:module'
import { createServer } from 'node:net'
import type { Pool } from '../../src/index.js'
import { type Cluster, type ClusterOptions, startCluster } from '../support/cluster.js'
import { Ledger } from '../support/ledger.js'
import { endPools, eventually, keyOf, poolOn, tracked } from '../support/pools.js'
import { Relay } from '../support/relay.js'

const clusters: Cluster[] = []
const relays: Relay[] = []
const resolve = dns.lookup

async function started(options: ClusterOptions): Promise<Cluster> {
  const cluster = await startCluster(options)
  clusters.push(cluster)
  return cluster
}

async function atWork(pool: Pool): Promise<Ledger> {
  await pool.ready({ replicas: 1 })
  const ledger = await Ledger.create(pool)
  ledger.start(3)
  await ledger.progress(20)
  return ledger
}

/** `breaks`: how often connections were cut off; each of the three writers may have had a statement under way then. */
async function settled(ledger: Ledger, breaks: number): Promise<void> {
  await ledger.progress(20)
  await ledger.stop()
  const { lost, doubled, resurrected, unknown, errors } = await ledger.account()
  assert.deepEqual({ lost, doubled, resurrected }, { lost: [], doubled: [], resurrected: [] })
  assert.ok(unknown <= 3 * breaks, errors.join(', '))
}

async function count(cluster: Cluster, node: number): Promise<number | undefined> {
  const client = await cluster.connect(node, 'postgres')
  const { rows } = await client.query<{ n: number }>('select count(*)::int as n from ledger')
  await client.end()
  return rows[0]?.n
}

describe('chaos of names, addresses and clusters', () => {
  afterEach(async () => {
    dns.lookup = resolve
    syncBuiltinESMExports()
    await Promise.all([
      endPools(),
      ...clusters.splice(0).map((cluster) => cluster.destroy()),
      ...relays.splice(0).map((relay) => relay.close()),
    ])
  })

  it('the name fails, is empty, forgets the primary, and the primary dies meanwhile', async function () {
    if (process.platform !== 'linux') this.skip() // one loopback address only
    const listener = createServer().listen(0, '127.0.0.21')
    await once(listener, 'listening')
    const { port } = listener.address() as { port: number }
    listener.close()
    const hosts = ['127.0.0.21', '127.0.0.22', '127.0.0.23']
    const cluster = await started({ hosts, ports: hosts.map(() => port), synchronous: 'ANY 1 (*)' })
    let answer: () => Promise<readonly string[]> = async () => hosts
    let asked = 0
    dns.lookup = (async () => {
      asked++
      return (await answer()).map((address) => ({ address, family: 4 }))
    }) as unknown as typeof dns.lookup
    syncBuiltinESMExports()
    const another = async () => {
      const before = asked
      await eventually('the name is looked up again', () => asked > before)
    }
    const { user, password, database } = cluster.config(0, 'monitor')
    const pool = tracked({ user, password, database, host: 'db.chaos.test', port, discovery: 'dns' })
    const ledger = await atWork(pool)
    const known = () => {
      const { nodes } = pool.topology()
      return nodes.flatMap(({ key, origin }) => (origin === 'configured' ? [key] : [])).sort()
    }
    const all = known()
    assert.equal(all.length, 3)

    answer = async () => []
    await another()
    answer = () => Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }))
    await another()
    await ledger.progress(20)
    assert.deepEqual(known(), all)

    answer = async () => hosts.slice(1)
    await another()
    await ledger.progress(20)
    assert.equal(pool.topology().primary, keyOf(cluster, 0), 'it serves until it stops')

    await cluster.kill(0)
    await cluster.promote(1)
    await cluster.follow(2, 1)
    await settled(ledger, 1)
    assert.equal(pool.topology().primary, keyOf(cluster, 1))
  })

  it('another cluster comes up behind a seed, and is the only server that takes writes', async () => {
    const ours = await started({})
    const pool = poolOn(ours, {}, 'monitor')
    const ledger = await atWork(pool)
    await ours.stop(2, 'fast')
    // Clusters of one kind are copies of one template, and have one identifier.
    const theirs = await started({ replicas: 0, ports: [ours.node(2).port], walSegmentMegabytes: 8 })
    const stranger = await theirs.connect(0, 'postgres')
    await stranger.query('create table ledger (id int not null, note text)')
    await stranger.query('grant all on ledger to monitor')
    const foreign = keyOf(ours, 2)
    await eventually('it is seen to be foreign', () =>
      pool.topology().nodes.some(({ key, state }) => key === foreign && state === 'foreign')
    )
    await ours.caughtUp(1, 0)
    await ledger.stop()
    await ours.caughtUp(1, 0)
    await ours.kill(0)
    const waiting = pool.query("insert into ledger values (-1, 'waits')")
    await eventually('the primary is known to be gone', () => pool.topology().primary === null)
    await ours.promote(1)
    await waiting
    assert.equal(pool.topology().primary, keyOf(ours, 1))
    assert.equal((await stranger.query('select 1 from ledger')).rowCount, 0)
    await pool.query('delete from ledger where id = -1')
    const { lost, doubled, resurrected } = await ledger.account()
    assert.deepEqual([lost, doubled, resurrected], [[], [], []])
  })

  it('one server under two addresses, and either of them fails', async () => {
    const cluster = await started({ synchronous: 'ANY 1 (*)' })
    const relay = await Relay.start(cluster.node(0))
    relays.push(relay)
    const { user, password, database } = cluster.config(0, 'monitor')
    const ports = [relay.port, ...cluster.nodes.map(({ port }) => port)]
    const pool = tracked({ user, password, database, host: ports.map(() => '127.0.0.1'), port: ports })
    const ledger = await atWork(pool)
    const states = () => pool.topology().nodes.map(({ state }) => state)
    assert.deepEqual(states().sort(), ['alias', 'primary', 'replica', 'replica'])

    await relay.refuse()
    relay.reset()
    await ledger.progress(20)
    await eventually('it serves under its own address', () => pool.topology().primary === keyOf(cluster, 0))
    await relay.accept()
    await cluster.switchover(1)
    await settled(ledger, 2)
    assert.equal(pool.topology().primary, keyOf(cluster, 1))
  })

  it('both replicas are promoted: neither is written to until one follows the other', async () => {
    const cluster = await started({})
    const pool = poolOn(cluster, { silentMillis: 300 }, 'monitor')
    const ledger = await atWork(pool)
    await ledger.stop()
    for (const node of [1, 2]) await cluster.caughtUp(node, 0)
    await cluster.kill(0)
    await eventually('the primary is known to be gone', () => pool.topology().primary === null)
    await Promise.all([cluster.promote(1), cluster.promote(2)])
    await eventually('two claim', () => {
      const { nodes } = pool.topology()
      return nodes.filter(({ state }) => state === 'claimant').length === 2
    })
    const before = [await count(cluster, 1), await count(cluster, 2)]
    const refused = await pool.query("insert into ledger values (-1, 'x')").catch((error: unknown) => error)
    const { code, outcome } = refused as { code?: string; outcome?: string }
    assert.deepEqual([code, outcome], ['PGHERD_CONTESTED_PRIMARY', 'not-sent'])
    assert.deepEqual([await count(cluster, 1), await count(cluster, 2)], before)

    await cluster.reclone(2, 1)
    assert.ok(await ledger.insert())
    assert.equal(pool.topology().primary, keyOf(cluster, 1))
    const { lost, doubled, resurrected } = await ledger.account()
    assert.deepEqual([lost, doubled, resurrected], [[], [], []])
  })

  it('the primary comes back on an old copy of its data, on a lower timeline', async () => {
    const cluster = await started({})
    const pool = poolOn(cluster, {}, 'monitor')
    const ledger = await atWork(pool)
    await ledger.stop()
    await cluster.caughtUp(1, 0)
    await cluster.kill(0)
    await cluster.promote(1)
    await cluster.follow(2, 1)
    assert.ok(await ledger.insert())
    // It has never been a replica of the new one.
    await cluster.start(0)
    await eventually('it is seen to claim', () =>
      pool.topology().nodes.some(({ key, state }) => key === keyOf(cluster, 0) && state === 'claimant')
    )
    const before = await count(cluster, 0)
    await cluster.stop(1, 'immediate')
    const waiting = ledger.insert()
    await eventually('the primary is known to be gone', () => pool.topology().primary === null)
    await cluster.start(1)
    assert.ok(await waiting)
    assert.equal(await count(cluster, 0), before)
    const { lost, doubled, resurrected } = await ledger.account()
    assert.deepEqual([lost, doubled, resurrected], [[], [], []])
  })
})
