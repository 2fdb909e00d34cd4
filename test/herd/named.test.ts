// A host that was configured by name stands for all of its addresses, once they are known.

import assert from 'node:assert/strict'
import { resolveConfig } from '../../src/config/config.js'
import { nameSource } from '../../src/discovery/dns.js'
import { system } from '../../src/discovery/resolver.js'
import { Herd, namedSo } from '../../src/herd/herd.js'
import type { Probe } from '../../src/herd/probe.js'
import { ManualClock, settled } from '../support/manual-clock.js'

const unanswered: Probe = { look: () => new Promise(() => {}), position: async () => null, close() {} }

describe('a host that was configured by name', () => {
  const names = (lookup: Promise<readonly { readonly address: string }[]>) => ({
    ...system,
    addresses: async () => ({ addresses: (await lookup).map(({ address }) => address), holdsMillis: null }),
  })
  const herdOf = (lookup: Promise<readonly { readonly address: string }[]>) => {
    const clock = new ManualClock()
    const config = resolveConfig({ host: ['db.test', 'x.test'] }, {}, {})
    const sources = [
      nameSource({ host: 'db.test', port: 5432 }, {}, names(lookup)),
      nameSource({ host: 'x.test', port: 5432 }, {}, names(new Promise(() => {}))),
    ]
    const herd = new Herd(config, { clock, sources, probes: () => unanswered })
    herd.open()
    return { herd, clock }
  }

  it('is waited for until it has been looked up, and stands for all of its addresses', async () => {
    let resolve: (found: readonly { readonly address: string }[]) => void = () => {}
    const { herd } = herdOf(new Promise((found) => (resolve = found)))
    assert.deepEqual(namedSo(herd.topology, 'db.test:5432'), [])
    const resolved = herd.resolved('db.test:5432', Infinity)
    resolve([{ address: '10.0.0.1' }, { address: '10.0.0.2' }])
    assert.deepEqual(await resolved, ['10.0.0.1:5432', '10.0.0.2:5432'])
    assert.deepEqual(namedSo(herd.topology, '10.0.0.2:5432'), ['10.0.0.2:5432'])
    herd.end()
    herd.close()
  })

  it('is given up in time; what was not configured is not waited for', async () => {
    const { herd, clock } = herdOf(new Promise(() => {}))
    assert.equal(await herd.resolved('y.test:5432', Infinity), undefined)
    const resolved = herd.resolved('db.test:5432', 200)
    await settled()
    await clock.advance(200)
    assert.equal(await resolved, undefined)
    herd.end()
    herd.close()
  })
})
