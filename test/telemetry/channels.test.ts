// Node's tracing channels: who subscribes sees each statement from its beginning to its end, and no value of it.

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import type { Journey, TopologyChange } from '../../src/index.js'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, keyOf, poolOn } from '../support/pools.js'

describe('channels', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
  })
  after(() => cluster.destroy())
  afterEach(endPools)

  async function heard(work: () => Promise<unknown>): Promise<(readonly [string, Journey])[]> {
    const told: (readonly [string, Journey])[] = []
    const channel = tracingChannel<Journey, Journey>('pgherd:statement')
    const listen = (name: string) => (journey: unknown) => void told.push([name, journey as Journey])
    const listeners = {
      start: listen('start'),
      end: listen('end'),
      asyncStart: listen('asyncStart'),
      asyncEnd: listen('asyncEnd'),
      error: listen('error'),
    }
    channel.subscribe(listeners)
    try {
      await work()
    } finally {
      channel.unsubscribe(listeners)
    }
    return told
  }

  it('a statement: where it went, and why', async () => {
    const pool = poolOn(cluster, { readYourWrites: 'off' })
    await pool.ready({ replicas: 1 })
    const told = await heard(async () => {
      await pool.query('select 1 as one')
      // A client is no statement.
      const client = await pool.connect()
      client.release()
    })
    assert.deepEqual(
      told.map(([name]) => name),
      ['start', 'end', 'asyncStart', 'asyncEnd']
    )
    const [first, last] = [told[0]?.[1], told.at(-1)?.[1]]
    assert.equal(first, last)
    const { kind, operation, intent, reason, node, role, choice, attempts, retries, error } = last ?? assert.fail()
    assert.deepEqual([kind, operation, intent, reason], ['statement', 'SELECT', 'read', 'only reads'])
    assert.deepEqual([node, role, choice, attempts], [keyOf(cluster, 1), 'replica', 'proven', 1])
    assert.deepEqual([retries, error], [[], null])
  })

  it('a statement that failed', async () => {
    const pool = poolOn(cluster)
    await pool.ready()
    const told = await heard(() => pool.query('select $1::int', ['x']).catch(() => {}))
    assert.deepEqual(
      told.map(([name]) => name),
      ['start', 'end', 'error', 'asyncStart', 'asyncEnd']
    )
    const { error } = told.at(-1)?.[1] ?? assert.fail()
    assert.equal((error as { readonly code?: unknown }).code, '22P02')
  })

  it('a store bound to the start is there while the statement is under way', async () => {
    const pool = poolOn(cluster)
    await pool.ready()
    const store = new AsyncLocalStorage<string>()
    const { start } = tracingChannel<Journey, Journey>('pgherd:statement')
    start.bindStore(store as AsyncLocalStorage<unknown> as AsyncLocalStorage<Journey>, (() => 'bound') as never)
    let seen: string | undefined
    pool.on('acquire', () => {
      seen = store.getStore()
    })
    await pool.query("select pg_notify('a', '')")
    start.unbindStore(store as AsyncLocalStorage<unknown> as AsyncLocalStorage<Journey>)
    assert.equal(seen, 'bound')
    assert.equal(store.getStore(), undefined)
  })

  it('the picture, as it changes', async () => {
    const told: TopologyChange[] = []
    const channel = tracingChannel<TopologyChange, TopologyChange>('pgherd:topology')
    const listeners = { start: (change: unknown) => void told.push(change as TopologyChange) }
    channel.subscribe(listeners as never)
    const pool = poolOn(cluster)
    await pool.ready({ replicas: 1 })
    channel.unsubscribe(listeners as never)
    const { primary, nodes } = told.at(-1)?.after ?? assert.fail()
    assert.equal(primary, keyOf(cluster, 0))
    assert.deepEqual(nodes.map(({ state }) => state).sort(), ['primary', 'replica'])
  })
})
