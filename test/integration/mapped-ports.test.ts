// Servers behind mapped ports: what a replica says of its sender is no address that the pool dials.

import assert from 'node:assert/strict'
import { type Pool, type PoolConfig, replication } from '../../src/index.js'
import { type Cluster, type Role, startCluster } from '../support/cluster.js'
import { endPools, eventually, served, tracked } from '../support/pools.js'
import { Relay } from '../support/relay.js'
import { warnings } from '../support/warnings.js'

for (const role of ['app', 'monitor'] as readonly Role[]) {
  describe(`servers behind mapped ports, as ${role}`, () => {
    let cluster: Cluster
    let relays: Relay[]
    beforeEach(async () => {
      cluster = await startCluster({ replicas: 2 })
      await cluster.streaming(0, 2)
      const client = await cluster.connect(0, 'postgres')
      await client.query('create table ledger (id int); grant all on ledger to app, monitor')
      await client.end()
      relays = await Promise.all(cluster.nodes.map(({ host, port }) => Relay.start({ host, port })))
    })
    afterEach(async () => {
      await endPools()
      await Promise.all(relays.map((relay) => relay.close()))
      await cluster.destroy()
    })

    const keyOf = (index: number) => `127.0.0.1:${relays[index]?.port}`
    const mapped = (): Pool => {
      const { user, password, database } = cluster.config(0, role)
      return tracked({
        user,
        password,
        database,
        host: relays.map(() => '127.0.0.1'),
        port: relays.map(({ port }) => port),
      })
    }
    const serves = (pool: Pool, index: number) => {
      const before = served(pool)[keyOf(index)] ?? 0
      return eventually(`replica ${index} serves`, async () => {
        await pool.query('select 1 from ledger limit 1')
        return (served(pool)[keyOf(index)] ?? 0) > before
      })
    }
    const write = async (pool: Pool) => {
      await pool.query('insert into ledger values (1)')
    }

    it('a replica serves on beside a test promotion of the other', async () => {
      const pool = mapped()
      await pool.ready({ replicas: 2 })
      await serves(pool, 2)
      await cluster.promote(1)
      await eventually(
        'it claims',
        () => pool.topology().nodes.find(({ key }) => key === keyOf(1))?.state === 'claimant'
      )
      await write(pool)
      await serves(pool, 2)
      assert.equal(pool.topology().primary, keyOf(0))
    })

    it('a replica serves again after a failover, without a checkpoint', async () => {
      const pool = mapped()
      await pool.ready({ replicas: 2 })
      await serves(pool, 2)
      await cluster.stop(0, 'immediate')
      await cluster.promote(1)
      await cluster.follow(2, 1)
      await write(pool)
      // A relay accepts for a server that is gone, which a plain role takes for one that may still send.
      if (role === 'app') await relays[0]?.close()
      await serves(pool, 2)
    })
  })
}

describe('a replica that is discovered behind mapped ports', () => {
  let cluster: Cluster
  let relay: Relay
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    relay = await Relay.start(cluster.node(0))
  })
  afterEach(endPools)
  after(async () => {
    await relay?.close()
    await cluster?.destroy()
  })

  const found = async (options: PoolConfig): Promise<readonly string[]> => {
    const told = await warnings(async () => {
      // Another name of the machine, so that what is found is no node yet.
      const { user, password, database } = cluster.config(0, 'monitor')
      const pool = tracked({ user, password, database, host: 'localhost', ...options })
      await pool.ready()
      await eventually('the replica is listed', () => pool.topology().nodes.length > 1)
    })
    return told.map(({ code }) => code)
  }
  const address = () => ({ host: cluster.node(1).host, port: cluster.node(1).port })

  it('is warned of where its port is a guess, and where the primary has another one', async () => {
    assert.deepEqual(await found({ port: relay.port }), ['PGHERD_PORTS'])
  })
  it('is not where the application says where it listens, nor where the primary is reached directly', async () => {
    assert.deepEqual(await found({ port: relay.port, discovery: replication({ address }) }), [])
    assert.deepEqual(await found({ port: cluster.node(0).port }), [])
  })
})
