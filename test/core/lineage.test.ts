// Whom a replica says it receives from, in its own words; and that what is kept of its positions is bounded and hides none.

import assert from 'node:assert/strict'
import { keyOf } from '../../src/core/cluster/address.js'
import { addSample, emptyWal } from '../../src/core/cluster/horizon.js'
import type { Instant } from '../../src/core/cluster/instant.js'
import { NO_LINEAGE } from '../../src/core/cluster/lineage.js'
import type { Lsn } from '../../src/core/cluster/lsn.js'
import type { Node } from '../../src/core/cluster/node.js'
import { isRefuted, shownBy, upstreamOf } from '../../src/core/cluster/tracing.js'
import { detailOf } from '../support/details.js'

const at = (mono: number): Instant => ({ mono, wall: mono })

function nodeAt(host: string, port: number, sender: { pid: number; host: string | null; port: number | null }): Node {
  const shown = { lsn: 1n as Lsn, askedAt: at(1), arrivedAt: at(2) }
  const receiver = { pid: 7, timeline: 1, streaming: true, received: null }
  const seen = { inRecovery: true, timeline: null, insert: null, flush: null, replay: shown.lsn, receiver }
  return {
    key: keyOf({ host, port }),
    address: { host, port, servername: null, origin: 'configured' },
    state: { kind: 'unknown', failure: null },
    lineage: shownBy(NO_LINEAGE, 'then', shown, receiver),
    seen: { ...seen, detail: detailOf({ sender }) },
  } as unknown as Node
}

describe('lineage: whom a replica receives from', () => {
  const cases: readonly (readonly [
    string,
    string,
    string,
    { pid: number; host: string | null; port: number },
    boolean,
  ])[] = [
    ['the address that we use', '10.0.0.2', '10.0.0.1', { pid: 7, host: '10.0.0.1', port: 5432 }, true],
    ['a name in other letters', 'db-b', 'db-a', { pid: 7, host: 'DB-A', port: 5432 }, true],
    ['another port', '10.0.0.2', '10.0.0.1', { pid: 7, host: '10.0.0.1', port: 5433 }, false],
    ['a name that we do not use', '10.0.0.2', '10.0.0.1', { pid: 7, host: 'db-a', port: 5432 }, false],
    ['its own machine, which is ours', '127.0.0.1', 'localhost', { pid: 7, host: '127.0.0.1', port: 5432 }, true],
    ['its own machine, which is not ours', '10.0.0.2', '127.0.0.1', { pid: 7, host: '127.0.0.1', port: 5432 }, false],
    ['a socket', '127.0.0.1', '127.0.0.1', { pid: 7, host: '/tmp', port: 5432 }, false],
    ['a receiver of before', '10.0.0.2', '10.0.0.1', { pid: 6, host: '10.0.0.1', port: 5432 }, false],
    ['hidden from the role', '10.0.0.2', '10.0.0.1', { pid: 7, host: null, port: 5432 }, false],
  ]
  for (const [name, own, primary, sender, known] of cases) {
    it(`${name}: ${known ? 'known' : 'not known'}`, () => {
      const other = nodeAt(primary, 5432, sender)
      const replica = nodeAt(own, 6000, sender)
      const nodes = new Map([other, replica].map((node) => [node.key, node]))
      assert.equal(upstreamOf(replica, nodes)?.key, known ? other.key : undefined)
    })
  }
})

describe('lineage: positions', () => {
  it('stay few, and the highest of them refutes whatever came after', () => {
    let lineage = NO_LINEAGE
    for (let i = 1; i <= 1000; i++) {
      const shown = { lsn: BigInt(1000 + i) as Lsn, askedAt: at(i), arrivedAt: at(i) }
      lineage = shownBy(lineage, 'then', shown, null)
    }
    lineage = shownBy(lineage, 'then', { lsn: 5n as Lsn, askedAt: at(1001), arrivedAt: at(1001) }, null)
    assert.ok(lineage.climb.length <= 17, String(lineage.climb.length))
    const sample = (sentAt: number, lsn: bigint) =>
      addSample(emptyWal, at(sentAt), { insert: lsn as Lsn, flush: lsn as Lsn }, detailOf())
    assert.equal(isRefuted(lineage, sample(1002, 1999n)), true)
    assert.equal(isRefuted(lineage, sample(1002, 2000n)), false)
    assert.equal(isRefuted(lineage, sample(0.5, 1n)), false)
  })
})
