// A probe has its questions parsed and planned once, where its connection leads to the server itself; and it does without where the
// session is another one all at once.

import assert from 'node:assert/strict'
import pg from 'pg'
import { intakeOf, ProbeConnection } from '../../src/herd/probe-connection.js'
import { answered } from '../../src/pg/own-query.js'
import { type Cluster, startCluster } from '../support/cluster.js'

describe('questions of a probe', () => {
  let cluster: Cluster
  let connection: ProbeConnection
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
  })
  afterEach(() => connection.drop())
  after(() => cluster.destroy())

  function probeOf(index: number, more: (client: pg.Client) => void = () => {}): ProbeConnection {
    const makeClient = () => {
      const client = new pg.Client({ ...cluster.config(index), pipeline: true })
      more(client)
      return client
    }
    return new ProbeConnection(makeClient, intakeOf(null, 'configured'), () => {})
  }

  async function prepared(): Promise<number> {
    const { ready } = connection
    assert.ok(ready)
    const [row] = await answered(ready, 'select count(*) as count from pg_prepared_statements')
    return Number(row?.count)
  }

  for (const index of [0, 1]) {
    it(`are prepared once each on a ${index === 0 ? 'primary' : 'replica'}, and answered as before`, async () => {
      connection = probeOf(index)
      const first = await connection.look('full')
      assert.equal(await prepared(), 0)
      for (let i = 0; i < 3; i++) await connection.look('lean')
      assert.equal(await prepared(), 1)
      const last = await connection.look('full')
      assert.equal(await prepared(), 2)
      assert.deepEqual(Object.keys(last), Object.keys(first))
      assert.equal(last.inRecovery, index === 1)
      assert.deepEqual(last.detail?.systemIdentifier, first.detail?.systemIdentifier)
    })
  }

  it('are answered where the session has forgotten them, as behind a pooler', async () => {
    connection = probeOf(0)
    await connection.look('full')
    await connection.look('lean')
    const { ready } = connection
    assert.ok(ready)
    await answered(ready, 'deallocate all')
    assert.equal((await connection.look('lean')).inRecovery, false)
    await connection.look('lean')
    assert.equal(await prepared(), 0)
  })

  it('are not prepared where the login told of another process than the session is, as poolers do', async () => {
    connection = probeOf(0, (client) => {
      client.once('connect', () => Object.assign(client, { processID: 1 }))
    })
    for (let i = 0; i < 3; i++) await connection.look('full')
    assert.equal(await prepared(), 0)
  })

  it('for the details wait for a change, where only a change brings anything new', async () => {
    connection = probeOf(1)
    assert.notEqual((await connection.look('changed')).detail, null)
    assert.equal((await connection.look('changed')).detail, null)
    await cluster.promote(1)
    const promoted = await connection.look('changed')
    assert.deepEqual([promoted.inRecovery, promoted.detail === null], [false, false])
  })
})
