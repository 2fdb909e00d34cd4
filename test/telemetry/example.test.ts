// examples/tracing.ts as a user runs it, on real servers.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Cluster, startCluster } from '../support/cluster.js'

describe('examples/tracing', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
  })
  after(() => cluster.destroy())

  it('prints spans with the node of each statement, and metrics, and ends by itself', async () => {
    const { user, password, database } = cluster.config(0)
    const hosts = cluster.nodes.map(({ host, port }) => `${host}:${port}`).join(',')
    const program = fileURLToPath(new URL('../../examples/tracing.js', import.meta.url))
    const env = { ...process.env, DATABASE_URL: `postgres://${user}:${password ?? ''}@${hosts}/${database}` }
    const { stdout } = await promisify(execFile)(process.execPath, [program], { env, timeout: 30_000 })
    for (const name of ['GET /orders', 'CREATE TABLE orders', 'INSERT orders', 'SELECT orders']) {
      assert.ok(stdout.includes(`name: '${name}'`), name)
    }
    assert.match(stdout, /'db\.query\.text': 'select \* from orders where item = \?'/)
    assert.match(stdout, /name: 'pgherd\.decisions'/)
    assert.doesNotMatch(stdout, /\btea\b/)
  })
})
