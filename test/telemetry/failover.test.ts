// A failover as those who look on see it: one span with its phases, a length, one run of the channel.

import assert from 'node:assert/strict'
import { trace } from '@opentelemetry/api'
import type { FailoverProgress } from '../../src/index.js'
import { channels } from '../../src/telemetry/channels.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, eventually, keyOf, poolOn } from '../support/pools.js'
import { type Point, type Sdk, startSdk, treeOf } from './sdk.js'

function waits(points: readonly Point[]): number {
  return points.reduce((sum, { name, value }) => sum + (name === 'pgherd.queue.wait_time' ? value : 0), 0)
}

describe('a failover, told', () => {
  let cluster: Cluster
  let sdk: Sdk
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    sdk = startSdk()
  })
  after(async () => {
    await endPools()
    await sdk.end()
    await cluster.destroy()
  })

  it('as a span of its own, by the channel, as a metric', async () => {
    const told: (readonly [string, FailoverProgress])[] = []
    const listen = (name: string) => (context: FailoverProgress) => void told.push([name, { ...context }])
    const listeners = {
      start: listen('start'),
      end: listen('end'),
      asyncStart: listen('asyncStart'),
      asyncEnd: listen('asyncEnd'),
      error: listen('error'),
    }
    channels.failover.subscribe(listeners)
    const pool = poolOn(cluster)
    await pool.ready({ replicas: 1 })
    await pool.query('create table t (a int)')
    await cluster.caughtUp(1, 0)
    sdk.reset()
    await cluster.stop(0, 'immediate')
    // Before, it could be sent to the old one, and be cut off.
    await eventually('the loss was noticed', () => pool.topology().primary === null)
    const before = waits(await sdk.points())
    const written = trace.getTracer('test').startActiveSpan('request', async (request) => {
      await pool.query('insert into t values (1)')
      assert.equal(trace.getActiveSpan(), request)
      request.end()
    })
    const given = Promise.all([pool.connect(), pool.connect()])
    await cluster.promote(1)
    for (const client of await given) client.release()
    await written
    channels.failover.unsubscribe(listeners)

    const [from, to] = [keyOf(cluster, 0), keyOf(cluster, 1)]
    const names = (port: unknown) => (Number(port) === cluster.node(0).port ? 'old' : 'new')
    const failover = sdk.spans().filter(({ name }) => name === 'pgherd.failover')
    const tree = treeOf(failover, names, ['pgherd.from', 'pgherd.to', 'pgherd.epoch'])
    assert.equal(tree[0], `pgherd.failover INTERNAL ${from} ${to} 2`)
    // What comes first, a reset or a refusal, is the kernel's to decide; that both name the old primary is not.
    const phases = tree.slice(1)
    assert.match(phases.at(0) ?? '', /^\* pgherd\.(?:suspected|convicted) old /)
    assert.ok(
      phases.some((phase) => phase.startsWith('* pgherd.convicted old')),
      tree.join('\n')
    )
    assert.equal(phases.at(-1), '* pgherd.promoted new')
    const [span] = failover
    assert.equal(span?.parentSpanContext, undefined)

    const waited = sdk.spans().find(({ name }) => name === 'INSERT t')
    assert.ok(Number(waited?.attributes['pgherd.wait_ms']) > 1)
    assert.equal(waited?.attributes['server.port'], cluster.node(1).port)
    const request = sdk.spans().find(({ name }) => name === 'request')
    assert.equal(waited?.parentSpanContext?.spanId, request?.spanContext().spanId)

    assert.deepEqual(
      told.map(([name]) => name),
      ['start', 'end', 'asyncStart', 'asyncEnd']
    )
    const [first, last] = [told[0]?.[1], told.at(-1)?.[1]]
    assert.deepEqual([first?.from, first?.to, last?.from, last?.to], [from, null, from, to])
    assert.ok((last?.millis ?? 0) > 0)

    const points = await sdk.points()
    const value = (name: string) => points.find((point) => point.name === name)?.value
    assert.equal(value('pgherd.failover.duration'), 1)
    // That of the INSERT, and of those who asked for a client.
    assert.equal(waits(points) - before, 3)
    assert.ok(points.some(({ name, attributes }) => name === 'pgherd.probe.duration' && attributes['error.type']))
  })

  it('nothing, where the primary was only suspected', async () => {
    const pool = poolOn(cluster, {}, 'app', [1])
    await pool.ready()
    sdk.reset()
    const suspects: boolean[] = []
    pool.on('topology', ({ nodes }) => suspects.push(nodes.some(({ suspect }) => suspect)))
    const client = await pool.connect()
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    const admin = await cluster.connect(1)
    const broken = new Promise((resolve) => client.once('error', resolve))
    await admin.query('select pg_terminate_backend($1)', [rows[0]?.pid])
    await broken
    client.release(true)
    await pool.query('insert into t values (2)')
    assert.ok(suspects.includes(true))
    assert.deepEqual(
      sdk.spans().filter(({ name }) => name === 'pgherd.failover'),
      []
    )
  })
})

describe('a failover, told beside instrumentation of pg', () => {
  let cluster: Cluster
  let sdk: Sdk
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
    sdk = startSdk({ instrumented: true })
  })
  after(async () => {
    await endPools()
    await sdk.end()
    await cluster.destroy()
  })

  it('has no part in what a caller asked for, which ends at the new primary', async () => {
    const pool = poolOn(cluster, { max: 1 })
    await pool.ready({ replicas: 1 })
    await pool.query('create table t (a int)')
    await cluster.caughtUp(1, 0)
    await cluster.stop(0, 'immediate')
    await eventually('the loss was noticed', () => pool.topology().primary === null)
    sdk.reset()
    const written = trace.getTracer('test').startActiveSpan('request', async (request) => {
      await pool.query('insert into t values (1)')
      request.end()
    })
    await cluster.promote(1)
    await written
    const names = (port: unknown) => (Number(port) === cluster.node(0).port ? 'old' : 'new')
    const tree = treeOf(sdk.spans(), names)
    assert.ok(tree.includes('pgherd.failover INTERNAL'), tree.join('\n'))
    const from = tree.indexOf('request INTERNAL')
    const own = tree.slice(from, from + 6).filter((line) => !line.includes('pgherd.failover') && !line.startsWith('*'))
    assert.equal(own[1], '  INSERT t CLIENT new', tree.join('\n'))
    assert.deepEqual(
      own.slice(2).filter((line) => !line.includes('pg.connect')),
      ['    pg-pool.connect CLIENT new', '    pg.query:INSERT app CLIENT new']
    )
  })
})
