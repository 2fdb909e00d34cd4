// Who looks on may throw: nothing that the pool does comes out otherwise for that.

import assert from 'node:assert/strict'
import { context, metrics, trace } from '@opentelemetry/api'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { NodeTracerProvider, type Sampler, type SpanProcessor } from '@opentelemetry/sdk-trace-node'
import { type Cluster, startCluster } from '../support/cluster.js'
import { endPools, poolOn } from '../support/pools.js'

const fails = () => {
  throw new Error('looking on')
}

describe('who looks on and throws', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    await cluster.streaming(0, 1)
  })
  after(() => cluster.destroy())
  afterEach(async () => {
    await endPools()
    trace.disable()
    context.disable()
    metrics.disable()
  })

  async function works(): Promise<void> {
    const pool = poolOn(cluster, { failoverTimeoutMillis: 3000 })
    await pool.ready({ replicas: 1, timeoutMillis: 3000 })
    assert.equal((await pool.query('create table if not exists t (a int)')).command, 'CREATE')
    await assert.rejects(pool.query('select $1::int', ['x']), { code: '22P02' })
    await pool.transaction((client) => client.query('insert into t values (1)'))
  }

  it('a processor of spans', async () => {
    const rest = { shutdown: async () => {}, forceFlush: async () => {} }
    const ends: SpanProcessor = { ...rest, onStart: () => {}, onEnd: fails }
    new NodeTracerProvider({ spanProcessors: [ends] }).register()
    await works()
  })

  it('a sampler', async () => {
    const sampler: Sampler = { shouldSample: fails, toString: () => 'fails' }
    new NodeTracerProvider({ sampler }).register()
    await works()
  })

  it('a meter, when it is told', async () => {
    const meter = new MeterProvider().getMeter('x')
    const told = { add: fails, record: fails }
    Object.assign(meter, { createCounter: () => told, createHistogram: () => told })
    metrics.setGlobalMeterProvider({ getMeter: () => meter })
    await works()
  })

  it('a meter, when it is made', async () => {
    metrics.setGlobalMeterProvider({ getMeter: fails })
    await works()
  })
})
