// While no primary can be reached statements wait: what that costs, and that nothing of it stays.

import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { closedPort } from '../contract/servers.js'
import { endPools, eventually, tracked } from '../support/pools.js'

const WAITERS = 5000
const MOST_BYTES = 10 * 1024

setFlagsFromString('--expose_gc')
const collect: () => void = runInNewContext('gc')

function heap(): number {
  collect()
  return process.memoryUsage().heapUsed
}

describe('statements that wait', () => {
  afterEach(endPools)

  it('cost at most 10 KiB each, and are gone when the pool is', async () => {
    const port = [await closedPort(), await closedPort()]
    const pool = tracked({
      host: ['127.0.0.1', '127.0.0.1'],
      port,
      failoverQueue: 2 * WAITERS,
      user: 'a',
      database: 'a',
    })
    const told: Promise<string>[] = []
    const wait = () => {
      const write = pool.query('insert into t values ($1)', [told.length])
      told.push(
        write.then(
          () => 'done',
          ({ message }: Error) => message
        )
      )
    }
    wait()
    await eventually('the servers were looked at', () => pool.topology().nodes.every(({ failure }) => failure !== null))
    const before = heap()
    for (let i = 0; i < WAITERS; i++) wait()
    await eventually('all wait', () => pool.health().waiting === WAITERS + 1)
    const each = (heap() - before) / WAITERS
    assert.ok(each < MOST_BYTES, `${Math.round(each)} bytes each`)
    await pool.end()
    assert.deepEqual([...new Set(await Promise.all(told))], ['Cannot use a pool after calling end on the pool'])
    assert.equal(pool.health().waiting, 0)
  })
})
