// A replica serves a bounded read only while it is proven to be within the bound, whatever keeps it behind.

import assert from 'node:assert/strict'
import type { Pool } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn } from '../support/pools.js'

interface Lag {
  readonly name: string
  readonly begin: (cluster: Cluster) => Promise<void>
  readonly end: (cluster: Cluster) => Promise<void>
}

const LAGS: readonly Lag[] = [
  { name: 'paused replay', begin: (c) => c.pauseReplay(1), end: (c) => c.resumeReplay(1) },
  { name: 'an apply delay', begin: (c) => c.delay(1, 60_000), end: (c) => c.delay(1, 0) },
  { name: 'a frozen walreceiver', begin: (c) => c.cut(1), end: (c) => c.heal(1) },
  { name: 'no primary_conninfo', begin: (c) => c.unplug(1), end: (c) => c.replug(1, 0) },
]

describe('lag bound', () => {
  let cluster: Cluster
  let setter: Pool
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    setter = poolOn(cluster, {}, 'app', [0])
    await setter.query('create table state (value int not null)')
    await setter.query('insert into state values (0)')
  })
  after(async () => {
    await endPools()
    await cluster.destroy()
  })

  const read = async (pool: Pool) =>
    (await pool.query<{ value: number }>('select value from state')).rows[0]?.value ?? -1
  const onReplica = (pool: Pool) => pool.explain('select value from state').node === keyOf(cluster, 1)

  for (const { name, begin, end } of LAGS) {
    it(`${name}: the replica is out when the bound is, no read is older, and it comes back`, async () => {
      const pool = poolOn(cluster, { maxLagMillis: 700 })
      await cluster.caughtUp(1, 0)
      await pool.ready({ replicas: 1 })
      await begin(cluster)
      try {
        // Another pool writes: only the bound protects these reads.
        const first = (await read(setter)) + 1
        await setter.query('update state set value = $1', [first])
        const written = performance.now()
        await eventually('the replica is out', async () => {
          const startedAt = performance.now()
          const value = await read(pool)
          assert.ok(
            value === first || startedAt - written <= 700,
            `a read ${startedAt - written} ms after the write missed it`
          )
          await new Promise((resolve) => setTimeout(resolve, 10))
          return value === first && !onReplica(pool)
        })
        // Or it would be asked to prove itself once more, as it is from time to time.
        const { refused, guarded } = pool.explain('select value from state')
        if (!guarded) assert.match(refused[keyOf(cluster, 1)] ?? '', /not replayed|position|is down/) // up to 12 a new primary_conninfo takes a restart
      } finally {
        await end(cluster)
      }
      await eventually('it serves again', () => onReplica(pool), 20_000)
      await pool.end()
    })
  }

  it('an idle primary is no lag', async () => {
    const pool = poolOn(cluster, { maxLagMillis: 400 })
    await pool.ready({ replicas: 1 })
    const until = performance.now() + 2000
    let proven = 0
    let asked = 0
    while (performance.now() < until) {
      await pool.query('select value from state')
      asked++
      if (onReplica(pool)) proven++
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.ok(proven > asked * 0.9, `${proven} of ${asked}`)
  })

  it("whenStale: 'error' rejects with PGHERD_NO_REPLICA and says why", async () => {
    const pool = poolOn(cluster, { whenStale: 'error', maxLagMillis: 300 })
    await pool.ready({ replicas: 1 })
    await cluster.pauseReplay(1)
    try {
      await setter.query('update state set value = value + 1')
      await eventually('the read is refused', async () => {
        const refused = await pool.query('select value from state').then(
          () => null,
          (error: Error & { code?: string }) => error
        )
        if (refused === null) return false
        assert.equal(refused.code, 'PGHERD_NO_REPLICA')
        assert.match(refused.message, /too-far-behind/)
        return true
      })
    } finally {
      await cluster.resumeReplay(1)
    }
  })
})
