// examples/sigterm.ts as a process of its own, on real servers: it ends in order, in the middle of a failover too.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Client } from 'pg'
import { type Cluster, startCluster } from '../support/cluster.js'
import { eventually } from '../support/pools.js'

const PROGRAM = fileURLToPath(new URL('../../examples/sigterm.js', import.meta.url))

describe('examples/sigterm.ts', () => {
  let cluster: Cluster
  let service: ChildProcess
  let url: string
  beforeEach(async () => {
    cluster = await startCluster({ replicas: 1 })
    const [first, second] = [cluster.config(0), cluster.node(1)]
    const hosts = `${first.host}:${first.port},${second.host}:${second.port}`
    const env = { ...process.env, DATABASE_URL: `postgres://app:app@${hosts}/app`, NOTICE_MILLIS: '300', PORT: '0' }
    service = spawn(process.execPath, [PROGRAM], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    const [line] = (await once(service.stdout ?? service, 'data')) as [Buffer]
    url = `http://127.0.0.1:${/\d+/.exec(String(line))?.[0]}`
  })
  afterEach(async () => {
    service.kill('SIGKILL')
    await cluster.destroy()
  })

  const statusOf = async (path: string) => (await fetch(url + path, { headers: { connection: 'close' } })).status
  const exited = async () => (await once(service, 'exit'))[0] as number | null
  const orders = async (client: Client) => (await client.query('select * from orders')).rowCount

  it('says no to the readiness probe first, and ends when all is done', async () => {
    assert.deepEqual([await statusOf('/alive'), await statusOf('/ready'), await statusOf('/')], [200, 200, 201])
    const exit = exited()
    service.kill('SIGTERM')
    await eventually('it says no', async () => (await statusOf('/ready')) === 503)
    assert.deepEqual([await statusOf('/alive'), await statusOf('/')], [200, 201])
    assert.equal(await exit, 0)
    assert.equal(await orders(await cluster.connect(0)), 2)
  })

  it('lets requests finish that wait for a promotion', async () => {
    // Several, so that a position is known that a replica can be measured by.
    for (let i = 0; i < 10; i++) assert.equal(await statusOf('/'), 201)
    await cluster.caughtUp(1, 0)
    await cluster.kill(0)
    const ordered = statusOf('/')
    await eventually('reads are served', async () => (await statusOf('/ready')) === 200)
    const exit = exited()
    service.kill('SIGTERM')
    await eventually('it says no', async () => (await statusOf('/ready')) === 503)
    await cluster.promote(1)
    assert.deepEqual([await ordered, await exit], [201, 0])
    assert.equal(await orders(await cluster.connect(1)), 11)
  })

  it('tells that it does not know, where the server froze, and ends all the same', async () => {
    const lock = await cluster.connect(0, 'postgres')
    await lock.query('begin; lock table orders')
    const ordered = statusOf('/')
    await eventually('it waits', async () => {
      return (await lock.query("select 1 from pg_stat_activity where wait_event_type = 'Lock'")).rowCount === 1
    })
    const exit = exited()
    service.kill('SIGTERM')
    await eventually('it says no', async () => (await statusOf('/ready')) === 503)
    await cluster.freeze(0)
    assert.deepEqual([await ordered, await exit], [500, 0])
    await cluster.thaw(0)
  })
})
