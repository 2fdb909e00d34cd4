// A standby that lives on a WAL archive alone: no server sends to it, so no privilege shows whom it follows.

import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Cluster, type Role, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn } from '../support/pools.js'

describe('a standby that lives on a WAL archive alone', () => {
  let cluster: Cluster
  let archive: string
  before(async () => {
    archive = mkdtempSync(join(tmpdir(), 'archive-'))
    // The servers may run as another user.
    chmodSync(archive, 0o777)
    cluster = await startCluster({
      replicas: 2,
      settings: {
        archive_mode: 'on',
        archive_command: `cp %p ${archive}/%f`,
        restore_command: `cp ${archive}/%f %p`,
        wal_retrieve_retry_interval: 100,
      },
    })
    await cluster.unplug(2)
    await cluster.stop(0, 'immediate')
    await cluster.promote(1)
  })
  afterEach(endPools)
  after(async () => {
    await cluster?.destroy()
    rmSync(archive, { recursive: true, force: true })
  })

  for (const role of ['app', 'monitor'] as readonly Role[]) {
    it(`after a failover ${role} is told of its restartpoint, and of no grant`, async () => {
      const pool = poolOn(cluster, {}, role)
      const standby = () => pool.topology().nodes.find(({ key }) => key === keyOf(cluster, 2))
      await pool.ready()
      await eventually('it is seen', () => standby()?.state === 'replica')
      assert.match(standby()?.refused ?? '', /not proved to follow .*: it receives nothing now, .* restartpoint/)
      assert.doesNotMatch(standby()?.refused ?? '', /GRANT/)
      assert.deepEqual(standby()?.hidden, [])
    })
  }

  it('what it is told to do helps', async () => {
    const primary = await cluster.connect(1, 'postgres')
    const standby = await cluster.connect(2, 'postgres')
    await primary.query('checkpoint; select pg_switch_wal()')
    const pool = poolOn(cluster)
    await pool.ready()
    const refused = () => pool.topology().nodes.find(({ key }) => key === keyOf(cluster, 2))?.refused ?? null
    await eventually('it has replayed the checkpoint and shows it', async () => {
      await standby.query('checkpoint')
      await pool.query('select 1')
      return !(refused() ?? '').includes('not proved to follow')
    })
  })
})
