// An aborted statement is cancelled at its server, however the connection was dialed: a cancel request takes the same way.

import assert from 'node:assert/strict'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, poolOn } from '../support/pools.js'

const MARK = 'cancelled over tls'

describe('a cancel request dials as its connection did', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 1, tls: true })
    await cluster.streaming(0, 1)
  })
  afterEach(endPools)
  after(() => cluster?.destroy())

  for (const sslnegotiation of ['postgres', 'direct']) {
    for (const nodes of [[0], [0, 1]]) {
      it(`sslnegotiation ${sslnegotiation}, ${nodes.length} hosts`, async function () {
        if (sslnegotiation === 'direct' && cluster.major < 17) {
          console.log('      skipped: PostgreSQL before 17 has no direct TLS negotiation')
          this.skip()
        }
        const pool = poolOn(cluster, { sslnegotiation } as object, 'app', nodes)
        await pool.ready()
        const watcher = await cluster.connect(0, 'postgres')
        try {
          const running = async () => {
            const text = `select count(*)::int as n from pg_stat_activity where state = 'active' and query like '%${MARK}' and pid <> pg_backend_pid()`
            return (await watcher.query<{ n: number }>(text)).rows[0]?.n === 1
          }
          const stop = new AbortController()
          const text = `select pg_sleep(600) -- ${MARK}`
          const sleeping = pool.query({ text, route: 'primary', signal: stop.signal })
          await eventually('it runs', running)
          stop.abort()
          await assert.rejects(sleeping, { name: 'AbortError' })
          await eventually('it is cancelled', async () => !(await running()))
        } finally {
          await watcher.end()
        }
      })
    }
  }
})
