// What does not fit into a sequence of faults, as it needs names, addresses or clusters of its own: each a story by itself,
// under writers whose account must be right at the end.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import dns from 'node:dns/promises'
import { once } from 'node:events'
import { mkdirSync, statSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { createServer } from 'node:net'
import { join } from 'node:path'
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

/** A small disk for the server; null: this machine lets nobody mount one, which is said. */
function mounted(cluster: Cluster): string | null {
  const { uid, gid } = statSync(cluster.node(0).directory)
  const place = join(cluster.node(0).directory, '..', 'small')
  mkdirSync(place)
  try {
    const options = `size=1m,mode=700,uid=${uid},gid=${gid}`
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', place], { stdio: 'pipe' })
    return place
  } catch (error) {
    console.log(`      (no disk can be mounted here: ${String(error).split('\n')[1] ?? error})`)
    return null
  }
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

  it('two are promoted: the first keeps the office, until a replica follows the other; then neither is written to', async () => {
    const cluster = await started({ replicas: 3 })
    const pool = poolOn(cluster, { silentMillis: 300 }, 'monitor')
    const ledger = await atWork(pool)
    await ledger.stop()
    for (const node of [1, 2, 3]) await cluster.caughtUp(node, 0)
    await cluster.kill(0)
    await eventually('the primary is known to be gone', () => pool.topology().primary === null)
    await Promise.all([cluster.promote(1), cluster.promote(2)])
    const claimants = () => pool.topology().nodes.filter(({ state }) => state === 'claimant')
    await eventually('one is the primary, and one claims', () => {
      return pool.topology().primary !== null && claimants().length === 1
    })
    const heir = pool.topology().primary === keyOf(cluster, 1) ? 1 : 2
    const other = 3 - heir
    const untouched = await count(cluster, other)
    for (let i = 0; i < 20; i++) assert.ok(await ledger.insert())
    assert.equal(await count(cluster, other), untouched)

    await cluster.follow(3, other)
    await eventually('two claim', () => claimants().length === 2)
    const before = [await count(cluster, 1), await count(cluster, 2)]
    const refused = await pool.query("insert into ledger values (-1, 'x')").catch((error: unknown) => error)
    const { code, outcome } = refused as { code?: string; outcome?: string }
    assert.deepEqual([code, outcome], ['PGHERD_CONTESTED_PRIMARY', 'not-sent'])
    assert.deepEqual([await count(cluster, 1), await count(cluster, 2)], before)

    await cluster.reclone(other, heir)
    assert.ok(await ledger.insert())
    assert.equal(pool.topology().primary, keyOf(cluster, heir))
    const { lost, doubled, resurrected } = await ledger.account()
    assert.deepEqual([lost, doubled, resurrected], [[], [], []])
  })

  it('the primary freezes, and what follows its heir tells so: writes go on, though silence would take a minute', async () => {
    const cluster = await started({ synchronous: 'ANY 1 (*)' })
    const pool = poolOn(cluster, { silentMillis: 60_000 }, 'monitor')
    const ledger = await atWork(pool)
    // What is under way would wait for the frozen one.
    await ledger.stop()
    for (const node of [1, 2]) await cluster.caughtUp(node, 0)
    await cluster.freeze(0)
    await cluster.promote(1)
    await cluster.follow(2, 1)
    let written = false
    // What was sent to the frozen one before that was known has an unknown fate.
    const waiting = (async () => {
      while (!(await ledger.insert()));
      written = true
    })()
    try {
      await eventually('a write goes on', () => written, 15_000)
      assert.equal(pool.topology().primary, keyOf(cluster, 1))
      await cluster.thaw(0)
      await eventually('the old one is seen to claim', () =>
        pool.topology().nodes.some(({ key, state }) => key === keyOf(cluster, 0) && state === 'claimant')
      )
      assert.ok(await ledger.insert())
      const { lost, doubled, resurrected } = await ledger.account()
      assert.deepEqual([lost, doubled, resurrected], [[], [], []])
    } finally {
      await cluster.thaw(0)
      await Promise.all([endPools(), waiting])
    }
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
    await eventually('the primary is known to be gone', () => pool.topology().primary === null)
    const waiting = ledger.insert()
    await cluster.start(1)
    assert.ok(await waiting)
    assert.equal(await count(cluster, 0), before)
    const { lost, doubled, resurrected } = await ledger.account()
    assert.deepEqual([lost, doubled, resurrected], [[], [], []])
  })

  it('a replica is promoted beside the primary: it takes over once the other one follows it, and not before', async () => {
    const cluster = await started({})
    const pool = poolOn(cluster, {}, 'monitor')
    const ledger = await atWork(pool)
    await ledger.stop()
    for (const node of [1, 2]) await cluster.caughtUp(node, 0)
    await cluster.promote(1)
    await eventually('it is seen to claim', () =>
      pool.topology().nodes.some(({ key, state }) => key === keyOf(cluster, 1) && state === 'claimant')
    )
    assert.ok(await ledger.insert())
    assert.equal(pool.topology().primary, keyOf(cluster, 0))
    await cluster.caughtUp(2, 0)
    const before = await count(cluster, 0)
    // What was written since the promotion is not there any more.
    await cluster.reclone(2, 1)
    await eventually('it is the primary', () => pool.topology().primary === keyOf(cluster, 1))
    for (let i = 0; i < 20; i++) assert.ok(await ledger.insert())
    assert.equal(await count(cluster, 0), before)
    assert.deepEqual((await ledger.account()).doubled, [])
  })

  it('a server of this cluster comes back empty: it gets nothing, also when the primary is lost', async () => {
    const cluster = await started({})
    const pool = poolOn(cluster, {}, 'monitor')
    const ledger = await atWork(pool)
    await cluster.stop(2, 'fast')
    // Clusters of one kind are copies of one template, and have one identifier: this one on the first timeline, and nothing in it.
    const empty = await started({ replicas: 0, ports: [cluster.node(2).port] })
    const stranger = await empty.connect(0, 'postgres')
    await stranger.query('create table ledger (id int not null, note text)')
    await stranger.query('grant all on ledger to monitor')
    await eventually('it is seen to claim', () =>
      pool.topology().nodes.some(({ key, state }) => key === keyOf(cluster, 2) && state === 'claimant')
    )
    await ledger.progress(50)
    await ledger.stop()
    await cluster.caughtUp(1, 0)
    await cluster.kill(0)
    await eventually('the primary is known to be gone', () => pool.topology().primary === null)
    const waiting = ledger.insert()
    await cluster.promote(1)
    assert.ok(await waiting)
    assert.equal(pool.topology().primary, keyOf(cluster, 1))
    assert.equal((await stranger.query('select 1 from ledger')).rowCount, 0)
    const { lost, doubled, resurrected } = await ledger.account()
    assert.deepEqual([lost, doubled, resurrected], [[], [], []])
  })

  it('a disk is full: the statement is refused, undone and not repeated, and nobody is given up', async function () {
    const cluster = await started({ replicas: 0 })
    const place = mounted(cluster)
    if (place === null) return this.skip()
    try {
      const admin = await cluster.connect(0, 'postgres')
      await admin.query(`create tablespace small location '${place}'`)
      await admin.query('create table crate (id int, stuff text) tablespace small')
      await admin.query('grant all on crate to monitor')
      await admin.end()
      const relay = await Relay.start(cluster.node(0))
      relays.push(relay)
      const pool = poolOn(
        cluster,
        { host: ['127.0.0.1', '127.0.0.1'], port: [cluster.node(0).port, relay.port] },
        'monitor'
      )
      await pool.ready()
      const fill =
        "insert into crate select $1, string_agg(md5(i::text), '') from generate_series(1, 100) i, generate_series(1, 20)"
      const picture = () => {
        const { primary, nodes } = pool.topology()
        return { primary, nodes: nodes.map(({ suspect, generation, state }) => [suspect, generation, state]) }
      }
      const known = () => pool.topology().nodes.every(({ suspect, state }) => !suspect && state !== 'unknown')
      await eventually('both addresses are known', known)
      const before = picture()
      let filled = 0
      const full = await (async () => {
        for (;;) {
          await pool.query(fill, [filled])
          filled++
        }
      })().catch((error: { readonly code?: string; readonly outcome?: string }) => error)
      assert.deepEqual([full.code, full.outcome], ['53100', 'rolled-back'])
      const { rows } = await pool.query<{ n: number; last: number }>(
        'select count(*)::int as n, max(id) as last from crate'
      )
      assert.deepEqual(rows, [{ n: filled, last: filled - 1 }])
      await pool.query('create table elsewhere as select 1 as n')
      assert.deepEqual(picture(), before)
    } finally {
      execFileSync('umount', ['--lazy', place])
    }
  })

  it('an address behind which servers take turns, through a switchover and a crash', async () => {
    const cluster = await started({ synchronous: 'ANY 1 (*)' })
    const [one, two, three] = cluster.nodes
    assert.ok(one && two && three)
    const relay = await Relay.start(one, two, three)
    relays.push(relay)
    const { user, password, database } = cluster.config(0, 'monitor')
    const ports = [relay.port, one.port, two.port] // the third has no other address
    const pool = tracked({ user, password, database, host: ports.map(() => '127.0.0.1'), port: ports })
    await pool.ready()
    const shared = `127.0.0.1:${relay.port}`
    await eventually('it is known for what it is', () => {
      if (/several servers/.test(pool.explain('select 1').refused[shared] ?? '')) return true
      const links = [...relay.links]
      // Another one, once this one has told who it is.
      if (links.length > 0 && links.every(({ bytes }) => bytes.toClient > 1200)) relay.reset()
      return false
    })
    const ledger = await atWork(pool)
    await ledger.progress(50)
    await cluster.switchover(1)
    await ledger.progress(50)
    await cluster.kill(1)
    await cluster.promote(0)
    await cluster.follow(2, 0)
    await settled(ledger, 2)
  })
})
