import assert from 'node:assert/strict'
import pg from 'pg'
import type { Pool } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, keyOf, poolOn, served } from '../support/pools.js'
import { programOf, RESET, run, SCHEMA } from '../support/programs.js'

const PROGRAMS = Number(process.env.PGHERD_TEST_PROGRAMS ?? 2000)
const SEED = Number(process.env.PGHERD_TEST_SEED ?? 1)

/** pg.Pool on one server, and ours on a primary with a replica that has every commit before it is acknowledged. */
describe('random programs on one client', () => {
  let cluster: Cluster
  let control: pg.Pool
  let herd: Pool
  const admins: pg.Client[] = []
  before(async () => {
    cluster = await startCluster({
      replicas: 1,
      synchronous: 'ANY 1 (*)',
      settings: { synchronous_commit: 'remote_apply' },
    })
    await cluster.streaming(0, 1)
    const root = await cluster.connect(0, 'postgres')
    await root.query('create database control')
    for (const database of ['app', 'control']) {
      const admin = new pg.Client({ ...cluster.config(0, 'postgres'), database })
      await admin.connect()
      await admin.query(SCHEMA)
      admins.push(admin)
    }
    control = new pg.Pool({ ...cluster.config(0), database: 'control', max: 1 })
    herd = poolOn(cluster, { max: 1, maxLagMillis: Infinity, readYourWrites: 'off' })
    control.on('error', () => {})
    await herd.ready({ replicas: 1 })
  })
  after(async () => {
    await control?.end()
    await endPools()
    await Promise.all(admins.map((admin) => admin.end()))
    await cluster.destroy()
  })

  it(`${PROGRAMS} of them give the same rows, errors and order as on pg.Pool`, async function () {
    this.timeout(300_000)
    let refused = 0
    for (let i = 0; i < PROGRAMS; i++) {
      const seed = SEED * 1_000_000 + i
      const program = programOf(seed)
      await Promise.all(admins.map((admin) => admin.query(RESET)))
      const [expected, found] = await Promise.all([run(control, program), run(herd, program)])
      // Refused in so many words rather than done on the wrong server: what comes after that is another program.
      const end = found.findIndex((line) => line.includes('PGHERD_ON_REPLICA'))
      if (end >= 0) refused++
      const same = end < 0 ? expected.length : end
      assert.deepEqual(found.slice(0, same), expected.slice(0, same), `program ${seed}: ${JSON.stringify(program)}`)
    }
    assert.ok(refused < PROGRAMS / 50, `${refused} programs were refused`)
    const counts = served(herd)
    const onReplica = counts[keyOf(cluster, 1)] ?? 0
    console.log(`      (${onReplica} statements and transactions ran on the replica)`)
    assert.ok(onReplica > PROGRAMS, 'the replica was used')
  })
})
