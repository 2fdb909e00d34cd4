// examples/sessions on real servers. The replica stands still, so only a token makes one 'process' see what another wrote: each
// test shows that it would not without.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as express from '../../examples/sessions/express.js'
import * as fastify from '../../examples/sessions/fastify.js'
import { order, type Queue, work } from '../../examples/sessions/job-queue.js'
import type { Pool } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn, served } from '../support/pools.js'

const FRAMEWORKS = { express, fastify }
const ORDER = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"item":"tea"}' }

describe('examples of sessions', () => {
  let cluster: Cluster
  const closing: (() => Promise<void>)[] = []

  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    const admin = await cluster.connect(0)
    await admin.query('create table orders (id int generated always as identity primary key, item text)')
    await admin.end()
  })
  beforeEach(() => cluster.caughtUp(1, 0))
  afterEach(async () => {
    for (const close of closing.splice(0)) await close()
    await endPools()
    await cluster.resumeReplay(1).catch(() => {})
  })
  after(() => cluster.destroy())

  /** Two that read from the replica whatever it has, but for what they are told to see. */
  async function processes(): Promise<readonly [Pool, Pool]> {
    const make = () => poolOn(cluster, { maxLagMillis: Infinity, readYourWrites: 'session' })
    const pools = [make(), make()] as const
    for (const pool of pools) await pool.ready({ replicas: 1 })
    await cluster.pauseReplay(1)
    return pools
  }

  async function visitor(serve: (pool: Pool) => Promise<{ url: string; close(): Promise<void> }>, pool: Pool) {
    const { url, close } = await serve(pool)
    closing.push(async () => void (await close()))
    const items = async (cookie?: string) => {
      const answer = await fetch(`${url}/orders`, { headers: cookie === undefined ? {} : { cookie } })
      assert.equal(answer.status, 200)
      return (await answer.json()) as string[]
    }
    return { items, order: () => fetch(`${url}/orders`, ORDER) }
  }

  const cookieIn = (answer: Response) => (answer.headers.get('set-cookie') ?? '').split(';')[0] ?? ''

  for (const [name, { serve }] of Object.entries(FRAMEWORKS)) {
    it(`${name}: the next request sees what this one wrote, in another process too; without the cookie it would not`, async () => {
      const pools = await processes()
      const [here, there] = await Promise.all(pools.map((pool) => visitor(serve, pool)))
      assert.ok(here && there)
      const before = await there.items()
      const ordered = await here.order()
      assert.equal(ordered.status, 201)
      assert.deepEqual(await ordered.json(), { ordered: 'tea' })
      assert.match(
        ordered.headers.get('set-cookie') ?? '',
        /^seen=1\.[0-9a-z]+\.1\.[0-9a-z]+; Path=\/; Max-Age=60; HttpOnly; SameSite=Lax$/
      )
      for (const process of [here, there]) {
        assert.deepEqual(await process.items(), before)
        const seen = await process.items(`theme=dark; ${cookieIn(ordered)}; lang=en`)
        assert.deepEqual(seen, [...before, 'tea'])
      }
      // What any visitor may send.
      for (const cookie of ['seen=', 'seen=nonsense', 'seen=1.1.1.1', `seen=${'x'.repeat(4000)}`]) {
        assert.deepEqual(await there.items(cookie), before, cookie)
      }

      await cluster.resumeReplay(1)
      await cluster.caughtUp(1, 0)
      const [, pool] = pools
      const onReplica = () => served(pool)[keyOf(cluster, 1)] ?? 0
      await eventually('the replica has it, and serves it', async () => {
        const before = onReplica()
        await there.items(cookieIn(ordered))
        return onReplica() > before
      })
    })

    it(`${name}: requests that run at once are sessions of their own`, async () => {
      const pools = await processes()
      const [here, there] = await Promise.all(pools.map((pool) => visitor(serve, pool)))
      assert.ok(here && there)
      const before = await there.items()
      const cookie = cookieIn(await here.order())
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, i) => there.items(i % 2 === 0 ? cookie : undefined))
      )
      answers.forEach((items, i) => {
        assert.deepEqual(items, i % 2 === 0 ? [...before, 'tea'] : before)
      })
    })
  }

  it('job queue: the worker finds what the job is about; without its token it would not', async () => {
    const [shop, worker] = await processes()
    const jobs: string[] = []
    const queue: Queue = { push: async (job) => jobs.push(job), pop: async () => jobs.shift() }
    await order(shop, queue, 'jam')
    const [job = ''] = jobs
    jobs.push(JSON.stringify({ ...JSON.parse(job), token: null }))
    assert.equal(await work(worker, queue), 'jam')
    assert.equal(await work(worker, queue), null, 'without its token')
    assert.equal(await work(worker, queue), null, 'no more jobs')
    jobs.push(JSON.stringify({ ...JSON.parse(job), token: 'nonsense' }))
    await assert.rejects(work(worker, queue), { code: 'PGHERD_TOKEN' })
  })

  async function output(program: string, ...args: readonly string[]): Promise<string> {
    const { user, password, database } = cluster.config(0)
    const hosts = cluster.nodes.map(({ host, port }) => `${host}:${port}`).join(',')
    const env = { ...process.env, DATABASE_URL: `postgres://${user}:${password}@${hosts}/${database}` }
    const file = fileURLToPath(new URL(`../../examples/sessions/${program}.js`, import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [file, ...args], { env, timeout: 20_000 })
    return stdout
  }

  it('two real processes: with the token it is there, without it is not, and both end', async () => {
    await cluster.pauseReplay(1)
    const told = await output('two-processes')
    const [, written] = /written: '(order of .*)'/.exec(told) ?? []
    assert.ok(written, told)
    assert.match(told, new RegExp(`withToken: '${written}'`))
    assert.doesNotMatch(told, new RegExp(`withoutToken: '${written}'`))
    assert.match(told, /token: '1\./)
  })

  for (const name of Object.keys(FRAMEWORKS)) {
    it(`the program that shows ${name} ends by itself`, async () => {
      await cluster.pauseReplay(1)
      assert.match(await output('run', name), /^201 seen=1\.\S+;.*\nwithout it: not there yet\nwith it: it is there\n$/)
    })
  }

  it('the program that shows the job queue ends by itself', async () => {
    await cluster.pauseReplay(1)
    assert.match(await output('run', 'job-queue'), /\nthe worker finds tea\n$/)
  })
})
