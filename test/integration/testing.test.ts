// pgherd/testing as a user has it: the snippet of docs/testing.md is examples/failover-test.ts, and mocha runs it. Of what can be done
// to a cluster our own tests are the proof (cluster.test.ts); here is what only users call.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { type Cluster, startCluster } from 'pgherd/testing'

const root = fileURLToPath(new URL('../../../', import.meta.url))

describe('docs/testing.md', () => {
  const page = readFileSync(`${root}docs/testing.md`, 'utf8')

  it('shows examples/failover-test.ts', () => {
    const [, shown = ''] = /```ts\n(.*?)```/s.exec(page) ?? []
    assert.equal(shown, readFileSync(`${root}examples/failover-test.ts`, 'utf8'))
  })

  it('shows a test that passes, and ends by itself', async () => {
    const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js')
    const words = ['--no-package', '--no-config', '--timeout', '60000', `${root}dist/examples/failover-test.js`]
    const { stdout } = await promisify(execFile)(process.execPath, [mocha, ...words])
    assert.match(stdout, /2 passing/)
  })

  it('names every method and every option', () => {
    const types = readFileSync(`${root}src/testing/types.ts`, 'utf8')
    const membersOf = (name: string) => {
      const [, body = ''] = new RegExp(`export interface ${name} {\\n(.*?)\\n}`, 's').exec(types) ?? []
      return [...body.matchAll(/^ {2}(?:readonly )?(\w+)[?(:]/gm)].map(([, member = '']) => member)
    }
    const members = [...membersOf('ClusterOptions'), ...membersOf('Cluster')]
    assert.ok(members.length > 25)
    assert.deepEqual(
      members.filter((member) => !new RegExp(`\`[^\`]*\\b${member}\\b`).test(page)),
      []
    )
  })
})

describe('startCluster() of pgherd/testing', () => {
  let cluster: Cluster
  const steps: string[] = []
  before(async () => {
    cluster = await startCluster({ replicas: 1, auth: 'scram-sha-256', onStep: (step) => steps.push(step) })
  })
  after(() => cluster.destroy())

  it('tells its steps, its primary and the URL of all nodes', async () => {
    assert.ok(steps.length >= 4, steps.join())
    assert.equal((await cluster.primary()).name, 'n0')
    const hosts = cluster.nodes.map(({ host, port }) => `${host}:${port}`).join(',')
    assert.equal(cluster.connectionString(), `postgres://app:app@${hosts}/app`)
    assert.equal(cluster.connectionString('monitor'), `postgres://monitor:monitor@${hosts}/app`)
    const client = new pg.Client(cluster.config(1, 'monitor'))
    await client.connect()
    assert.deepEqual((await client.query('select current_user as role')).rows, [{ role: 'monitor' }])
    await client.end()
  })

  it('stops fast, and waits for the primary of the moment', async () => {
    await cluster.stop(0)
    assert.equal(cluster.node(0).running, false)
    await cluster.promote(1)
    assert.equal((await cluster.primary()).name, 'n1')
    await cluster.follow(0, 1)
    const client = await cluster.connect(1)
    await client.query('create table late (a int)')
    await cluster.caughtUp(0)
    const replica = await cluster.connect(0)
    assert.equal((await replica.query('select * from late')).rowCount, 0)
  })

  it('says by a code that a node has diverged', async () => {
    await cluster.kill(1)
    await cluster.promote(0)
    const client = await cluster.connect(0)
    await client.query('create table other (a int)')
    await cluster.start(1)
    await assert.rejects(cluster.follow(1, 0), { name: 'TestingError', code: 'PGHERD_DIVERGED' })
    await cluster.reclone(1, 0)
    assert.equal((await cluster.primary()).name, 'n0')
  })
})
