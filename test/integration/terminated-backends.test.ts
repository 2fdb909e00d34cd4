// One dead connection of a healthy primary is one dead connection: nothing else is closed, nobody is convicted.

import assert from 'node:assert/strict'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn } from '../support/pools.js'

describe('terminated backends', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
  })
  after(() => cluster.destroy())
  afterEach(endPools)

  const processes = async () => {
    const client = await cluster.connect(0, 'postgres')
    const text =
      "select pid from pg_stat_activity where usename = 'app' and application_name <> 'pgherd probe' order by pid"
    const { rows } = await client.query<{ pid: number }>(text)
    await client.end()
    return rows.map(({ pid }) => pid)
  }
  const terminate = async (pid: number) => {
    const client = await cluster.connect(0, 'postgres')
    await client.query('select pg_terminate_backend($1)', [pid])
    await eventually('the backend is gone', async () => {
      return (await client.query('select 1 from pg_stat_activity where pid = $1', [pid])).rowCount === 0
    })
    await client.end()
  }

  it('an idle and a busy one: the others live on, and the next write succeeds', async () => {
    const pool = poolOn(cluster, { max: 6 })
    await pool.ready({ replicas: 1 })
    const clients = await Promise.all(Array.from({ length: 6 }, () => pool.connect()))
    for (const client of clients) client.release()
    const before = await processes()
    assert.equal(before.length, 6)

    const busy = await pool.connect()
    const [idle] = before.filter((pid) => pid !== (busy as unknown as { processID: number }).processID)
    const sleeping = busy.query('/* pgherd:primary */ select pg_sleep(60)').then(
      () => null,
      (error: Error & { code?: string }) => error
    )
    await terminate(idle as number)
    await terminate((busy as unknown as { processID: number }).processID)
    assert.equal((await sleeping)?.code, '57P01')
    busy.release(true)
    await pool.query('create table if not exists afterwards (id int)')
    await eventually('suspicion is lifted', () => pool.topology().nodes.every(({ suspect }) => !suspect))

    const left = (await processes()).filter((pid) => before.includes(pid))
    assert.equal(left.length, 4)
    const { nodes, primary, epoch } = pool.topology()
    assert.deepEqual([primary, epoch], [keyOf(cluster, 0), 1])
    assert.ok(nodes.every(({ generation }) => generation === 0))
  })

  it("the probe's own: it connects again and nothing else happens", async () => {
    const pool = poolOn(cluster)
    await pool.ready({ replicas: 1 })
    await pool.query('create table if not exists afterwards (id int)')
    const before = await processes()
    const client = await cluster.connect(0, 'postgres')
    await client.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pgherd probe'")
    await pool.query('insert into afterwards values (1)')
    await eventually('suspicion is lifted', () => pool.topology().nodes.every(({ suspect }) => !suspect))
    assert.deepEqual(await processes(), before)
    assert.ok(pool.topology().nodes.every(({ generation }) => generation === 0))
  })
})
