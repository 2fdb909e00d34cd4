// The keys of `pgherd proxy --demo`, on a cluster that only notes what is done to it; and the text that it begins with.

import assert from 'node:assert/strict'
import { guide, Stage } from '../../src/cli/demo.js'
import { type Cluster, TestingError } from '../../src/testing/index.js'

function noted(diverged: readonly number[] = []) {
  const done: string[] = []
  const said: string[] = []
  const nodes = [0, 1, 2].map((index) => {
    return { index, name: `n${index}`, host: '127.0.0.1', port: 40_000 + index, running: true }
  })
  const run = (index: number, running: boolean) => Object.assign(nodes[index] ?? {}, { running })
  const cluster = {
    nodes,
    node: (index: number) => nodes[index],
    stop: async (index: number) => {
      done.push(`stop ${index}`)
      run(index, false)
    },
    promote: async (index: number) => void done.push(`promote ${index}`),
    follow: async (index: number, upstream: number) => {
      done.push(`follow ${index} ${upstream}`)
      if (diverged.includes(index)) throw new TestingError('PGHERD_DIVERGED', 'it has')
      run(index, true)
    },
    reclone: async (index: number, from: number) => {
      done.push(`reclone ${index} ${from}`)
      run(index, true)
    },
  } as unknown as Cluster
  return { done, said, cluster, stage: new Stage(cluster, (text) => said.push(text)) }
}

describe('the keys of pgherd proxy --demo', () => {
  it('f: the primary stops, the first replica is promoted, the other follows it', async () => {
    const { done, stage } = noted()
    await stage.failover()
    assert.deepEqual(done, ['stop 0', 'promote 1', 'follow 2 1'])
  })

  it('f until no replica is left, then r', async () => {
    const { done, said, stage } = noted()
    for (let i = 0; i < 3; i++) await stage.failover()
    assert.match(said.at(-1) ?? '', /no replica is left/)
    assert.deepEqual(done.slice(3), ['stop 1', 'promote 2'])
    await stage.restore()
    assert.deepEqual(done.slice(5), ['follow 0 2', 'follow 1 2'])
    await stage.restore()
    assert.match(said.at(-1) ?? '', /no server is stopped/)
    await stage.failover()
    assert.deepEqual(done.slice(7), ['stop 2', 'promote 0', 'follow 1 0'])
  })

  it('r: a server that has diverged gets a copy', async () => {
    const { done, said, stage } = noted([0])
    await stage.failover()
    await stage.restore()
    assert.deepEqual(done.slice(3), ['follow 0 1', 'reclone 0 1'])
    assert.equal(said.at(-1), 'n0 follows n1')
  })

  it('one key at a time; a failure is told, and the next key works', async () => {
    const { cluster, done, said, stage } = noted()
    Object.assign(cluster, { promote: () => Promise.reject(new Error('too late\nmore of it')) })
    stage.press('f')
    stage.press('r')
    stage.press('x')
    await stage.end()
    assert.deepEqual(done, ['stop 0'])
    assert.deepEqual(said.slice(1, 2), ['that has to wait: the last key is still at work'])
    assert.equal(said.at(-1), 'it failed: Error: too late')
    stage.press('r')
    assert.deepEqual(done, ['stop 0'], 'nothing behind its end')
  })

  for (const [address, port] of [
    ['::1', 6432],
    ['127.123.123.123', 65_535],
  ] as const) {
    it(`says how to connect to ${address} in 80 columns`, () => {
      for (const hasKeys of [true, false]) {
        const lines = guide(noted().cluster, address, port, hasKeys)
        assert.ok(lines.includes(`  psql -h ${address} -p ${port} -U app app`))
        assert.deepEqual(
          lines.filter((line) => line.length > 80),
          []
        )
        assert.equal(lines.includes('Keys:'), hasKeys)
      }
    })
  }
})
