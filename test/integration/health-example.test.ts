// examples/health.ts on real servers, through the loss of the primary and of everybody.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { serve } from '../../examples/health.js'
import { bareEnvironment, urlOf } from '../support/cli.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn } from '../support/pools.js'

describe('the example of a health endpoint', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
  })
  after(() => cluster.destroy())
  afterEach(endPools)

  it('the program tells where it listens, serves, and ends on SIGTERM', async () => {
    const program = fileURLToPath(new URL('../../examples/health.js', import.meta.url))
    const child = spawn(process.execPath, [program], { env: bareEnvironment({ DATABASE_URL: urlOf(cluster) }) })
    try {
      const [line] = await once(child.stdout, 'data')
      const url = String(line).trim()
      await eventually('it has found the primary', async () => {
        const { primary } = (await (await fetch(url, { headers: { accept: 'application/json' } })).json()) as {
          primary: string
        }
        return primary === keyOf(cluster, 0)
      })
      const closed = once(child, 'close')
      child.kill('SIGTERM')
      assert.deepEqual(await closed, [0, null])
    } finally {
      child.kill('SIGKILL')
    }
  })

  it('ready while a read would be served, alive whatever happens, and a page that names the trouble', async () => {
    const pool = poolOn(cluster, { maxStaleMillis: 60_000 })
    const { url, close } = await serve(pool)
    const answer = async (path: string, accept = '*/*') => {
      const response = await fetch(`${url}/health/${path}`, { headers: { accept } })
      return { status: response.status, text: await response.text() }
    }
    const ready = () => answer('ready')
    try {
      // The first answer, before anybody was asked.
      assert.equal((await ready()).status, 503)
      await pool.ready({ replicas: 1 })
      const { status, text } = await ready()
      const { writable, primary } = JSON.parse(text)
      assert.deepEqual([status, writable, primary], [200, true, keyOf(cluster, 0)])
      const page = (await answer('topology', 'text/html')).text
      assert.match(page, new RegExp(`<h1>the primary is ${keyOf(cluster, 0)}, epoch 1</h1>`))
      assert.match(page, new RegExp(`<tr><td>${keyOf(cluster, 1)}</td><td>replica</td><td>\\d+ ms</td><td>\\d+</td>`))
      assert.equal(JSON.parse((await answer('topology', 'application/json')).text).nodes.length, 2)

      await cluster.stop(0, 'immediate')
      await eventually('writes have nowhere to go', async () => JSON.parse((await ready()).text).writable === false)
      assert.equal((await ready()).status, 200)
      await cluster.stop(1, 'immediate')
      await eventually('nobody is there', async () => (await ready()).status === 503)
      assert.equal((await answer('live')).status, 200)
      // What was met first is the kernel's to decide: a refusal, a reset, or the server's own last words.
      const rows = (await answer('topology', 'text/html')).text.match(/<tr class="bad">.*<td>[^<]+<\/td><\/tr>/g)
      assert.equal(rows?.length, 2)
    } finally {
      await close()
    }
  })
})
