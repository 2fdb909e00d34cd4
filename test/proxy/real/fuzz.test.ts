// Frames that are no frames: seeded mutations of what clients send, before and behind the login. The proxy does not die, does not hang, keeps
// no memory of them, and serves its other clients as before.

import assert from 'node:assert/strict'
import net from 'node:net'
import { startup } from '../../../src/proxy/wire/write.js'
import { type Cluster, startCluster } from '../../support/cluster.js'
import { seeded } from '../../support/grammar.js'
import { message } from '../../support/messages.js'
import { eventually } from '../../support/pools.js'
import { endProxies, proxyOn, type Served } from '../../support/proxies.js'

const SEED = Number(process.env.PGHERD_TEST_SEED ?? 20261130)
const ROUNDS = Number(process.env.PGHERD_TEST_FRAMES ?? 300)

const STARTUP = startup(new Map(Object.entries({ user: 'app', database: 'app' })))

const UNITS: readonly Buffer[] = [
  message('Q', 'select 1\0'),
  message('Q', 'select * from generate_series(1, 50)\0'),
  message('Q', 'begin\0'),
  message('Q', 'rollback\0'),
  message('Q', 'copy (select 1) to stdout\0'),
  message('Q', 'create temp table if not exists f (a int); copy f from stdin\0'),
  Buffer.concat([message('d', '1\n'), message('c', '')]),
  Buffer.concat([message('P', 's1\0select $1::int\0\0\x01\0\0\0\x17'), message('S', '')]),
  Buffer.concat([
    message('B', '\0s1\0\0\0\0\x01\0\0\0\x012\0\0'),
    message('D', 'P\0'),
    message('E', '\0\0\0\0\0'),
    message('S', ''),
  ]),
  Buffer.concat([
    message('P', '\0select 2\0\0\0'),
    message('B', '\0\0\0\0\0\0\0\0'),
    message('E', '\0\0\0\0\0'),
    message('H', ''),
    message('S', ''),
  ]),
  Buffer.concat([message('C', 'Ss1\0'), message('S', '')]),
]

describe('frames that are none', () => {
  let cluster: Cluster
  let served: Served

  before(async () => {
    cluster = await startCluster({ replicas: 1 })
    served = await proxyOn(cluster, { options: { queryWaitTimeoutMillis: 5000, maxPacketSize: 1 << 20 } })
    await served.ready(1)
  })
  after(async () => {
    await endProxies()
    await cluster.destroy()
  })

  it(`seed ${SEED}: ${ROUNDS} connections; its other clients notice nothing`, async function () {
    this.timeout(120_000)
    const random = seeded(SEED)
    const below = (n: number) => random.below(n)
    const mutated = (bytes: Buffer): Buffer => {
      const copy = Buffer.from(bytes)
      switch (below(5)) {
        case 0:
          return copy
        case 1:
          copy[below(copy.length)] = below(256)
          return copy
        case 2:
          return copy.subarray(0, below(copy.length))
        case 3:
          return Buffer.concat([copy, Buffer.from(Array.from({ length: below(20) }, () => below(256)))])
        default:
          if (copy.length > 5) copy.writeInt32BE(below(2) === 0 ? below(200) - 100 : 0x7fffffff - below(100), 1)
          return copy
      }
    }
    const witness = await served.connect()
    const one = async () => {
      const socket = net.connect(served.port, '127.0.0.1')
      socket.on('error', () => {})
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
      await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
      socket.resume()
      socket.write(below(4) === 0 ? mutated(STARTUP) : STARTUP)
      for (let n = below(8); n > 0 && !socket.destroyed; n--) {
        socket.write(mutated(UNITS[below(UNITS.length)] as Buffer))
        if (below(3) === 0) await new Promise((resolve) => setTimeout(resolve, below(5)))
      }
      if (below(2) === 0) socket.end()
      else socket.destroy()
      const late = setTimeout(() => socket.destroy(), 3000)
      await closed
      clearTimeout(late)
    }
    for (let i = 0; i < ROUNDS; i += 10) {
      await Promise.all(Array.from({ length: Math.min(10, ROUNDS - i) }, one))
      const { rows } = await witness.query('select $1::int as n', [i])
      assert.deepEqual(rows, [{ n: i }])
    }
    await eventually('all have gone', () => served.proxy.clients.size === 1 && !served.proxy.sides.isBusy, 20_000)
  })
})
