// A primary that comes back and refuses logins is not waited for: its own words are shown. A password that is a function's is
// asked for once more before they are.

import assert from 'node:assert/strict'
import type { Client } from 'pg'
import type { PoolClient, PoolConfig } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, poolOn } from '../support/pools.js'

const WRITE = 'insert into items values (1)'

describe('logins that are refused', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 1, auth: 'scram-sha-256' })
    await onPrimary('create table items (id int)', 'grant all on items to app')
  })
  after(() => cluster.destroy())
  afterEach(endPools)

  const onPrimary = async (...texts: readonly string[]) => {
    const client: Client = await cluster.connect(0, 'postgres')
    for (const text of texts) await client.query(text)
    await client.end()
  }
  const made = async (options: PoolConfig = {}) => {
    const pool = poolOn(cluster, { silentMillis: 500, ...options })
    await pool.ready({ replicas: 1 })
    await pool.query(WRITE)
    return pool
  }

  for (const [what, change, undo, code] of [
    ['a new password', "alter role app password 'new'", "alter role app password 'app'", '28P01'],
    [
      'an expired password',
      "alter role app valid until '2000-01-01'",
      "alter role app valid until 'infinity'",
      '28P01',
    ],
    ['nologin', 'alter role app nologin', 'alter role app login', '28000'],
    [
      'no right to connect',
      'revoke connect on database app from public, app',
      'grant connect on database app to public, app',
      '42501',
    ],
  ] as const) {
    it(`${what} of a primary that has restarted: ${code} at once, while the replica is in recovery`, async () => {
      const pool = await made()
      await cluster.stop(0, 'fast')
      const waits = pool.query(WRITE)
      waits.catch(() => {})
      await eventually('it waits', () => pool.health().waiting === 1)
      await cluster.start(0)
      // The pool still had the old password when the primary came back.
      await onPrimary(change)
      await onPrimary("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'")
      try {
        await waits.catch(() => {})
        await eventually('it is refused', async () => {
          const begun = Date.now()
          const error = await pool.query(WRITE).then(
            () => null,
            (thrown: unknown) => thrown as { readonly code?: string; readonly outcome?: string }
          )
          if (error?.code !== code) return false
          assert.equal(error.outcome, 'not-sent')
          return Date.now() - begun < 10_000
        })
      } finally {
        await onPrimary(undo)
        await cluster.streaming(0, 1)
      }
    })
  }

  it('a statement that waits for the primary gets the refusal, not PGHERD_NO_PRIMARY', async () => {
    await onPrimary("alter role app password 'old'")
    await cluster.caughtUp(1, 0)
    const pool = poolOn(cluster, { password: 'old', silentMillis: 500 })
    await pool.ready({ replicas: 1 })
    await onPrimary("alter role app password 'app'")
    await cluster.stop(0, 'fast')
    await eventually('it is down', () => pool.topology().primary === null)
    const waits = assert.rejects(pool.query(WRITE), { code: '28P01', outcome: 'not-sent' })
    await cluster.start(0)
    await waits
    await cluster.streaming(0, 1)
  })

  it('at a cold start with several hosts', async () => {
    // The replica has not replayed the new password yet.
    await cluster.pauseReplay(1)
    await onPrimary("alter role app password 'new'")
    try {
      const pool = poolOn(cluster)
      await assert.rejects(pool.query(WRITE), { code: '28P01', outcome: 'not-sent' })
    } finally {
      await onPrimary("alter role app password 'app'")
      await cluster.resumeReplay(1)
      await cluster.caughtUp(1, 0)
    }
  })

  it('a password function that throws: its own error, at once', async () => {
    let fails = false
    const own = Object.assign(new Error('no secret today'), { code: 'ECONNREFUSED' })
    const pool = await made({
      password: () => {
        if (fails) throw own
        return 'app'
      },
    })
    await cluster.stop(0, 'fast')
    await eventually('it is down', () => pool.topology().primary === null)
    fails = true
    const waits = assert.rejects(pool.query(WRITE), (error) => error === own)
    await cluster.start(0)
    await waits
    await cluster.streaming(0, 1)
  })

  for (const nodes of [[0], [0, 1]]) {
    it(`a rotated password: the function is asked once more, for the pool and for probes (${nodes.length} hosts)`, async () => {
      let asked = 0
      let outdated = false
      // A probe may ask between two calls of one login: whichever login asks first gets the old password, and only once.
      const password = () => {
        asked++
        const is = outdated
        outdated = false
        return is ? 'outdated' : 'app'
      }
      const pool = poolOn(cluster, { discovery: 'dns', password }, 'app', nodes)
      await pool.query(WRITE)
      asked = 0
      const clients: PoolClient[] = []
      for (let i = 0; i < 3; i++) {
        outdated = true
        clients.push(await pool.connect())
      }
      assert.ok(asked >= 4)
      for (const client of clients) client.release()
    })
  }

  it('a function whose password stays wrong: 28P01 after two logins', async () => {
    let asked = 0
    const pool = poolOn(cluster, { discovery: 'dns', password: () => (asked++ < Infinity ? 'wrong' : '') }, 'app', [0])
    await assert.rejects(pool.query(WRITE), { code: '28P01', outcome: 'not-sent' })
    assert.ok(asked >= 2 && asked % 2 === 0, `asked ${asked} times`)
  })
})
